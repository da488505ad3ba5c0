// A tail that holds its connection and does not answer on it.
#include "tests/disc_world.hpp"
#include "tests/seeds.hpp"

using namespace head;
using namespace std::chrono_literals;
using disc::suspicion::patience;
using nbd::Command;
using stats::DiscState;
using tests::seeds;
using tests::disc_world::Asked;
using tests::disc_world::World;

namespace {

constexpr sim::Faults calm{.partial = 0, .stall = 0};

struct Opened : World {
  explicit Opened(std::uint64_t seed = 1, sim::Faults faults = calm, unsigned connections = 1)
      : World(seed, faults, {}, connections) {
    run_until([this] { return disc->info() != nullptr; });
  }
  ~Opened() {  // While there is what was asked.
    disc->close();
    for (int i = 0; i < 100'000 && !closed; ++i) io.step_or_wait();
  }
  Asked& ask(Command command, std::uint64_t offset = 0, std::uint32_t length = 512) {
    Asked& one = asked.emplace_back(command, offset, length, io.now());
    disc->submit(one);
    return one;
  }
  void pass(iouring::Duration time) {
    const auto until = io.now() + time;
    while (io.now() < until)
      if (!io.step_or_wait()) io.advance(1ms);
  }
  std::deque<Asked> asked;
};

}  // namespace

TEST_CASE("a tail is doubted by what it took lately", "[disc]") {
  CHECK(patience(Command::read, 2s, 0s, 0) == 2s);
  CHECK(patience(Command::write, 2s, 100ms, 0) == 2s);
  CHECK(patience(Command::write, 2s, 1s, 0) == 8s);
  CHECK(patience(Command::flush, 2s, 0s, 0) == 30s);
  CHECK(patience(Command::trim, 60s, 0s, 0) == 60s);
  CHECK(patience(Command::read, 2s, 0s, 1) == 4s);
  CHECK(patience(Command::read, 2s, 0s, 3) == 16s);
  CHECK(patience(Command::flush, 2s, 4min, 8) == 5min);
  CHECK(patience(Command::block_status, 2s, 0s, 9) == 5min);

  disc::Slowest slowest;
  const iouring::Instant start{1h};
  slowest.note(start, 3s);
  slowest.note(start + 1s, 1s);
  CHECK(slowest.lately(start + 30s) == 3s);
  CHECK(slowest.lately(start + 70s) == 3s);
  CHECK(slowest.lately(start + 140s) == 0s);
  slowest.note(start + 150s, 2s);
  CHECK(slowest.lately(start + 10min) == 0s);
}

TEST_CASE("a connection is silent by what each kind of request took lately", "[disc]") {
  disc::Suspicion suspicion;
  const iouring::Instant start{1h};
  const auto answered = [&](Command command, iouring::Duration silence) {
    Asked one(command, 0, 512, start);
    one.silence = silence;
    suspicion.note(one, start);
  };
  struct Waits {
    Command command;
    iouring::Duration silent;
    std::uint8_t doubts = 0, excuses = 0, overdues = 0;
  };
  const auto is_silent = [&](std::vector<Waits> all) {
    disc::Suspicion::Look look(suspicion, start + 10s, 2s);
    for (const Waits& waits : all) {
      Asked one(waits.command, 0, 512, start);
      one.doubts = waits.doubts & 15;
      one.excuses = waits.excuses;
      one.overdues = waits.overdues & 15;
      look.see(one, start + 10s - waits.silent);
    }
    return look.is_silent();
  };
  CHECK_FALSE(is_silent({}));
  CHECK_FALSE(is_silent({{Command::flush, 9s}}));
  // What waits behind a FLUSH waits no longer for that.
  CHECK(is_silent({{Command::flush, 3s}, {Command::read, 2s}}));
  CHECK_FALSE(is_silent({{Command::flush, 3s}, {Command::read, 1999ms}}));
  // Each time it is asked anew because of this, everything beside it gets twice as long as well.
  CHECK_FALSE(is_silent({{Command::write, 3s, 1}, {Command::read, 3s}}));
  CHECK(is_silent({{Command::write, 1s, 1}, {Command::read, 4s}}));
  // A FLUSH that others took along gets no longer for that; one that took too long itself does.
  CHECK(is_silent({{Command::flush, 30s, 4}}));
  CHECK_FALSE(is_silent({{Command::flush, 30s, 1, 0, 1}}));
  CHECK(is_silent({{Command::flush, 60s, 1, 0, 1}}));
  // Once its connection has answered when it was asked, it alone does.
  CHECK_FALSE(is_silent({{Command::write, 3s, 0, 1}, {Command::read, 1s}}));
  CHECK(is_silent({{Command::write, 3s, 0, 1}, {Command::read, 2s}}));
  CHECK(is_silent({{Command::write, 4s, 0, 1}}));

  answered(Command::flush, 5s);
  CHECK(is_silent({{Command::read, 2s}}));
  answered(Command::read, 500ms);
  CHECK_FALSE(is_silent({{Command::read, 3s}}));
  CHECK(is_silent({{Command::read, 4s}}));
  CHECK(is_silent({{Command::write, 2s}}));
}

TEST_CASE("who answers on a second connection and not on the first has the first one reset",
          "[disc][sim]") {
  Opened world;
  world.tail.options.silent_up_to = 1;
  const auto began = world.io.now();
  Asked& write = world.ask(Command::write);
  Asked& read = world.ask(Command::read, 4096);
  world.run_until([&] { return write.answers == 1 && read.answers == 1; });
  CHECK(write.error == 0);
  CHECK(read.error == 0);
  CHECK(world.io.now() - began >= 2s);
  CHECK(world.io.now() - began < 4s);
  CHECK(world.tail.connections == 2);
  CHECK(world.disc->stats()->reconnects == 1);
  CHECK(world.disc->stats()->state == DiscState::ready);
  CHECK(world.disc->stats()->replaced_at_ns > began.time_since_epoch().count());
  world.run_until([&] { return world.io.sockets_open() == 1; });
}

TEST_CASE("a connection that answers when it is asked stays", "[disc][sim]") {
  Opened world;
  world.tail.options.lose = 1;
  Asked& lost = world.ask(Command::read);
  world.pass(1min);
  CHECK(lost.answers == 0);
  CHECK(world.disc->stats()->reconnects == 0);
  CHECK(world.io.sockets_open() == 1);
  CHECK(world.tail.connections > 3);
  CHECK(world.tail.connections < 8);  // Tried less and less often.
  // That it hangs now is noticed as soon as ever.
  world.tail.options.silent_up_to = world.tail.connections;
  Asked& read = world.ask(Command::read, 4096);
  world.pass(4s);
  CHECK(read.answers == 1);
  CHECK(lost.answers == 1);
  CHECK(world.disc->stats()->reconnects == 1);
}

TEST_CASE("hangs are noticed as soon each time, when everything is answered between",
          "[disc][sim]") {
  Opened world;
  for (int i = 0; i < 4; ++i) {
    world.tail.options.silent_up_to = world.tail.connections;
    Asked& read = world.ask(Command::read);
    world.pass(3s);
    CHECK(read.answers == 1);
  }
}

TEST_CASE("what was failed unsent says nothing of how long a tail takes", "[disc][sim]") {
  Opened world;
  world.pass(1h);
  world.disc->set({.order = disc::Order::hold});
  Asked& failed = world.ask(Command::read);
  world.disc->set({.order = disc::Order::fail});
  world.run_until([&] { return failed.answers == 1; });
  world.disc->set({});
  world.tail.options.silent_up_to = world.tail.connections;
  Asked& read = world.ask(Command::read);
  world.pass(3s);
  CHECK(read.answers == 1);
}

TEST_CASE("a trial whose suspect is gone is all that there is", "[disc][sim]") {
  const bool moved = GENERATE(false, true);
  Opened world;
  world.tail.options.silent = true;
  Asked& read = world.ask(Command::read);
  world.run_until([&] { return world.tail.connections == 2; });
  world.pass(20ms);
  world.io.hang_up(*world.newest[0]);
  world.pass(20ms);
  if (moved)
    world.disc->relocate();
  else
    world.io.hang_up(*world.newest[1]);
  world.pass(20ms);
  world.tail.options.silent = false;
  world.run_until([&] { return read.answers == 1; });
  CHECK(read.error == 0);
  CHECK(world.disc->stats()->state == DiscState::ready);
}

// As what the disc asks for itself is, again and again; and what was sent over several connections.
TEST_CASE("what a request waited for before does not make a tail slow", "[disc][sim]") {
  Opened world;
  Asked first(Command::read, 0, 512, world.io.now());
  first.away = 1h;
  world.disc->submit(first);
  world.run_until([&] { return first.answers == 1; });
  world.tail.options.silent = true;
  world.ask(Command::read);
  world.pass(3s);
  CHECK(world.tail.connections == 2);
  world.tail.options.silent = false;
}

TEST_CASE("a tail that answers nowhere is waited for, and seldom tried", "[disc][sim]") {
  Opened world;
  world.tail.options.silent = true;
  Asked& read = world.ask(Command::read);
  world.pass(5min);
  CHECK(read.answers == 0);
  CHECK(world.tail.connections > 3);
  CHECK(world.tail.connections < 30);
  CHECK(world.io.sockets_open() <= 2);
  world.tail.options.silent = false;
  const auto back = world.io.now();
  world.run_until([&] { return read.answers == 1; });
  CHECK(read.error == 0);
  CHECK(world.io.now() - back < 60s);
}

TEST_CASE("nobody is tried where nothing was asked, or where that is switched off", "[disc][sim]") {
  Opened world;
  world.pass(1min);
  CHECK(world.tail.connections == 1);
  world.connection.suspect_after = 0ms;
  world.tail.options.silent = true;
  Asked& read = world.ask(Command::read);
  world.pass(1min);
  CHECK(world.tail.connections == 1);
  world.tail.options.silent = false;
  world.disc->relocate();
  world.run_until([&] { return read.answers == 1; });
}

TEST_CASE("requests that are failed while a tail hangs do not fill its connection for good",
          "[disc][sim]") {
  Opened world;
  world.tail.options.silent = true;
  for (unsigned i = 0; i < 128; ++i) world.ask(Command::read);
  world.pass(3s);  // A second connection is tried, and hangs as well.
  CHECK(world.tail.connections == 2);
  world.disc->set({.order = disc::Order::fail});
  world.pass(10ms);
  for (const Asked& one : world.asked) CHECK(one.error == EIO);
  // Whoever is to follow may be another disc: then the first one serves on.
  const auto data = world.tail.data;
  if (GENERATE(false, true)) world.tail.data.resize(data.size() / 2);
  world.disc->set({});
  Asked& read = world.ask(Command::read);
  world.pass(20s);
  world.tail.data = data;
  world.pass(40s);
  world.tail.options.silent = false;
  world.pass(60s);
  CHECK(read.answers == 1);
  CHECK(read.error == 0);
  CHECK(world.disc->stats()->connections == 1);
  CHECK(world.io.sockets_open() == 1);
}

TEST_CASE("an order does not wait for a second connection that is tried", "[disc][sim]") {
  Opened world;
  world.tail.options.silent_up_to = 2;
  world.ask(Command::read);
  world.pass(2500ms);
  CHECK(world.tail.connections == 2);
  world.disc->set({.order = disc::Order::fail});
  world.pass(10ms);
  world.disc->set({});
  Asked& read = world.ask(Command::read);
  world.pass(1s);
  CHECK(read.answers == 1);
  CHECK(read.error == 0);
}

TEST_CASE("a disc that gave up while a second connection was tried comes back with the tail",
          "[disc][sim]") {
  Opened world;
  world.disc->set({.grace = 5s});
  world.tail.options.silent_up_to = 2;
  Asked& failed = world.ask(Command::read);
  world.pass(1min);
  CHECK(failed.error == EIO);
  CHECK(world.disc->stats()->state == DiscState::ready);
  Asked& read = world.ask(Command::read);
  world.pass(1s);
  CHECK(read.answers == 1);
  CHECK(read.error == 0);
}

TEST_CASE("a trial ends well whatever else happens to the disc", "[disc][sim]") {
  const auto seed = GENERATE(range(0u, seeds(300)));
  CAPTURE(seed);
  Opened world(seed, {.reset = seed % 3 == 0 ? 0.01 : 0.0, .refuse = 0.2}, seed % 2 == 0 ? 1 : 3);
  auto& io = world.io;
  for (int round = 0; round < 12; ++round) {
    world.tail.options.silent_up_to = world.tail.connections;
    for (int i = 0; i < 5; ++i)
      world.ask(io.chance(0.5) ? Command::read : Command::write, io.pick(60'000),
                static_cast<std::uint32_t>(1 + io.pick(4'000)));
    world.pass(std::chrono::milliseconds(io.pick(3'000)));
    if (io.chance(0.3)) world.disc->relocate();
    if (io.chance(0.1)) world.disc->set({.order = disc::Order::hold});
    if (io.chance(0.1)) world.disc->set({.order = disc::Order::fail});
    world.pass(std::chrono::milliseconds(io.pick(500)));
    world.disc->set({});
    if (io.chance(0.5)) world.tail.options.silent_up_to = 0;
  }
  if (seed % 4 == 0) return;  // Closed in the middle of it.
  world.tail.options.silent_up_to = 0;
  world.run_until([&] { return world.disc->outstanding() == 0; });
  for (const Asked& one : world.asked) {
    REQUIRE(one.answers == 1);
    REQUIRE((one.error == 0 || one.error == EIO));  // By order.
  }
  world.pass(2min);
  CHECK(world.disc->stats()->connections <= (seed % 2 == 0 ? 1 : 3));
  CHECK(world.io.sockets_open() <= (seed % 2 == 0 ? 1 : 3));
}
