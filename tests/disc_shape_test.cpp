// What a disc knows of its tail before there is a connection, from an earlier headd or from the
// catalogue; and what it cannot be.
#include "tests/disc_world.hpp"

using namespace head;
using namespace std::chrono_literals;
using nbd::Command;
using stats::DiscState;
using tests::disc_world::Asked;
using tests::disc_world::well_behaved;
using tests::disc_world::World;
namespace flag = nbd::transmission_flag;

namespace {

constexpr sim::Faults calm{.partial = 0, .stall = 0};
constexpr sim::Faults away{.partial = 0, .reset = 1.0, .refuse = 1.0, .stall = 0};
constexpr std::uint64_t size = 64 << 10;  // Of World's tail.

nbd::ExportInfo shape_of(const sim::TailOptions& options) {
  World world(1, calm, options);
  world.run_until([&] { return world.disc->info() != nullptr; });
  return world.disc->shape().value();
}

struct Remembering : World {
  Remembering(sim::Faults faults, const nbd::ExportInfo& shape, sim::TailOptions options = {},
              unsigned connections = 1, disc::GuardOptions guard = {})
      : World(1, faults, options, connections, guard, disc::Identity::shape, 5s, well_behaved,
              shape) {}

  DiscState state() const { return disc->stats()->state; }
  void reach(DiscState state) {
    run_until([&] { return this->state() == state; });
  }
};

}  // namespace

TEST_CASE("a disc whose shape is known is known before there is a connection", "[disc][sim]") {
  const nbd::ExportInfo shape = shape_of({});
  Remembering world(away, shape);
  REQUIRE(world.disc->info() != nullptr);
  CHECK(world.disc->info()->size == size);
  CHECK(world.disc->info()->flags == shape.flags);
  CHECK(world.disc->info()->block_minimum == 1);
  CHECK(world.state() == DiscState::reconnecting);
  CHECK(world.openings.empty());

  Asked read(Command::read, 100, 4096, world.io.now());
  world.disc->submit(read);
  const auto until = world.io.now() + 3s;
  world.run_until([&] { return world.io.now() >= until; });
  CHECK(read.answers == 0);
  world.io.faults = calm;
  world.run_until([&] { return read.answers == 1; });
  CHECK(read.error == 0);
  CHECK(world.openings.size() == 1);
  CHECK(world.disc->stats()->reconnects == 0);
}

TEST_CASE("a tail that offers less than was known is held, whoever knew it", "[disc][sim]") {
  const std::string why = GENERATE("smaller", "read-only", "tighter block sizes");
  const bool handed = GENERATE(false, true);     // By the headd before, not by the catalogue.
  const bool connected = GENERATE(false, true);  // Before it was handed.
  CAPTURE(why, handed, connected);
  sim::TailOptions options;
  nbd::ExportInfo known = shape_of({});
  if (why == "smaller") known.size *= 2;
  if (why == "read-only") options.flags |= flag::read_only;
  if (why == "tighter block sizes") options.block_minimum = 4096;
  World world(1, calm, options, 1, {}, disc::Identity::shape, 5s, well_behaved,
              handed ? std::nullopt : std::optional(known));
  if (handed && connected)
    world.run_until([&] { return world.disc->stats()->state == DiscState::ready; });
  if (handed) world.disc->inherit({.shape = known});
  CHECK(world.disc->info()->size == known.size);
  CHECK(world.disc->info()->flags == known.flags);
  Asked read(Command::read, 0, 4096, world.io.now());
  world.disc->submit(read);
  world.run_until([&] { return world.disc->stats()->state == DiscState::held; });
  CHECK(world.disc->stats()->problem().find(why) != std::string::npos);
  CHECK(world.tail.reads == 0);

  world.tail.options = {};
  world.tail.data.resize(known.size);
  world.run_until([&] { return read.answers == 1; });
  CHECK(read.error == 0);
  CHECK(world.disc->shape() == known);
}

TEST_CASE("what a tail offers beyond what was known is passed on", "[disc][sim]") {
  nbd::ExportInfo known = shape_of({});
  known.size /= 2;
  known.flags &= static_cast<std::uint16_t>(~flag::send_fua);
  Remembering world(calm, known);
  CHECK_FALSE(world.disc->info()->has(flag::send_fua));
  const bool asked = GENERATE(false, true);
  Asked read(Command::read, 0, 4096, world.io.now());
  if (asked) world.disc->submit(read);
  world.reach(DiscState::ready);
  CHECK(world.disc->info()->size == size);
  CHECK(world.disc->info()->has(flag::send_fua) == !asked);
  CHECK(world.shapes.back() == *world.disc->shape());
  world.run_until([&] { return world.disc->outstanding() == 0; });
}

