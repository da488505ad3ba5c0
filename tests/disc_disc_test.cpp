// The production disc, its connections included, in the simulated world.
#include "tests/disc_world.hpp"
#include "tests/log_lines.hpp"
#include "tests/seeds.hpp"

using namespace std::chrono_literals;
using namespace head;
using nbd::Command;
using tests::seeds;
using tests::disc_world::Asked;
using tests::disc_world::World;

namespace {

struct Once {
  int error = -1;
  std::uint64_t reads = 0;  // That it took.
};

Once read_once(sim::TailOptions options, std::uint32_t length) {
  World world(1, {}, options);
  world.run_until([&] { return world.disc->info() != nullptr; });
  Asked read(Command::read, 0, length, world.io.now());
  world.disc->submit(read);
  world.run_until([&] { return read.answers == 1; });
  if (read.error == 0) CHECK(std::equal(read.bytes.begin(), read.bytes.end(), world.model.begin()));
  return {.error = read.error, .reads = world.tail.reads};
}

}  // namespace

TEST_CASE("a read that a tail refuses is asked again a bounded number of times", "[disc][sim]") {
  constexpr std::uint32_t whole = 64 << 10;
  constexpr std::uint16_t no_df = sim::all_flags & ~nbd::transmission_flag::send_df;
  SECTION("halved until it is short enough") {  // 64, 32, 16, then eight of 8 KiB
    const Once once = read_once({.read_max = 8192}, whole);
    CHECK(once.error == 0);
    CHECK(once.reads == 3 + 8);
  }
  SECTION("once more in one piece") {
    const Once once = read_once({.stretch = 16}, whole);
    CHECK(once.error == 0);
    CHECK(once.reads == 2);
  }
  SECTION("in one piece that is short enough") {  // in pieces, then 64, 32, four of 16 KiB
    const Once once = read_once({.unfragmented_max = 16 << 10, .stretch = 16}, whole);
    CHECK(once.error == 0);
    CHECK(once.reads == 1 + 2 + 4);
  }
  SECTION("without DF, halved until its pieces are few enough") {  // 64, then two of 32 KiB
    const Once once = read_once({.flags = no_df, .stretch = 16}, whole);
    CHECK(once.error == 0);
    CHECK(once.reads == 1 + 2);
  }
  SECTION("a tail that refuses whatever is asked: the guest hears it") {  // 64 to 4 KiB
    const Once once = read_once({.read_max = 0}, whole);
    CHECK(once.error == EOVERFLOW);
    CHECK(once.reads == 5);
  }
  SECTION("a tail that answers byte by byte, backwards: the guest hears of an error") {
    const Once once = read_once({.flags = no_df, .stretch = 1}, whole);
    CHECK(once.error == EIO);
    CHECK(once.reads == 5);
  }
}

// EOVERFLOW, which doc/proto.md has for neither at such a length, went through to the guest.
TEST_CASE("what a tail finds too long to cache or to tell of goes in pieces", "[disc][sim]") {
  const std::uint32_t effect_max = GENERATE(4096u, 0u);
  CAPTURE(effect_max);
  World world(1, {}, {.block_minimum = 512, .payload_maximum = 4096, .effect_max = effect_max});
  world.run_until([&] { return world.disc->info() != nullptr; });
  Asked cache(Command::cache, 100, (64 << 10) - 1000, world.io.now());
  Asked status(Command::block_status, 100, (64 << 10) - 1000, world.io.now());
  Asked trim(Command::trim, 0, 4096, world.io.now());
  const auto all = {&cache, &status, &trim};
  for (Asked* asked : all) world.disc->submit(*asked);
  world.run_until([&] { return cache.answers + status.answers + trim.answers == 3; });
  CHECK(world.tail.complaints == std::vector<std::string>{});
  CHECK(world.tail.statuses == 5);  // 63.5, 31.5, 15.5, 7.5 and 3.5 KiB
  for (const Asked* asked : all) CHECK(asked->error == (effect_max == 0 ? EIO : 0));
  if (effect_max == 0) return;
  CHECK(world.tail.cached == (64 << 10) - 512);
  REQUIRE(status.extents_filled == 1);  // Of less than was asked, as may be.
  CHECK(status.extents[0].length == 7 * 512 - 100);
}

