// Who is believed of several FLUSHes and changes with FUA that are with a tail at once.
#include "head/disc/syncs.hpp"
#include "tests/disc_world.hpp"
#include "tests/seeds.hpp"

#include <catch2/catch.hpp>

#include <deque>
#include <functional>

using namespace head;
using namespace std::chrono_literals;
using nbd::Command;
using tests::seeds;
using tests::disc_world::Asked;
using tests::disc_world::World;

namespace {

struct Sync final : nbd::Request {
  void on_done(int) noexcept override {}
};

// A tail that answers FLUSHes late, in any order.
struct LateFlushes : World {
  explicit LateFlushes(std::uint64_t seed) : World(seed, {}, {.late_flush = 1.0}) {
    run_until([&] { return disc->info() != nullptr; });
  }
  ~LateFlushes() {  // While there is what was asked.
    disc->close();
    for (int i = 0; i < 100'000 && !closed; ++i) io.step_or_wait();
  }
  void live_until(const std::function<bool()>& reached) {
    for (int i = 0; i < 100'000 && !reached(); ++i) {
      sim::NbdServer::carry_out_late(tail, io);
      if (!io.step()) io.advance(1ms);
    }
    REQUIRE(reached());
  }
  Asked& flush() {
    Asked& one = asked.emplace_back(Command::flush, 0, 0, io.now());
    one.memory = {};
    disc->submit(one);
    return one;
  }

  std::deque<Asked> asked;
};

}  // namespace

TEST_CASE("a success counts when all that were sent before it are answered", "[disc]") {
  disc::Syncs syncs;
  Sync a, b, c;
  CHECK(syncs.are_answered(syncs.last()));
  syncs.begin(a);
  syncs.begin(b);
  CHECK(syncs.are_beside(a));
  CHECK(syncs.end(b));  // It was not alone.
  const disc::Syncs::Turn then = syncs.last();
  CHECK_FALSE(syncs.are_answered(then));
  CHECK_FALSE(syncs.are_beside(a));
  syncs.begin(c);  // Sent behind it.
  CHECK(syncs.end(a));
  CHECK(syncs.are_answered(then));
  CHECK_FALSE(syncs.are_answered(syncs.last()));
  CHECK(syncs.end(c));
  syncs.begin(a);
  CHECK_FALSE(syncs.end(a));
  CHECK(syncs.end(a));  // Who knows.
  CHECK(syncs.are_answered(syncs.last()));
}

TEST_CASE("errors that say of a sync what they cannot of a FLUSH", "[disc]") {
  Sync request;
  request.command = Command::write;
  CHECK_FALSE(may_have_failed_to_flush(request, EIO));
  request.flags = nbd::command_flag::fua;
  CHECK(may_have_failed_to_flush(request, EIO));
  CHECK(may_have_failed_to_flush(request, ENOSPC));
  CHECK(may_have_failed_to_flush(request, EINVAL));  // Servers know few errors.
  for (const int error : {0, EPERM, EOVERFLOW, ENOTSUP, ESHUTDOWN})
    CHECK_FALSE(may_have_failed_to_flush(request, error));
  request.command = Command::flush;
  request.flags = 0;
  CHECK(may_have_failed_to_flush(request, EPERM));
  CHECK_FALSE(may_have_failed_to_flush(request, ESHUTDOWN));
}

// Where nothing is kept a guest that was told too early would not hear of the other's failure.
TEST_CASE("guests are told of FLUSHes in the order in which they were sent", "[disc][sim]") {
  const auto seed = GENERATE(range(0u, seeds(20)));
  CAPTURE(seed);
  LateFlushes world(seed);
  for (int i = 0; i < 4; ++i) world.flush();
  for (std::size_t told = 0; told < world.asked.size();) {
    world.live_until([&] { return world.asked[told].answers == 1; });
    CHECK(world.asked[told].error == 0);
    while (told < world.asked.size() && world.asked[told].answers == 1) ++told;
    for (std::size_t i = told; i < world.asked.size(); ++i) CHECK(world.asked[i].answers == 0);
  }
  CHECK(world.tail.flushes == 4);
}

TEST_CASE("a FLUSH that waits to be believed may be lost, and its guest may go", "[disc][sim]") {
  const auto seed = GENERATE(range(0u, seeds(20)));
  const bool cut = GENERATE(false, true);
  CAPTURE(seed, cut);
  LateFlushes world(seed);
  for (int i = 0; i < 4; ++i) world.flush();
  world.live_until([&] { return world.tail.late.size() < 4 && world.tail.flushes == 4; });
  Asked& last = world.asked.back();
  const bool gone = !cut && last.answers == 0 && world.disc->withdraw(last);
  if (cut) world.io.hang_up(*world.newest.back());
  world.live_until([&] { return world.disc->outstanding() == 0; });
  for (const Asked& one : world.asked) CHECK(one.answers == (gone && &one == &last ? 0 : 1));
}