TEST_CASE("a shape is told when it changes, and not at each connection", "[disc][sim]") {
  World world(1, calm, {});
  world.run_until([&] { return world.disc->info() != nullptr; });
  REQUIRE(world.shapes.size() == 1);
  CHECK(world.shapes[0] == *world.disc->shape());
  for (const std::size_t bytes : {size, 2 * size}) {
    world.tail.data.resize(bytes);
    const auto before = world.tail.connections;
    for (sim::NbdServer* server : world.tail.servers) world.io.hang_up(*server);
    world.run_until([&] {
      return world.tail.connections > before && world.disc->stats()->state == DiscState::ready;
    });
    CHECK(world.shapes.size() == (bytes == size ? 1 : 2));
  }
  CHECK(world.shapes.back().size == 2 * size);
}

TEST_CASE("as many connections are made as before", "[disc][sim]") {
  Remembering world(calm, shape_of({}), {}, 3);
  world.run_until([&] { return world.disc->stats()->connections == 3; });
  const auto until = world.io.now() + 1s;
  while (world.io.now() < until)
    if (!world.io.step()) world.io.advance(1ms);
  CHECK(world.disc->stats()->connections == 3);
  CHECK(world.tail.connections == 3);
}

TEST_CASE("a log is kept where the tail turns out to offer more", "[disc][durability][sim]") {
  disc::ReplayMemory memory(1 << 20);
  const disc::GuardOptions guard{.durability = nbd::Durability::replay, .memory = &memory};
  nbd::Legacy legacy;
  {
    World before(1, calm, {}, 1, guard);
    before.run_until([&] { return before.disc->info() != nullptr; });
    Asked write(Command::write, 8192, 512, before.io.now());
    std::fill(write.bytes.begin(), write.bytes.end(), std::byte{9});
    before.disc->submit(write);
    before.run_until([&] { return write.answers == 1; });
    before.disc->close();
    before.run_until([&] { return before.closed; });
    legacy = before.disc->legacy();
  }
  REQUIRE_FALSE(legacy.log.empty());
  nbd::ExportInfo known = *legacy.shape;
  known.flags &= static_cast<std::uint16_t>(~flag::send_fua);
  legacy.shape = known;
  Remembering after(away, known, {}, 1, guard);
  after.disc->inherit(legacy);
  after.io.faults = calm;
  after.run_until([&] { return after.tail.data[8192] == std::byte{9}; });
}

TEST_CASE("the grace time runs from the start where the shape is known", "[disc][sim]") {
  Remembering world(away, shape_of({}));
  world.disc->set({.grace = 2s});
  Asked read(Command::read, 0, 512, world.io.now());
  world.disc->submit(read);
  world.run_until([&] { return read.answers == 1; });
  CHECK(read.error == EIO);
  CHECK(world.state() == DiscState::failing);
}

TEST_CASE("a size that no disc can have is told of where nothing is known", "[disc][sim]") {
  const bool known = GENERATE(false, true);
  World world(1, calm, {}, 1, {}, disc::Identity::shape, 5s, well_behaved,
              known ? std::optional(shape_of({})) : std::nullopt);
  world.tail.data.resize(511);
  world.tail.options.block_minimum = 512;
  const auto tried = [&] { return !world.disc->stats()->problem().empty(); };
  world.run_until(tried);
  CHECK(world.unusable.empty() == known);
  CHECK(world.disc->stats()->problem().find("511 bytes") != std::string::npos);
}

// A shape in other units could be written down, and not be read again.
TEST_CASE("a disc grows by whole blocks, as its guests know them", "[disc][sim]") {
  nbd::ExportInfo known = shape_of({});
  known.block_minimum = 4096;
  known.size = size - 4096;
  sim::TailOptions options;
  options.block_minimum = 512;
  Remembering world(calm, known, options);
  Asked read(Command::read, 0, 4096, world.io.now());
  world.disc->submit(read);
  world.tail.data.resize(size + 512);
  world.run_until([&] { return read.answers == 1; });
  CHECK(world.disc->info()->size == size);
  CHECK(nbd::size_is_sound(world.disc->shape().value()));
}
