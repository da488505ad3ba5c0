// One FLUSH at the tail at a time, where nothing is kept: whose turn it is, and who shares it.
#include "head/disc/flush_turns.hpp"
#include "tests/disc_world.hpp"

#include <catch2/catch.hpp>

#include <deque>
#include <functional>

using namespace head;
using namespace std::chrono_literals;
using nbd::Command;
using tests::disc_world::Asked;
using tests::disc_world::World;

namespace {

struct Flush final : nbd::Request {
  void on_done(int) noexcept override {}
};

// A tail that answers FLUSHes late.
struct LateFlushes : World {
  LateFlushes() : World(1, {}, {.late_flush = 1.0}) {
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

TEST_CASE("FLUSHes that wait for one that is with the tail share the next", "[disc]") {
  disc::FlushTurns turns;
  Flush a, b, c, d;
  CHECK(turns.next() == nullptr);
  turns.begin(a);
  turns.wait(b);
  turns.wait(c);
  turns.wait(d);
  CHECK_FALSE(turns.free());
  CHECK(turns.next() == nullptr);
  CHECK(turns.end(b).empty());  // It was not sent.
  CHECK(turns.end(a).empty());  // It was sent before they were asked.
  CHECK(turns.next() == &b);
  turns.begin(b);
  CHECK(turns.remove(c));
  CHECK_FALSE(turns.remove(a));
  nbd::RequestQueue shared = turns.end(b);
  CHECK(shared.pop() == &d);
  CHECK(shared.empty());
  CHECK(turns.pop() == nullptr);
}

TEST_CASE("FLUSHes that shared one that is lost wait before those asked later", "[disc]") {
  disc::FlushTurns turns;
  Flush a, b, c;
  turns.wait(a);
  turns.begin(b);
  turns.wait(c);
  turns.lose(c);
  CHECK_FALSE(turns.free());
  turns.lose(b);
  CHECK(turns.next() == &a);
  CHECK(turns.pop() == &c);
}

TEST_CASE("a tail has one FLUSH at a time, and guests share it", "[disc][sim]") {
  LateFlushes world;
  Asked& first = world.flush();
  for (int i = 0; i < 5; ++i) world.flush();
  world.live_until([&] { return first.answers == 1; });
  for (std::size_t i = 1; i < world.asked.size(); ++i) CHECK(world.asked[i].answers == 0);
  world.live_until([&] { return world.asked.back().answers == 1; });
  CHECK(world.tail.flushes == 2);
  for (const Asked& one : world.asked) {
    CHECK(one.answers == 1);
    CHECK(one.error == 0);
  }
  // Their journeys are that of the one that went.
  CHECK(world.asked[2].sent == world.asked[1].sent);
  CHECK(world.asked[2].away == world.asked[1].away);
}

TEST_CASE("a FLUSH goes for the others also when its guest is gone, or its connection",
          "[disc][sim]") {
  const bool cut = GENERATE(false, true);
  LateFlushes world;
  world.flush();
  for (int i = 0; i < 3; ++i) world.flush();
  world.live_until([&] { return world.tail.flushes == 1; });
  if (cut)
    world.io.hang_up(*world.newest.back());
  else
    world.disc->withdraw(world.asked[1]);
  world.live_until([&] { return world.disc->outstanding() == 0; });
  CHECK(world.asked[1].answers == (cut ? 1 : 0));
  for (const int i : {0, 2, 3}) CHECK(world.asked[static_cast<std::size_t>(i)].answers == 1);
}
