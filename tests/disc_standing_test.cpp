// How a disc stands: what an operator orders, and what becomes of guests whose tail is away too
// long.
#include "tests/disc_world.hpp"
#include "tests/seeds.hpp"

#include <cerrno>

using namespace head;
using namespace std::chrono_literals;
using disc::Course;
using disc::Order;
using disc::Standing;
using nbd::Command;
using stats::DiscState;
using tests::seeds;
using tests::disc_world::Asked;
using tests::disc_world::World;

namespace {

constexpr sim::Faults calm{.partial = 0, .stall = 0};
constexpr sim::Faults away{.partial = 0, .reset = 1.0, .refuse = 1.0, .stall = 0};

struct Opened : World {
  explicit Opened(std::uint64_t seed = 1, sim::Faults faults = calm, unsigned connections = 1)
      : World(seed, faults, {}, connections) {
    run_until([this] { return disc->info() != nullptr; });
  }

  DiscState state() const { return disc->stats()->state; }
  void reach(DiscState state) {
    run_until([&] { return this->state() == state; });
  }
  void lose_tail() {
    io.faults = away;
    reach(DiscState::reconnecting);
  }
  Asked& ask(Command command, std::uint64_t offset = 0, std::uint32_t length = 512) {
    Asked& one = asked.emplace_back(command, offset, length, io.now());
    disc->submit(one);
    REQUIRE(one.answers == 0);
    return one;
  }
  int answer_to(Asked& one) {
    run_until([&] { return one.answers == 1; });
    return one.error;
  }

  std::deque<Asked> asked;
};

}  // namespace

TEST_CASE("what becomes of a request, by order and grace", "[disc]") {
  struct Case {
    Standing standing;
    bool gave_up;
    Course course;
  };
  for (const auto& [standing, gave_up, course] :
       {Case{{Order::serve, 0s}, false, Course::send},
        Case{{Order::serve, 5s}, false, Course::send},
        Case{{Order::serve, 5s}, true, Course::refuse}, Case{{Order::hold, 5s}, true, Course::keep},
        Case{{Order::hold, 0s}, false, Course::keep},
        Case{{Order::fail, 0s}, false, Course::refuse},
        Case{{Order::fail, 5s}, true, Course::refuse}})
    CHECK(disc::course(standing, gave_up) == course);

  CHECK_FALSE(disc::grace_is_over({Order::serve, 0s}, 24h));
  CHECK_FALSE(disc::grace_is_over({Order::serve, 5s}, 4999ms));
  CHECK(disc::grace_is_over({Order::serve, 5s}, 5s));
  CHECK_FALSE(disc::grace_is_over({Order::hold, 5s}, 24h));

  for (const Order order : {Order::serve, Order::hold, Order::fail})
    CHECK(disc::parse_order(to_string(order)) == order);
  CHECK(disc::parse_order("stop") == std::nullopt);
}

TEST_CASE("a longer grace time is obeyed when a shorter one is over", "[disc][sim]") {
  Opened world;
  world.disc->set({.grace = 2s});
  world.lose_tail();
  CHECK(world.answer_to(world.ask(Command::read)) == EIO);
  CHECK(world.state() == DiscState::failing);
  world.disc->set({.grace = 600s});
  CHECK(world.state() == DiscState::reconnecting);
  Asked& read = world.ask(Command::read);
  SECTION("the tail comes back") {
    world.io.faults = calm;
    CHECK(world.answer_to(read) == 0);
  }
  SECTION("it does not") {
    const auto asked = world.io.now();
    CHECK(world.answer_to(read) == EIO);
    CHECK(world.io.now() - asked >= 590s);
  }
  SECTION("it is made shorter again") {
    world.disc->set({.grace = 1s});
    CHECK(world.answer_to(read) == EIO);
  }
}

