// A disc is elsewhere than the catalogue says: who is right, and what the catalogue says
// afterwards.
#include "control_fakes.hpp"

#include <nlohmann/json.hpp>

#include <fstream>
#include <thread>

using namespace head;
using control::State;
using test::a_disc;
using test::Head;
using namespace std::chrono_literals;

namespace {

const netlink::Mac there{2, 0, 0, 0, 0, 1}, elsewhere{2, 0, 0, 0, 0, 2}, third{2, 0, 0, 0, 0, 3};

catalogue::DiscSpec at(const netlink::Mac& lladdr, std::uint64_t generation = 0) {
  catalogue::DiscSpec spec = a_disc("a");
  spec.lladdr = lladdr;
  spec.generation = generation;
  return spec;
}

catalogue::DiscSpec stored(const Head& head) {
  return head.store->discs().at(0);
}

// As an editor does.
void write(const Head& head, const catalogue::DiscSpec& spec) {
  std::ofstream(head.folder.path / "state" / "discs.json")
      << catalogue::to_text({{spec.name, {spec}}});
}

}  // namespace

TEST_CASE("the wire's word becomes the catalogue's where nobody counts, once it answered",
          "[control]") {
  Head head;
  REQUIRE_FALSE(head.agent->attach(at(there)));
  REQUIRE(head.becomes("a", State::ready));
  head.neighbours->contradict({.disc = "a", .lladdr = elsewhere, .answered = false});
  std::this_thread::sleep_for(50ms);
  CHECK(stored(head).lladdr == there);
  head.neighbours->contradict({.disc = "a", .lladdr = elsewhere, .answered = true});
  REQUIRE(head.eventually([&] { return stored(head).lladdr == elsewhere; }));
  CHECK(stored(head).lladdr_seen);
  CHECK(catalogue::spec_from_json(catalogue::to_json(stored(head)))->lladdr_seen);
  CHECK(head.eventually([&] { return head.neighbours->wanted("a")->claim.lladdr == elsewhere; }));
  CHECK(head.neighbours->wanted("a")->claim.source == neigh::Source::catalogue);
  SECTION("and whoever attaches it as before is not refused, nor heeded") {
    CHECK_FALSE(head.agent->attach(at(there)));
    CHECK(stored(head).lladdr == elsewhere);
  }
  SECTION("until it is moved") {
    REQUIRE(head.agent->move({{.disc = "a", .lladdr = third}}));
    CHECK(stored(head).lladdr == third);
    CHECK_FALSE(stored(head).lladdr_seen);
  }
}

TEST_CASE("a conflict with a generation is settled by the catalogue alone", "[control]") {
  Head head;
  REQUIRE_FALSE(head.agent->attach(at(there, 5)));
  REQUIRE(head.becomes("a", State::ready));
  SECTION("which says nothing new: it stays open") {
    head.neighbours->contradict({.disc = "a", .lladdr = elsewhere, .answered = true});
    std::this_thread::sleep_for(50ms);
    CHECK(stored(head) == at(there, 5));
    CHECK(head.neighbours->wanted("a")->claim.lladdr == there);
  }
  SECTION("which has an older generation: it stays open") {
    write(head, at(third, 4));
    head.neighbours->contradict({.disc = "a", .lladdr = elsewhere, .answered = true});
    std::this_thread::sleep_for(50ms);
    CHECK(stored(head) == at(there, 5));
  }
  SECTION("which has a newer generation, whatever the wire says") {
    write(head, at(third, 6));
    head.neighbours->contradict({.disc = "a", .lladdr = elsewhere, .answered = true});
    REQUIRE(head.eventually([&] { return stored(head) == at(third, 6); }));
    CHECK(head.eventually([&] { return head.neighbours->wanted("a")->claim.generation == 6; }));
  }
  SECTION("which says what the wire says") {
    write(head, at(elsewhere, 5));
    head.neighbours->contradict({.disc = "a", .lladdr = elsewhere, .answered = false});
    CHECK(head.eventually([&] { return stored(head) == at(elsewhere, 5); }));
  }
  SECTION("which cannot be read: it stays open, and works later") {
    std::ofstream(head.folder.path / "state" / "discs.json") << "nonsense";
    head.neighbours->contradict({.disc = "a", .lladdr = elsewhere, .answered = true});
    std::this_thread::sleep_for(50ms);
    CHECK(stored(head) == at(there, 5));
    CHECK(head.agent->move({{.disc = "a", .lladdr = third}}));
  }
}

// Another headd reads and writes the catalogue then.
TEST_CASE("no conflict is settled while changes are refused, and none is lost", "[control]") {
  Head head;
  REQUIRE_FALSE(head.agent->attach(at(there)));
  REQUIRE(head.becomes("a", State::ready));
  REQUIRE(head.agent->lend());
  head.neighbours->contradict({.disc = "a", .lladdr = elsewhere, .answered = true});
  std::this_thread::sleep_for(50ms);
  CHECK(stored(head).lladdr == there);
  head.agent->own();
  CHECK(head.eventually([&] { return stored(head).lladdr == elsewhere; }));
}
