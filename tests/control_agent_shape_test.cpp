// What discs' tails offer, between the data threads and the state directory.
#include "control_fakes.hpp"

#include <future>
#include <memory>

using namespace head;
using control::State;
using test::a_disc;
using test::Head;
using namespace std::chrono_literals;

namespace {

constexpr nbd::ExportInfo shape{.size = 1 << 20, .flags = 1};

// What the store has rings no bell.
template <class Condition>
bool soon(Condition condition, std::chrono::milliseconds within = 10s) {
  const auto until = std::chrono::steady_clock::now() + within;
  while (!condition() && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(2ms);
  return condition();
}

}  // namespace

TEST_CASE("what a tail offers is written down, and told to the disc that comes back", "[control]") {
  Head head(1);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::ready));
  const auto with = head.threads[0]->attachment("a");
  CHECK_FALSE(with.shape);
  with.on_shape(shape);
  REQUIRE(soon([&] { return head.store->writes() == 2; }));
  CHECK(*head.store->shape("a") == shape);
  with.on_shape(shape);
  nbd::ExportInfo larger = shape;
  larger.size *= 2;
  with.on_shape(larger);
  REQUIRE(soon([&] { return head.store->writes() == 3; }));
  CHECK(head.store->shape("a") == larger);

  SECTION("unless it was detached meanwhile") {
    REQUIRE_FALSE(head.agent->detach("a"));
    REQUIRE(head.eventually([&] { return !head.agent->disc("a"); }));
    REQUIRE_FALSE(head.agent->attach(a_disc("a")));
    REQUIRE(head.becomes("a", State::ready));
    CHECK_FALSE(head.threads[0]->attachment("a").shape);
  }
  SECTION("by another headd") {
    head.restart();
    head.agent->restore();
    REQUIRE(head.becomes("a", State::ready));
    CHECK(head.threads[0]->attachment("a").shape == larger);
  }
}

TEST_CASE("a disc that was proven elsewhere than was told is taken for it there by the next headd",
          "[control]") {
  Head head(1);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::ready));
  const auto with = head.threads[0]->attachment("a");
  const std::uint64_t number = 0x0001'020000000009;
  with.stats->rumoured_at = number;
  SECTION("once it was") {
    with.stats->prove(number);
    with.on_proven();
    REQUIRE(soon([&] { return head.store->proven(a_disc("a")).has_value(); }));
    with.on_shape(shape);
    REQUIRE(soon([&] { return head.store->shape("a").has_value(); }));
    head.restart();
    head.agent->restore();
    REQUIRE(head.becomes("a", State::ready));
    CHECK(head.threads[0]->attachment("a").stats->proven_at == 0x020000000009);
  }
  SECTION("and not otherwise") {
    with.on_proven();
    with.on_shape(shape);
    REQUIRE(soon([&] { return head.store->shape("a").has_value(); }));
    nbd::ExportInfo larger = shape;
    larger.size *= 2;
    with.on_shape(larger);  // Proofs are written after shapes: the next ones are later still.
    REQUIRE(soon([&] { return head.store->shape("a") == larger; }));
    CHECK_FALSE(head.store->proven(a_disc("a")));
  }
}

TEST_CASE("a headd that does not own the state directory writes no shape", "[control]") {
  Head head(1);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(head.becomes("a", State::ready));
  REQUIRE(head.agent->lend());
  head.threads[0]->attachment("a").on_shape(shape);
  CHECK_FALSE(soon([&] { return head.store->shape("a").has_value(); }, 400ms));
  head.agent->own();
  CHECK(soon([&] { return head.store->shape("a").has_value(); }));
}

TEST_CASE("an agent ends although a shape that it was told of cannot be written down",
          "[control]") {
  auto head = std::make_unique<Head>(1);
  REQUIRE_FALSE(head->agent->attach(a_disc("a")));
  REQUIRE(head->becomes("a", State::ready));
  REQUIRE(head->agent->lend());
  head->threads[0]->attachment("a").on_shape(shape);
  auto ended = std::async(std::launch::async, [&] { head.reset(); });
  CHECK(ended.wait_for(10s) == std::future_status::ready);
}

TEST_CASE("a disc that its tail can never serve fails, and can be tried again", "[control]") {
  Head head(1);
  head.threads[0]->connect(false);
  REQUIRE_FALSE(head.agent->attach(a_disc("a")));
  REQUIRE(soon([&] { return head.threads[0]->size() == 1; }));
  head.threads[0]->stats("a")->enter(stats::DiscState::reconnecting, iouring::Instant{1s});
  REQUIRE(head.becomes("a", State::reconnecting));
  head.threads[0]->hold();
  head.threads[0]->attachment("a").on_unusable("it has 0 bytes");
  REQUIRE(soon([&] { return head.threads[0]->size() == 0; }));
  CHECK(head.agent->disc("a")->state == State::connecting);  // It is being closed.
  SECTION("once it is closed") {
    head.threads[0]->release();
    REQUIRE(head.becomes("a", State::failed));
    CHECK(head.agent->disc("a")->problem == "it has 0 bytes");
    CHECK(head.store->discs().size() == 1);
    head.threads[0]->connect(true);
    REQUIRE_FALSE(head.agent->attach(a_disc("a")));
    CHECK(head.becomes("a", State::ready));
  }
  SECTION("or goes, if it is detached meanwhile") {
    REQUIRE_FALSE(head.agent->detach("a"));
    head.threads[0]->release();
    CHECK(head.eventually([&] { return !head.agent->disc("a"); }));
  }
}
