// A tail that comes back with another disc, told from the right one by its first block.
#include "tests/disc_world.hpp"

using namespace head;
using namespace std::chrono_literals;
using disc::FirstBlock;
using nbd::Command;
using stats::DiscState;
using tests::disc_world::Asked;
using tests::disc_world::World;
using Verdict = FirstBlock::Verdict;

namespace {

constexpr sim::Faults calm{.partial = 0, .stall = 0};
constexpr iouring::Instant now{1h};

struct Memory {  // Of the log; it outlives the disc.
  disc::ReplayMemory memory{1 << 20};
};

struct Opened : Memory, World {
  explicit Opened(nbd::Durability durability = nbd::Durability::writeback,
                  sim::TailOptions options = {})
      : World(1, calm, options, 1, {.durability = durability, .memory = &memory},
              disc::Identity::first_block) {
    tail.stable = tail.data;
    run_until([this] { return disc->info() != nullptr; });
    pass(100ms);
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
  void write(std::uint64_t offset, std::byte value) {
    Asked& one = asked.emplace_back(Command::write, offset, 512, io.now());
    std::fill(one.bytes.begin(), one.bytes.end(), value);
    disc->submit(one);
    run_until([&] { return one.answers == 1; });
    CHECK(one.error == 0);
  }
  void pass(iouring::Duration time) {
    const auto until = io.now() + time;
    while (io.now() < until)
      if (!io.step()) io.advance(1ms);
  }
  void hang_up() {
    for (sim::NbdServer* server : tail.servers) io.hang_up(*server);
  }
  DiscState state() const { return disc->stats()->state; }

  std::deque<Asked> asked;
};

nbd::ExportInfo shape(std::uint64_t size, std::uint32_t minimum = 1) {
  return {.size = size, .block_minimum = minimum};
}

}  // namespace

TEST_CASE("the first block is as long as the tail's blocks allow", "[disc][identity]") {
  struct Case {
    nbd::ExportInfo tail;
    std::uint32_t length;
  };
  for (const auto& [tail, length] :
       {Case{shape(1 << 20), 4096}, Case{shape(1 << 20, 512), 4096},
        Case{shape(1 << 20, 65536), 65536}, Case{shape(1000), 1000}, Case{shape(1000, 512), 512},
        Case{shape(1 << 10, 4096), 0}, Case{shape(0), 0}}) {
    FirstBlock block;
    block.learn(tail);
    CHECK(block.length() == length);
    CHECK(block.readable(tail) == (length != 0));
    CHECK_FALSE(block.readable(shape(100)));
  }
}

TEST_CASE("what the first block must be is known while nobody changes it", "[disc][identity]") {
  FirstBlock block;
  block.learn(shape(1 << 20));
  CHECK(block.may_look(now));
  CHECK(block.judge(block.version(), 1) == Verdict::not_compared);
  block.take_stock(block.version(), 1);
  CHECK_FALSE(block.may_look(now));
  CHECK(block.judge(block.version(), 1) == Verdict::same);
  CHECK(block.judge(block.version(), 2) == Verdict::another);
  CHECK(block.judge(block.version(), std::nullopt) == Verdict::not_compared);

  Asked elsewhere(Command::write, 4096, 512, now), read(Command::read, 0, 512, now);
  Asked write(Command::write, 4095, 512, now), trim(Command::trim, 0, 512, now);
  for (Asked* harmless : {&elsewhere, &read}) {
    block.sent(*harmless);
    block.returned(*harmless, {});
  }
  CHECK(block.judge(block.version(), 2) == Verdict::another);

  const auto before = block.version();
  block.sent(write);
  block.sent(trim);
  CHECK(block.judge(before, 1) == Verdict::not_compared);
  block.returned(write, {});
  CHECK_FALSE(block.may_look(now));
  block.take_stock(block.version(), 3);
  CHECK_FALSE(block.known());
  block.returned(trim, now + 1s);
  CHECK_FALSE(block.may_look(now));  // Its ghost may come.
  CHECK(block.may_look(now + 1s));
  block.take_stock(before, 3);  // A look that began before.
  CHECK_FALSE(block.known());
  block.take_stock(block.version(), 4);
  CHECK(block.known() == 4u);

  const auto look = block.version();
  block.inherit(4096, 7);
  CHECK(block.known() == 7u);
  block.take_stock(look, 4);
  CHECK(block.known() == 7u);
  block.inherit(512, 8);  // Of another length: nothing is known.
  CHECK_FALSE(block.known());
}

TEST_CASE("a tail that comes back with another disc is held until the right one is there",
          "[disc][identity][sim]") {
  Opened world;
  const auto right = world.tail.data;
  world.tail.data[100] ^= std::byte{1};
  world.hang_up();
  world.run_until([&] { return world.state() == DiscState::held; });
  CHECK(world.disc->stats()->problem().find("the first block is not the one it was") == 0);
  Asked& read = world.ask(Command::read);
  Asked& write = world.ask(Command::write, 8192);
  const auto writes = world.tail.writes;
  world.pass(60s);
  CHECK(read.answers == 0);
  CHECK(write.answers == 0);
  CHECK(world.tail.writes == writes);
  CHECK(world.tail.connections > 5);
  CHECK(world.tail.connections < 100);

  SECTION("by itself") {
    world.tail.data = right;
    world.run_until([&] { return write.answers == 1 && read.answers == 1; });
    CHECK(read.bytes[100] == right[100]);
  }
  SECTION("or an operator says that it is") {
    world.disc->accept();
    const auto asked_at = world.io.now();
    world.run_until([&] { return write.answers == 1 && read.answers == 1; });
    CHECK(world.io.now() - asked_at < 1s);
    CHECK((read.bytes[100] == (right[100] ^ std::byte{1})));
    // From then on that is the right one.
    world.pass(10s);
    world.hang_up();
    world.run_until([&] { return world.state() == DiscState::reconnecting; });
    world.run_until([&] { return world.state() == DiscState::ready; });
  }
}

TEST_CASE("what guests wrote to the first block is the disc's", "[disc][identity][sim]") {
  const auto durability = GENERATE(nbd::Durability::writeback, nbd::Durability::replay);
  Opened world(durability);
  const auto flushes = world.tail.flushes;
  world.write(0, std::byte{7});
  SECTION("compared once it was flushed and read") {
    world.pass(12s);
    CHECK(world.tail.flushes > flushes);
    const auto reads = world.tail.reads;
    world.pass(60s);
    CHECK(world.tail.reads == reads);  // Once is enough.
    world.tail.stable[5] = world.tail.data[5] = std::byte{8};
    world.hang_up();
    world.run_until([&] { return world.state() == DiscState::held; });
  }
  SECTION("not compared before: a tail that crashed may have the older one") {
    world.tail.data = world.tail.stable;
    world.hang_up();
    world.run_until([&] { return world.disc->stats()->reconnects == 1; });
    CHECK(world.state() == DiscState::ready);
  }
}

TEST_CASE("a tail that moves to another disc does not take over", "[disc][identity][sim]") {
  Opened world;
  const auto connections = world.tail.connections;
  world.tail.data[0] ^= std::byte{1};
  world.disc->relocate();
  world.run_until([&] { return world.tail.connections == connections + 1; });
  world.pass(1s);
  CHECK(world.state() == DiscState::ready);
  CHECK(world.disc->stats()->reconnects == 0);
  // Whatever is written on the connection that serves on, the other disc is not accepted unseen.
  world.write(0, std::byte{7});
  world.hang_up();
  world.run_until([&] { return world.state() == DiscState::held; });
}

TEST_CASE("a tail of which only the wire speaks, against a pin, shows what is known of the disc",
          "[disc][identity][sim]") {
  Opened world;
  stats::DiscStats& stats = *world.disc->stats();
  const auto elsewhere = [&](std::uint64_t rumour = 0x020000000001) {
    stats.rumoured_at = rumour;
    world.disc->relocate();
    world.hang_up();
  };
  const auto hide = [&] { world.tail.options.read_max = 512; };  // Reads of the block fail.
  SECTION("where it has it") {
    elsewhere();
    world.pass(2s);
    CHECK(world.state() == DiscState::ready);
    CHECK_FALSE(stats.must_prove());
    hide();
    SECTION("once") {
      world.hang_up();
      world.pass(2s);
      CHECK(world.state() == DiscState::ready);
    }
    SECTION("and again where it is said to have come back") {
      stats.rumoured_at = 0;
      elsewhere(0x0001'020000000001);
      world.run_until([&] { return world.state() == DiscState::held; });
    }
  }
  SECTION("and is held where it does not") {
    hide();
    elsewhere();
    world.run_until([&] { return world.state() == DiscState::held; });
    CHECK(stats.must_prove());
    Asked& waits = world.ask(Command::read, 4096);
    world.pass(10s);
    CHECK(world.state() == DiscState::held);
    CHECK(waits.answers == 0);
    SECTION("until an operator accepts it") {
      world.disc->accept();
    }
    SECTION("until it is where it was told to be") {
      stats.rumoured_at = 0;
      world.disc->relocate();
    }
    SECTION("until it does") {
      world.tail.options.read_max = sim::TailOptions().read_max;
    }
    world.run_until([&] { return waits.answers == 1; });
    CHECK(waits.error == 0);
    CHECK(world.state() == DiscState::ready);
  }
  SECTION("and what was opened before that was known does not serve on") {
    hide();
    stats.rumoured_at = 0x020000000001;
    world.disc->relocate();
    world.run_until([&] { return world.state() == DiscState::held; });
  }
  SECTION("and is held where nothing is known") {
    world.write(0, std::byte{7});
    elsewhere();
    world.run_until([&] { return world.state() == DiscState::held; });
    CHECK(stats.problem().find("nothing is known here") != std::string::npos);
    SECTION("until an operator accepts it") {
      world.disc->accept();
    }
    SECTION("until it is where it was told to be") {
      stats.rumoured_at = 0;
      world.disc->relocate();
    }
    world.run_until([&] { return world.state() == DiscState::ready; });
  }
  SECTION("and serves nobody on a connection of before that was known") {
    // The kernel sends there what is asked on it, and nobody says that it is to connect anew.
    const auto writes = world.tail.writes;
    hide();
    stats.rumoured_at = 0x020000000001;
    Asked& waits = world.ask(Command::write, 8192);
    world.run_until([&] { return world.state() == DiscState::held; });
    CHECK(waits.answers == 0);
    CHECK(world.tail.writes == writes);
    CHECK(stats.problem().find("02:00:00:00:00:01, which claims") != std::string::npos);
  }
  SECTION("where an operator accepts who was looked at, and nobody else") {
    hide();
    elsewhere();
    world.run_until([&] { return world.state() == DiscState::held; });
    stats.rumoured_at = 0x030000000002;
    world.disc->accept();
    world.pass(2s);
    CHECK(world.state() == DiscState::held);
    CHECK(stats.must_prove());
    world.disc->accept();
    world.run_until([&] { return world.state() == DiscState::ready; });
  }
  SECTION("and what it has, though it is something else, once an operator accepts it") {
    world.tail.data[100] ^= std::byte{1};
    elsewhere();
    world.run_until([&] { return world.state() == DiscState::held; });
    CHECK(stats.problem().find("does not have what was written") != std::string::npos);
    world.disc->accept();
    world.run_until([&] { return world.state() == DiscState::ready; });
  }
  SECTION("where zeros are no evidence: any blank disc has them") {
    std::fill_n(world.tail.data.begin(), 4096, std::byte{});
    world.write(0, std::byte{});
    world.pass(20s);  // It is learned anew.
    elsewhere();
    world.run_until([&] { return world.state() == DiscState::held; });
    CHECK(stats.must_prove());
  }
  SECTION("which nothing says any more once it was back where it was told to be") {
    elsewhere();
    world.pass(2s);
    CHECK(stats.proven_at == 0x020000000001);
    stats.rumoured_at = 0;
    world.disc->relocate();
    world.pass(2s);
    CHECK(stats.proven_at == 0);
  }
}

TEST_CASE("a first block that cannot be read is not compared", "[disc][identity][sim]") {
  Opened world;
  world.tail.options.read_max = 512;
  world.hang_up();
  world.run_until([&] { return world.disc->stats()->reconnects == 1; });
  CHECK(world.state() == DiscState::ready);
}

TEST_CASE("a first block that can never be read is tried now and then", "[disc][identity][sim]") {
  Opened world(nbd::Durability::writeback, {.read_max = 512});
  world.pass(60s);
  CHECK(world.tail.reads >= 8);
  CHECK(world.tail.reads <= 14);
  CHECK(world.state() == DiscState::ready);
}

TEST_CASE("a tail that does not answer the look at its first block is not waited for",
          "[disc][identity][sim]") {
  Opened world;
  world.tail.options.silent = true;
  world.hang_up();
  Asked& read = world.ask(Command::read);
  world.pass(30s);
  CHECK(world.tail.connections > 2);
  world.tail.options.silent = false;
  world.run_until([&] { return read.answers == 1; });
  CHECK(read.error == 0);
}

TEST_CASE("the next headd knows what the first block was, and what was not flushed",
          "[disc][identity][sim]") {
  nbd::Legacy legacy;
  sim::Bytes data;
  const bool dirty = GENERATE(false, true);
  {
    Opened before(nbd::Durability::replay);
    before.pass(10s);
    if (dirty) before.write(8192, std::byte{9});
    before.disc->close();
    before.run_until([&] { return before.closed; });
    legacy = before.disc->legacy();
    data = before.tail.stable;
  }
  CHECK(legacy.first_block_length == 4096);
  CHECK(legacy.log.empty() == !dirty);

  const bool another = GENERATE(false, true);
  const bool connected = GENERATE(false, true);  // It was, before it had the legacy.
  CAPTURE(another, connected);
  disc::ReplayMemory memory(1 << 20);
  World after(2, calm, {}, 1, {.durability = nbd::Durability::replay, .memory = &memory},
              disc::Identity::first_block);
  after.tail.data = data;
  if (another) after.tail.data[0] ^= std::byte{1};
  after.tail.stable = after.tail.data;
  if (connected) after.run_until([&] { return after.tail.flushes > 0; });
  after.disc->inherit(legacy);
  if (another) {
    after.run_until([&] { return after.disc->stats()->state == DiscState::held; });
    CHECK(after.tail.writes == 0);
    return;
  }
  after.run_until([&] { return after.disc->stats()->state == DiscState::ready; });
  if (dirty) after.run_until([&] { return after.tail.data[8192] == std::byte{9}; });
}

TEST_CASE("where ghosts may come goes along to the next headd", "[disc][durability][sim]") {
  World world(1, calm, {});
  world.run_until([&] { return world.disc->info() != nullptr; });
  const auto until = world.io.now() + 700ms;
  nbd::Legacy legacy;
  legacy.doubts = {{.offset = 512,
                    .length = 512,
                    .until_ns = std::chrono::nanoseconds(until.time_since_epoch()).count()}};
  world.disc->inherit(legacy);
  legacy.shape = world.disc->shape();
  CHECK(world.disc->legacy() == legacy);
  Asked there(Command::write, 900, 512, world.io.now());
  Asked elsewhere(Command::write, 4096, 512, world.io.now());
  world.disc->submit(there);
  world.disc->submit(elsewhere);
  world.run_until([&] { return elsewhere.answers == 1; });
  CHECK(there.answers == 0);
  world.run_until([&] { return there.answers == 1; });
  CHECK(world.io.now() >= until);
  CHECK(world.disc->legacy() == nbd::Legacy{.shape = legacy.shape});
}