TEST_CASE("grace does not run while an operator holds the disc", "[disc][sim]") {
  const bool was_over = GENERATE(false, true);
  Opened world;
  world.disc->set({.grace = 2s});
  world.lose_tail();
  if (was_over) CHECK(world.answer_to(world.ask(Command::read)) == EIO);
  world.disc->set({.order = Order::hold, .grace = 2s});
  Asked& read = world.ask(Command::read);
  const auto later = world.io.now() + 1h;
  world.run_until([&] { return world.io.now() >= later; });
  CHECK(read.answers == 0);
  world.disc->set({.grace = 2s});
  SECTION("the tail comes back in time") {
    world.io.faults = calm;
    CHECK(world.answer_to(read) == 0);
  }
  SECTION("it does not") {
    const auto resumed = world.io.now();
    CHECK(world.answer_to(read) == EIO);
    CHECK(world.io.now() - resumed >= 2s);
  }
}

TEST_CASE("without a grace time guests wait however long it takes", "[disc][sim]") {
  Opened world;
  world.lose_tail();
  Asked& read = world.ask(Command::read);
  world.io.advance(24h);
  for (int i = 0; i < 1'000; ++i) world.io.step();
  CHECK(read.answers == 0);
  CHECK(world.state() == DiscState::reconnecting);
  world.io.faults = calm;
  CHECK(world.answer_to(read) == 0);
}

TEST_CASE("after the grace time guests get EIO until the tail is back", "[disc][sim]") {
  Opened world;
  world.disc->set({.grace = 5s});
  world.lose_tail();
  const auto lost = world.io.now();
  Asked& waiting = world.ask(Command::write);
  CHECK(world.answer_to(waiting) == EIO);
  CHECK(world.io.now() - lost >= 5s);
  CHECK(world.io.now() - lost < 6s);
  CHECK(world.state() == DiscState::failing);

  const auto asked_at = world.io.now();
  Asked& late = world.ask(Command::read);
  CHECK(world.answer_to(late) == EIO);
  CHECK(world.io.now() - asked_at < 10ms);

  world.io.faults = calm;
  world.reach(DiscState::ready);
  Asked& read = world.ask(Command::read);
  CHECK(world.answer_to(read) == 0);
  CHECK(world.disc->outstanding() == 0);
}

TEST_CASE("the grace time is over for guests whom a tail answers no more", "[disc][sim]") {
  Opened world;
  world.disc->set({.grace = 5s});
  world.tail.options.silent = true;
  Asked& hung = world.ask(Command::write);
  Asked& flush = world.ask(Command::flush, 0, 0);
  CHECK(world.answer_to(hung) == EIO);
  CHECK(world.answer_to(flush) == EIO);
  world.tail.options.silent = false;
  world.reach(DiscState::ready);
  Asked& read = world.ask(Command::read);
  CHECK(world.answer_to(read) == 0);
}

TEST_CASE("what waits for a quarantine is not given up for the tail's silence", "[disc][sim]") {
  Opened world;
  world.disc->set({.grace = 2s});
  nbd::Legacy legacy;
  const auto until = world.io.now() + 10s;
  legacy.doubts.push_back(
      {.offset = 0, .length = 4096, .until_ns = until.time_since_epoch().count()});
  world.disc->inherit(legacy);
  Asked& write = world.ask(Command::write, 0, 512);
  CHECK(world.answer_to(write) == 0);
  CHECK(world.io.now() >= until);
  Asked& read = world.ask(Command::read);
  CHECK(world.answer_to(read) == 0);
}

TEST_CASE("a grace time that is set while the tail is away counts from the loss", "[disc][sim]") {
  Opened world;
  world.lose_tail();
  Asked& read = world.ask(Command::read);
  world.io.advance(60s);
  CHECK(read.answers == 0);
  const auto before = world.io.now();
  world.disc->set({.grace = 30s});
  CHECK(world.answer_to(read) == EIO);
  CHECK(world.io.now() - before < 100ms);
  world.disc->set({});
  CHECK(world.state() == DiscState::reconnecting);
}

TEST_CASE("what is held is asked of no tail, and goes on when it is resumed", "[disc][sim]") {
  Opened world;
  world.disc->set({.order = Order::hold, .grace = 5s});
  CHECK(world.state() == DiscState::held);
  Asked& write = world.ask(Command::write);
  world.io.advance(60s);
  CHECK(write.answers == 0);
  CHECK(world.tail.writes == 0);
  CHECK(world.state() == DiscState::held);

  world.disc->set({.order = Order::serve});
  CHECK(world.answer_to(write) == 0);
  CHECK(world.tail.writes == 1);
  CHECK(world.state() == DiscState::ready);
}

TEST_CASE("what was sent before a hold is answered", "[disc][sim]") {
  Opened world;
  Asked& write = world.ask(Command::write);
  world.disc->set({.order = Order::hold});
  CHECK(world.answer_to(write) == 0);
}

TEST_CASE("an operator may have everything failed", "[disc][sim]") {
  Opened world;
  world.tail.options.silent = true;
  Asked& sent = world.ask(Command::read);
  for (int i = 0; i < 100; ++i) world.io.step();
  Asked& unaligned = world.ask(Command::write, 100, 900);
  world.disc->set({.order = Order::fail});
  CHECK(world.state() == DiscState::failing);
  CHECK(world.answer_to(sent) == EIO);
  CHECK(world.answer_to(unaligned) == EIO);
  world.tail.options.silent = false;
  Asked& more = world.ask(Command::read);
  CHECK(world.answer_to(more) == EIO);
  world.disc->set({});
  world.reach(DiscState::ready);
  Asked& read = world.ask(Command::read);
  CHECK(world.answer_to(read) == 0);
}

TEST_CASE("a disc that grew is larger, and its guests' exports are told", "[disc][sim]") {
  struct Told final : nbd::Volume::Watcher {
    void on_info() noexcept override { ++times; }
    int times = 0;
  } told;
  Opened world;
  const auto before = world.tail.data.size();
  world.disc->watch(&told);
  world.tail.data.resize(before * 2, std::byte{7});
  world.lose_tail();
  world.io.faults = calm;
  world.reach(DiscState::ready);
  CHECK(world.disc->info()->size == before * 2);
  CHECK(world.disc->stats()->size == before * 2);
  CHECK(told.times == 1);
  Asked& read = world.ask(Command::read, before, 512);
  CHECK(world.answer_to(read) == 0);
  CHECK(read.bytes[511] == std::byte{7});
  world.disc->watch(nullptr);
}

TEST_CASE("whatever is ordered, each request is answered exactly once", "[disc][sim]") {
  const auto seed = GENERATE(range(0u, seeds(300)));
  CAPTURE(seed);
  Opened world(seed, {.reset = 0.003, .refuse = 0.3}, seed % 2 == 0 ? 1 : 3);
  auto& io = world.io;
  for (int round = 0; round < 400; ++round) {
    const Command command = io.chance(0.5) ? Command::read : Command::write;
    world.ask(command, io.pick(60'000), static_cast<std::uint32_t>(1 + io.pick(4'000)));
    if (io.chance(0.05)) {
      const auto order = static_cast<Order>(io.pick(3));
      world.disc->set({.order = order, .grace = io.chance(0.5) ? 0ms : 50ms});
    }
    world.tail.options.silent = io.chance(0.1);
    for (std::size_t i = io.pick(20); i > 0; --i) io.step_or_wait();
  }
  world.tail.options.silent = false;
  world.disc->set({});
  if (world.disc->outstanding() != 0) world.disc->relocate();  // What was never answered.
  world.run_until([&] { return world.disc->outstanding() == 0; });
  for (const Asked& one : world.asked) {
    REQUIRE(one.answers == 1);
    REQUIRE((one.error == 0 || one.error == EIO));
  }
}
