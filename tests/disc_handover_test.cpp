// A disc whose connections go along to the next headd, in the simulated world.
#include "tests/disc_world.hpp"
#include "tests/seeds.hpp"

using namespace head;
using nbd::Command;
using tests::seeds;
using tests::disc_world::Asked;
using tests::disc_world::World;
using namespace std::chrono_literals;

namespace {

constexpr sim::Faults calm{.partial = 0, .stall = 0};

// One headd's disc, and the next headd's, which waits for what comes.
struct Upgrade : World {
  explicit Upgrade(unsigned connections = 1, std::uint64_t seed = 1, sim::Faults faults = calm,
                   disc::Identity identity = disc::Identity::shape)
      : World(seed, faults, {}, connections, {}, identity) {
    run_until([&] { return disc->stats()->connections == connections; });
    make_next(connections, identity);
  }
  ~Upgrade() { next_part(); }

  void make_next(unsigned connections, disc::Identity identity) {
    next = std::make_unique<disc::Disc>(io, *this, patience,
                                        disc::DiscOptions{.name = "d",
                                                          .interface = {},
                                                          .export_name = "x",
                                                          .connections = connections,
                                                          .identity = identity,
                                                          .shape = disc->shape(),
                                                          .awaits_connections = true},
                                        connection, std::make_shared<stats::DiscStats>());
    next->open();
  }
  void hand_over(std::size_t most = 8) {
    disc->hand_over(most);
    run_until([&] { return closed; });
    legacy = disc->legacy();
    handed = disc->connections();
  }
  void take_up() { next->inherit(legacy, std::move(handed)); }
  void run_for(iouring::Duration time) {
    const auto until = io.now() + time;
    while (io.now() < until && io.step_or_wait()) {
    }
  }
  void ask(Command command, std::uint64_t from = 0) { ask_of(*next, command, from); }
  void ask_of(disc::Disc& of, Command command, std::uint64_t from = 0) {
    Asked asked(command, from, command == Command::flush ? 0 : 512, io.now());
    of.submit(asked);
    run_until([&] { return asked.answers == 1; });
    CHECK(asked.error == 0);
  }

  // The world ends the first one.
  void next_part() {
    closed = false;
    next->close();
    run_until([&] { return closed; });
    next.reset();
  }

  std::unique_ptr<disc::Disc> next;
  nbd::Legacy legacy;
  std::vector<nbd::HandedConnection> handed;
};

}  // namespace

TEST_CASE("grace that is over stays over with the next headd", "[disc][handover][sim]") {
  const bool failing = GENERATE(false, true);
  Upgrade world;
  world.disc->set({.grace = 5s});
  world.io.faults.refuse = world.io.faults.reset = 1.0;
  world.run_for(failing ? 6s : 2s);
  CHECK((world.disc->stats()->state == stats::DiscState::failing) == failing);
  world.hand_over();
  world.next->set({.grace = 5s});
  world.take_up();
  world.run_for(1s);
  CHECK((world.next->stats()->state == stats::DiscState::failing) == failing);
  world.run_for(3s);
  CHECK(world.next->stats()->state == stats::DiscState::failing);
  world.io.faults = {};
  world.run_until([&] { return world.next->stats()->state == stats::DiscState::ready; });
}

TEST_CASE("a disc goes on over the connection of the headd before", "[disc][handover][sim]") {
  const auto seed = GENERATE(range(0u, seeds(30)));
  const auto identity =
      GENERATE(disc::Identity::shape, disc::Identity::last_writes, disc::Identity::first_block);
  CAPTURE(seed);
  Upgrade world(1, seed, {}, identity);
  world.ask_of(*world.disc, Command::write, 8192);
  world.ask_of(*world.disc, Command::flush);
  world.hand_over();
  REQUIRE(world.handed.size() == 1);
  CHECK(world.legacy.last_writes.empty() == (identity == disc::Identity::shape));
  const auto reads = world.tail.reads;
  world.take_up();
  CHECK(world.next->stats()->state == stats::DiscState::ready);
  world.ask(Command::write);
  CHECK(world.tail.reads == reads);  // Nothing was to be proved.
  CHECK(world.tail.connections == 1);
  CHECK(world.next->stats()->reconnects == 0);
}