// Each needs 256 of the 1,024 stretches that a connection remembers: good answers became EIO.
TEST_CASE("short reads that crowd each other out are all answered", "[disc][sim]") {
  constexpr std::uint16_t no_df = sim::all_flags & ~nbd::transmission_flag::send_df;
  constexpr std::uint32_t size = 4096;
  World world(1, {}, {.flags = no_df, .stretch = 8, .in_turns = true});
  world.run_until([&] { return world.disc->info() != nullptr; });
  std::deque<Asked> asked;
  for (std::uint32_t i = 0; i < 12; ++i)
    world.disc->submit(asked.emplace_back(Command::read, i * size, size, world.io.now()));
  world.run_until([&] { return world.disc->outstanding() == 0; });
  for (const Asked& one : asked) {
    CHECK(one.answers == 1);
    CHECK(one.error == 0);
    CHECK(std::equal(one.bytes.begin(), one.bytes.end(),
                     world.model.begin() + static_cast<std::ptrdiff_t>(one.offset)));
  }
  CHECK(world.tail.reads > asked.size());  // They did crowd each other out.
}

TEST_CASE("H10 a disc that came back smaller is held", "[disc][sim]") {
  World world(1, {}, {});
  world.run_until([&] { return world.disc->info() != nullptr; });
  world.tail.data.resize(32 << 10);
  world.tail.options.shutdown = 1.0;
  Asked read(Command::read, 0, 4096, world.io.now());
  world.disc->submit(read);
  world.run_until([&] { return world.disc->stats()->state == stats::DiscState::held; });
  CHECK(read.answers == 0);
  CHECK(world.disc->stats()->problem().find("smaller") != std::string::npos);

  SECTION("and goes on when it is itself again") {
    world.tail.data.resize(64 << 10);
    world.tail.options.shutdown = 0;
    world.run_until([&] { return read.answers == 1; });
    CHECK(read.error == 0);
    CHECK(world.disc->stats()->state == stats::DiscState::ready);
  }
  SECTION("and can be detached: what waits is told") {
    world.disc->close();
    world.run_until([&] { return read.answers == 1; });
    CHECK(read.error == ESHUTDOWN);
  }
}

TEST_CASE("H10 a disc that came back with less than it had is held", "[disc][sim]") {
  namespace flag = nbd::transmission_flag;
  World world(1, {}, {.block_minimum = 512});
  world.run_until([&] { return world.disc->info() != nullptr; });
  const sim::TailOptions had = world.tail.options;
  sim::TailOptions& has = world.tail.options;
  std::string why;
  SECTION("read-only") {
    has.flags |= flag::read_only;
    why = "read-only";
  }
  SECTION("without FLUSH") {
    has.flags &= static_cast<std::uint16_t>(~flag::send_flush);
    why = "fewer features";
  }
  SECTION("without FUA") {
    has.flags &= static_cast<std::uint16_t>(~flag::send_fua);
    why = "fewer features";
  }
  SECTION("with larger blocks") {
    has.block_minimum = 4096;
    why = "tighter block sizes";
  }
  SECTION("with shorter payloads") {
    has.payload_maximum = 1 << 20;
    why = "tighter block sizes";
  }
  SECTION("without structured replies") {
    has.structured = false;
    why = "fewer features";  // DF is one of them.
  }
  has.shutdown = 1.0;
  Asked read(Command::read, 0, 4096, world.io.now());
  world.disc->submit(read);
  world.run_until([&] { return world.disc->stats()->state == stats::DiscState::held; });
  CHECK(world.disc->stats()->problem().find(why) != std::string::npos);
  CHECK(read.answers == 0);

  world.tail.options = had;
  world.run_until([&] { return read.answers == 1; });
  CHECK(read.error == 0);
}

TEST_CASE("H10 a disc that came back larger, or with more, goes on as it was", "[disc][sim]") {
  constexpr std::uint16_t few = sim::all_flags & ~nbd::transmission_flag::send_cache;
  World world(1, {}, {.flags = few});
  world.run_until([&] { return world.disc->info() != nullptr; });
  const nbd::ExportInfo before = *world.disc->info();
  world.tail.data.resize(128 << 10);
  world.tail.options.flags = sim::all_flags;
  world.tail.options.shutdown = 0.5;
  Asked read(Command::read, 0, 4096, world.io.now());
  world.disc->submit(read);
  world.run_until([&] { return read.answers == 1; });
  CHECK(read.error == 0);
  CHECK(*world.disc->info() == before);
}

