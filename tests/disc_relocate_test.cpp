// A disc whose tail is said to be elsewhere, in the simulated world.
#include "tests/disc_world.hpp"

using namespace head;
using nbd::Command;
using tests::disc_world::Asked;
using tests::disc_world::World;

TEST_CASE("a connection serves until its successor is open", "[disc][sim]") {
  World world(1, {.partial = 0, .stall = 0}, {});
  world.run_until([&] { return world.disc->info() != nullptr; });
  world.io.faults.refuse = 1.0;
  world.disc->relocate();
  for (int i = 0; i < 200; ++i) world.io.step_or_wait();
  CHECK(world.disc->stats()->state == stats::DiscState::ready);
  CHECK(world.tail.connections == 1);

  Asked read(Command::read, 0, 512, world.io.now());
  world.disc->submit(read);
  world.run_until([&] { return read.answers == 1; });
  CHECK(read.error == 0);
  CHECK(world.disc->stats()->reconnects == 0);

  world.io.faults.refuse = 0;
  world.run_until([&] { return world.disc->stats()->reconnects == 1; });
  CHECK(world.tail.connections == 2);
  world.run_until([&] { return world.io.sockets_open() == 1; });
  CHECK(world.disc->stats()->connections == 1);
  CHECK(world.disc->stats()->state == stats::DiscState::ready);
}