TEST_CASE("a connection that is made anew is asked for what was written last",
          "[disc][handover][sim]") {
  Upgrade world(1, 1, calm, disc::Identity::last_writes);
  world.ask_of(*world.disc, Command::write, 8192);
  world.ask_of(*world.disc, Command::flush);
  world.hand_over(0);
  const auto reads = world.tail.reads;
  SECTION("and has it") {
    world.take_up();
    world.ask(Command::write, 0);
    CHECK(world.tail.reads == reads + 1);
  }
  SECTION("or has not, and the disc is held until an operator accepts it") {
    world.legacy.last_writes.front().content += 1;
    world.take_up();
    world.run_until([&] { return world.next->stats()->state == stats::DiscState::held; });
    CHECK(world.next->stats()->problem().find("at offset 8192") != std::string::npos);
    world.next->accept();
    world.ask(Command::write, 0);
    CHECK(world.next->stats()->state == stats::DiscState::ready);
  }
}

// A tail of one client would turn it away, or the other one.
TEST_CASE("a disc that waits for connections makes none", "[disc][handover][sim]") {
  Upgrade world;
  world.run_for(20s);
  CHECK(world.tail.connections == 1);
  CHECK(world.next->stats()->state == stats::DiscState::connecting);
  CHECK(!world.next->waiting_since());
  world.hand_over(0);
  CHECK(world.handed.empty());
  world.take_up();
  world.ask(Command::read);
  CHECK(world.tail.connections == 2);
}

TEST_CASE("a connection on which something is unanswered does not go along",
          "[disc][handover][sim]") {
  Upgrade world;
  world.tail.options.silent = true;
  Asked read(Command::read, 0, 512, world.io.now());
  world.disc->submit(read);
  for (int i = 0; i < 20; ++i) world.io.step();
  world.hand_over();
  CHECK(read.error == ESHUTDOWN);
  CHECK(world.handed.empty());
  world.tail.options.silent = false;
  world.take_up();
  world.ask(Command::read);
  CHECK(world.tail.connections == 2);
}

TEST_CASE("what the disc asked for itself is answered before its connection goes along",
          "[disc][handover][sim]") {
  const auto seed = GENERATE(range(0u, seeds(30)));
  CAPTURE(seed);
  const bool answers = GENERATE(true, false);
  Upgrade world(1, seed, {}, disc::Identity::first_block);
  world.tail.options.late_flush = answers ? 0 : 1;  // Never.
  world.run_until([&] { return world.tail.flushes != 0; });
  const auto began = world.io.now();
  world.hand_over();
  CHECK(world.handed.size() == (answers ? 1 : 0));
  CHECK(world.io.now() - began < 1s);
}

TEST_CASE("a connection to another place than the disc's is not gone on with",
          "[disc][handover][sim]") {
  Upgrade world;
  world.hand_over();
  REQUIRE(world.handed.size() == 1);
  SECTION("another address") {
    world.handed[0].to.address[15] ^= 1;
  }
  SECTION("another port") {
    world.handed[0].to.port = 1;
  }
  SECTION("another interface") {
    world.handed[0].to.interface = "lo";
  }
  SECTION("another export") {
    world.handed[0].to.export_name = "y";
  }
  SECTION("no socket") {
    world.handed[0].socket = {};
  }
  world.take_up();
  world.ask(Command::read);
  CHECK(world.tail.connections == 2);
}

TEST_CASE("a disc that moves while it waits connects anew, and is served until then",
          "[disc][handover][sim]") {
  Upgrade world;
  world.next->relocate();
  world.hand_over();
  world.io.faults.refuse = 1.0;
  world.take_up();
  world.ask(Command::read);
  CHECK(world.tail.connections == 1);
  world.io.faults.refuse = 0;
  world.run_until([&] { return world.tail.connections == 2; });
  world.ask(Command::read);
  world.run_until([&] { return world.io.sockets_open() == 1; });
}

// Whoever goes on would be asking where the disc was.
TEST_CASE("a connection whose disc has moved does not go along", "[disc][handover][sim]") {
  Upgrade world;
  world.io.faults.refuse = 1.0;
  world.disc->relocate();
  for (int i = 0; i < 50; ++i) world.io.step_or_wait();
  CHECK(world.disc->stats()->connections == 1);
  world.hand_over();
  CHECK(world.handed.empty());
  world.io.faults.refuse = 0;
}

TEST_CASE("a connection that has died meanwhile is a lost one", "[disc][handover][sim]") {
  Upgrade world;
  world.hand_over();
  world.take_up();
  world.io.hang_up(*world.newest.back());
  world.ask(Command::read);
  CHECK(world.tail.connections == 2);
  CHECK(world.next->stats()->reconnects == 1);
}

TEST_CASE("as many connections go along as there is room for", "[disc][handover][sim]") {
  Upgrade world(3);
  world.hand_over(2);
  CHECK(world.handed.size() == 2);
  world.take_up();
  CHECK(world.next->stats()->connections == 2);
  world.run_until([&] { return world.next->stats()->connections == 3; });
  CHECK(world.tail.connections == 4);
}