TEST_CASE("a disc counts the connections that were made again, not the attempts", "[disc][sim]") {
  World world(1, {}, {});
  world.run_until([&] { return world.disc->info() != nullptr; });
  CHECK(world.disc->stats()->reconnects == 0);
  world.io.faults.refuse = 1.0;
  world.tail.options.shutdown = 1.0;
  Asked read(Command::read, 0, 4096, world.io.now());
  world.disc->submit(read);
  for (int i = 0; i < 10'000; ++i) world.io.step_or_wait();
  CHECK(world.disc->stats()->reconnects == 0);
  world.io.faults.refuse = 0;
  world.tail.options.shutdown = 0;
  world.run_until([&] { return read.answers == 1; });
  CHECK(world.disc->stats()->reconnects == 1);
}

TEST_CASE("T17 a flush is answered when the tail did it, whichever connection dies",
          "[disc][sim]") {
  const auto seed = GENERATE(range(0u, seeds(300)));
  CAPTURE(seed);
  World world(seed, {}, {}, 2);
  world.run_until([&] { return world.disc->stats()->connections == 2; });
  std::deque<Asked> writes;
  for (std::uint64_t i = 0; i < 8; ++i) {
    Asked& next = writes.emplace_back(Command::write, i * 4096, 4096, world.io.now());
    std::fill(next.bytes.begin(), next.bytes.end(), std::byte(i + 1));
    std::copy_n(next.bytes.begin(), 4096, world.model.begin() + static_cast<long>(i * 4096));
    world.disc->submit(next);
  }
  world.run_until([&] {
    return std::all_of(writes.begin(), writes.end(),
                       [](auto& write) { return write.answers == 1; });
  });
  std::deque<Asked> flushes;
  for (int i = 0; i < 4; ++i)
    world.disc->submit(flushes.emplace_back(Command::flush, 0, 0, world.io.now()));
  world.io.faults.reset = 0.3;
  for (unsigned steps = 1 + seed % 20; steps > 0; --steps) world.io.step();
  world.io.faults.reset = 0;
  world.run_until([&] {
    return std::all_of(flushes.begin(), flushes.end(), [](auto& one) { return one.answers > 0; });
  });
  for (const Asked& flush : flushes) {
    CHECK(flush.answers == 1);
    CHECK(flush.error == 0);
  }
  CHECK(world.tail.flushes >= 1);  // They may have shared one.
  CHECK(world.tail.data == world.model);
  CHECK(world.tail.complaints == std::vector<std::string>{});
}

TEST_CASE("a disc whose requests wait is noticed while they wait", "[disc][sim]") {
  World world(1, {.stall = 0}, {});
  world.run_until([&] { return world.disc->info() != nullptr; });
  world.io.faults.reset = 1.0;
  world.io.faults.refuse = 1.0;
  Asked read(Command::read, 0, 4096, world.io.now());
  world.disc->submit(read);
  world.run_until([&] { return world.waits >= 3; });
  CHECK(read.answers == 0);
  world.io.faults = {};
  world.run_until([&] { return read.answers == 1; });
  CHECK(read.error == 0);
}

// Six of one tail, or twenty that nobody used, were looked for one after the other, or a minute
// later.
TEST_CASE("a disc that has lost its tail says so while it has, though nobody asks it anything",
          "[disc][sim]") {
  World world(1, {.stall = 0}, {});
  const auto pass = [&](iouring::Duration time) {
    for (const auto end = world.io.now() + time; world.io.now() < end;) {
      for (int i = 0; i < 100 && world.io.step(); ++i) {
      }
      world.io.advance(5ms);
    }
  };
  world.run_until([&] { return world.disc->info() != nullptr; });
  pass(10s);
  CHECK(world.waits == 0);
  world.io.faults.reset = 1.0;
  world.io.faults.refuse = 1.0;
  world.run_until([&] { return world.disc->stats()->connections == 0; });
  CHECK(world.waits == 1);
  SECTION("refused") {}
  SECTION("unanswered") {
    world.io.faults = {.deaf = true};
  }
  for (int second = 0; second < 20; ++second) {
    const int said = world.waits;
    pass(1500ms);
    CHECK(world.waits > said);
    CHECK(world.waits <= said + 8);
  }
  world.io.faults = {};
  world.run_until([&] { return world.disc->stats()->connections == 1; });
  const int said = world.waits;
  pass(10s);
  CHECK(world.waits == said);
}

TEST_CASE("a disc's first connection is waited for, and told of once", "[disc][sim]") {
  World world(1, {.refuse = 1.0}, {});
  world.run_until([&] { return world.waits >= 3; });
  CHECK(world.openings.empty());
  CHECK(world.disc->stats()->waiting_since_ns != 0);
  SECTION("it comes") {
    world.io.faults = {};
    world.run_until([&] { return world.disc->info() != nullptr; });
    REQUIRE(world.openings.size() == 1);
    CHECK(world.openings[0].error == 0);
  }
  SECTION("it never does") {
    world.disc->close();
    REQUIRE(world.openings.size() == 1);
    CHECK(world.openings[0].error == ESHUTDOWN);
  }
  CHECK(world.disc->stats()->waiting_since_ns == 0);
  const int waits = world.waits;
  world.io.advance(std::chrono::hours(1));
  CHECK(world.waits == waits);
  CHECK(world.openings[0].failed_before);
  CHECK(world.openings[0].until - world.openings[0].since >= disc::Patience::limit * 3);
}

TEST_CASE("a disc that opens at once has not failed before", "[disc][sim]") {
  World world(1, {}, {});
  world.run_until([&] { return world.disc->info() != nullptr; });
  REQUIRE(world.openings.size() == 1);
  CHECK(!world.openings[0].failed_before);
  CHECK(world.openings[0].error == 0);
}

// Each disc had a line, and another one when the tail refused it: thousands, when one tail died.
TEST_CASE("a tail's death is told in a few lines, however many discs it had", "[disc][sim]") {
  struct Closed final : disc::Disc::Owner, disc::Patience::Owner {
    void on_disc_closed(disc::Disc&) noexcept override { ++count; }
    void on_disc_opened(disc::Disc&, const stats::Opening&) noexcept override {}
    void on_waiting(disc::Disc&) noexcept override {}
    unsigned count = 0;
  } owner;
  constexpr unsigned many = 40;
  sim::TailState tail(64 << 10);
  tail.options.flags &= ~nbd::transmission_flag::can_multi_conn;
  sim::SimIo io(1, {.partial = 0}, [&] { return std::make_unique<sim::NbdServer>(tail, 1); });
  io.advance(std::chrono::hours(10'000));  // Past what other tests have said.
  const nbd::ConnectionOptions connection;
  stats::HoldUps hold_ups;
  disc::Patience patience(io, owner, hold_ups);
  std::deque<disc::Disc> discs;
  disc::DiscOptions options{.name = "", .interface = {}, .export_name = "x", .connections = 2};
  options.tail.sin6_addr = {{{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}}};
  options.tail.sin6_port = htons(10810);
  for (unsigned i = 0; i < many; ++i) {
    options.name = "d" + std::to_string(i);
    discs.emplace_back(io, owner, patience, options, connection,
                       std::make_shared<stats::DiscStats>());
  }
  const auto run = [&](stats::DiscState state) {
    const auto there = [&](const disc::Disc& disc) { return disc.stats()->state == state; };
    for (int i = 0; i < 100'000 && !std::all_of(discs.begin(), discs.end(), there); ++i)
      io.step_or_wait();
    CHECK(std::all_of(discs.begin(), discs.end(), there));
  };
  tests::LogLines log;
  for (disc::Disc& disc : discs) disc.open();
  run(stats::DiscState::ready);
  CHECK(log.count("CAN_MULTI_CONN") == 5);

  const auto lose_all = [&] {
    io.faults = {.reset = 1.0, .refuse = 1.0};
    run(stats::DiscState::reconnecting);
    io.faults = {};
  };
  lose_all();
  CHECK(log.count(" (nbd://[fd00::7]:10810/x): ") == 10);
  CHECK(log.count("; connecting again (") == 5);
  for (const disc::Disc& disc : discs) CHECK_FALSE(disc.stats()->problem().empty());

  run(stats::DiscState::ready);
  io.advance(std::chrono::seconds(10));
  tail.data.resize(32 << 10);
  lose_all();
  CHECK(log.count("; connecting again (") == 10);
  run(stats::DiscState::held);
  CHECK(log.count("smaller disc than before; its requests are held (") == 5);

  for (disc::Disc& disc : discs) disc.close();
  for (int i = 0; i < 100'000 && owner.count < many; ++i) io.step_or_wait();
  CHECK(owner.count == many);
}