// Its FLUSH need not cover what was written on another one.
TEST_CASE("a disc that is moved again and again is served by one connection", "[disc][sim]") {
  const auto seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{40}));
  CAPTURE(seed);
  World world(seed, {.partial = 0, .stall = 0}, {}, 1, {}, disc::Identity::first_block);
  world.run_until([&] { return world.disc->info() != nullptr; });
  for (int i = 0; i < 1'000; ++i) world.io.step_or_wait();
  for (int moves = 0; moves < 4; ++moves) {
    // It may be connecting, shaking hands, or be shown what the tail has.
    for (std::size_t i = world.io.pick(40); i != 0; --i) world.io.step_or_wait();
    world.disc->relocate();
  }
  world.io.advance(std::chrono::seconds(40));
  for (int i = 0; i < 2'000; ++i) world.io.step_or_wait();
  CHECK(world.disc->stats()->state == stats::DiscState::ready);
  CHECK(world.disc->stats()->connections == 1);
  CHECK(world.io.sockets_open() == 1);
}

// It does not offer CAN_MULTI_CONN.
TEST_CASE("who was replaced is flushed as well, and waited for as long as for a ghost",
          "[disc][sim]") {
  constexpr auto all = sim::all_flags;
  const auto flags = static_cast<std::uint16_t>(all & ~nbd::transmission_flag::can_multi_conn);
  World world(1, {.partial = 0, .stall = 0},
              {.flags = flags, .late_most = std::chrono::seconds(2)});
  world.run_until([&] { return world.disc->info() != nullptr; });
  const auto pass = [&](std::chrono::milliseconds time) {
    for (const auto until = world.io.now() + time; world.io.now() < until;)
      if (!world.io.step_or_wait()) world.io.advance(std::chrono::milliseconds(1));
  };
  world.tail.options.late = 1;
  Asked write(Command::write, 0, 512, world.io.now());
  world.disc->submit(write);
  pass(std::chrono::milliseconds(10));
  const auto flushes = world.tail.flushes;
  const bool answers = GENERATE(true, false);
  world.tail.options.late = 0;
  world.tail.options.late_flush = answers ? 0 : 1;
  world.tail.options.late_most = std::chrono::hours(10);
  world.disc->relocate();
  pass(std::chrono::milliseconds(20));
  CHECK(world.tail.connections == 2);
  CHECK(write.answers == 1);  // Written there as well.
  CHECK(world.tail.flushes == flushes + 1);
  world.tail.options.late_flush = 0;
  Asked flush(Command::flush, 0, 0, world.io.now());
  world.disc->submit(flush);
  pass(std::chrono::milliseconds(20));
  CHECK(flush.answers == (answers ? 1 : 0));
  world.io.advance(std::chrono::seconds(3));
  sim::NbdServer::carry_out_late(world.tail, world.io);  // What the old connection was asked for.
  pass(std::chrono::seconds(31));
  CHECK(flush.answers == 1);
  CHECK(flush.error == 0);
  CHECK(world.io.sockets_open() == 1);
}

TEST_CASE("a successor that offers another disc does not take over", "[disc][sim]") {
  World world(1, {}, {});
  world.run_until([&] { return world.disc->info() != nullptr; });
  const auto whole = world.tail.data;
  world.tail.data.resize(whole.size() / 2);
  world.disc->relocate();
  world.run_until([&] { return world.tail.connections == 2; });
  for (int i = 0; i < 2'000; ++i) world.io.step();
  CHECK(world.disc->stats()->state == stats::DiscState::ready);
  CHECK(world.io.sockets_open() == 1);
  world.tail.data = whole;
  Asked read(Command::read, 0, 512, world.io.now());
  world.disc->submit(read);
  world.run_until([&] { return read.answers == 1; });
  CHECK(read.error == 0);
}

TEST_CASE("whoever waits to connect again connects at once when the tail is there again",
          "[disc][sim]") {
  World world(1, {.partial = 0, .stall = 0}, {});
  world.run_until([&] { return world.disc->info() != nullptr; });
  world.io.faults = {.partial = 0, .reset = 1.0, .refuse = 1.0, .stall = 0};
  world.run_until([&] { return world.disc->stats()->state == stats::DiscState::reconnecting; });
  world.io.advance(std::chrono::seconds(30));  // Ever longer waits.
  world.io.faults = {.partial = 0, .stall = 0};
  world.disc->relocate();
  const auto before = world.io.now();
  world.run_until([&] { return world.disc->stats()->state == stats::DiscState::ready; });
  CHECK(world.io.now() - before < std::chrono::milliseconds(20));
}

// TCP sends again what was lost after 0.2 s at the soonest, and twice as late each time.
TEST_CASE("when the way is there again, whoever waits for an answer connects anew", "[disc][sim]") {
  World world(1, {.partial = 0, .stall = 0}, {});
  world.run_until([&] { return world.disc->info() != nullptr; });
  world.io.advance(std::chrono::seconds(1));
  const auto way_back = [&] {
    world.disc->stats()->way_back_at_ns =
        std::chrono::nanoseconds(world.io.now().time_since_epoch()).count();
  };
  const auto pass = [&](int milliseconds) {
    for (int i = 0; i < milliseconds; ++i) {
      world.io.advance(std::chrono::milliseconds(1));
      for (int j = 0; j < 20; ++j) world.io.step();
    }
  };
  SECTION("a request that is not answered") {
    world.io.faults.stall = 1;  // What is sent is lost.
    Asked read(Command::read, 0, 512, world.io.now());
    world.disc->submit(read);
    pass(100);
    CHECK(world.io.sockets_open() == 1);
    way_back();
    pass(15);
    CHECK(world.io.sockets_open() == 2);
    pass(100);
    CHECK(world.io.sockets_open() == 2);  // Once.
    world.io.faults.stall = 0;
    world.run_until([&] { return read.answers == 1; });
    CHECK(read.error == 0);
  }
  SECTION("not one that was answered since") {
    world.io.faults.stall = 1;
    Asked read(Command::read, 0, 512, world.io.now());
    world.disc->submit(read);
    pass(10);
    way_back();
    pass(1);
    world.io.faults.stall = 0;
    pass(50);
    CHECK(read.answers == 1);
    CHECK(world.tail.connections == 1);
  }
  SECTION("not where nothing was asked") {
    way_back();
    pass(50);
    CHECK(world.tail.connections == 1);
  }
}

TEST_CASE("a slow tail's answer comes although somebody repairs the entry again and again",
          "[disc][sim]") {
  World world(1, {.partial = 0, .stall = 0}, {});
  world.run_until([&] { return world.disc->info() != nullptr; });
  Asked read(Command::read, 0, 512, world.io.now());
  world.disc->submit(read);
  int follows = 0;
  for (int i = 0; i < 60; ++i) {  // A minute, and the tail answers nothing.
    world.io.advance(std::chrono::seconds(1));
    world.disc->stats()->way_back_at_ns =
        std::chrono::nanoseconds(world.io.now().time_since_epoch()).count();
    world.io.advance(std::chrono::milliseconds(10));
    const auto before = world.io.sockets_open();
    world.disc->follow_way();
    world.io.advance(std::chrono::milliseconds(1));  // For a successor to begin.
    follows += world.io.sockets_open() > before ? 1 : 0;
  }
  CHECK(follows >= 1);
  CHECK(follows <= 10);
  world.run_until([&] { return read.answers == 1; });
  CHECK(read.error == 0);
}
