// What a disc promises of acknowledged writes, on a tail that loses what is not flushed, is late
// with what it was sent, and carries it out after its connection was reset.
#include "tests/disc_world.hpp"
#include "tests/seeds.hpp"

#include <cstring>
#include <list>
#include <set>

using namespace head;
using nbd::Command;
using nbd::Durability;
using tests::seeds;
using tests::disc_world::Asked;
using tests::disc_world::World;

namespace {

constexpr std::uint32_t block = 512;
constexpr std::uint32_t blocks = 40;  // Few, so that changes meet.

// What may be read of one block. The guest has one change of it under way at most, as the order of
// more is nobody's promise, but the next one follows at once.
struct Block {
  std::uint32_t latest = 0;
  std::uint64_t changes = 0;        // Acknowledged so far: zeroes may come twice.
  std::set<std::uint32_t> earlier;  // That a crash may bring back, where it is allowed to.
  bool crashed_since = false;
  bool busy = false;
};

std::uint32_t value_of(const std::byte* at) {
  std::uint32_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return value;
}

struct Trial {
  Durability durability = Durability::replay;
  sim::TailOptions tail{};
  sim::Faults faults{};
  unsigned connections = 1;
  double crash = 0.0;
  double relocate = 0.0;
  std::size_t memory = 1 << 20;
  std::chrono::milliseconds quarantine{600};
};

class Story {
 public:
  Story(std::uint64_t seed, const Trial& trial)
      : trial_(trial),
        memory_(trial.memory),
        world_(seed, trial.faults, trial.tail, trial.connections,
               {.durability = trial.durability, .quarantine = trial.quarantine, .memory = &memory_},
               // A disc that never is another one must never be taken for one, whatever it loses.
               seed % 2 == 0 ? disc::Identity::shape : disc::Identity::first_block,
               std::chrono::milliseconds(2)) {
    std::fill(world_.tail.data.begin(), world_.tail.data.end(), std::byte{});
    world_.tail.stable = world_.tail.data;
    world_.connection.poison_attempts = 0;  // Whom connections die with is chance here.
    world_.run_until([&] { return world_.disc->info() != nullptr; });
  }

  void tell(int events) {
    for (int i = 0; i < events; ++i) {
      if (asked_.size() < 24) ask();
      for (std::size_t steps = world_.io.pick(12); steps != 0; --steps) live();
      if (world_.io.chance(trial_.crash)) crash();
      if (world_.io.chance(trial_.relocate)) world_.disc->relocate();
      hear();
    }
    for (int i = 0; i < 400'000 && !asked_.empty(); ++i) {
      live();
      hear();
    }
    REQUIRE(asked_.empty());
    // Everything, once more, behind the last ghost.
    for (int i = 0; i < 3'000; ++i) live();
    if (trial_.durability != Durability::writeback) crash();
    read_all();
    REQUIRE(world_.tail.complaints == std::vector<std::string>{});
    CHECK(most_ <= trial_.memory);
  }

  World& world() { return world_; }
  std::uint64_t checked = 0;

 private:
  struct Going {
    Asked asked;
    std::uint32_t first, count, value;
    std::vector<std::uint64_t> covers;  // FLUSH: how many changes were acknowledged before it.
    bool crashed = false;               // Since it was asked.

    Going(Command command, std::uint32_t from, std::uint32_t many, std::uint32_t with,
          iouring::Instant now)
        : asked(command, from * block, many * block, now), first(from), count(many), value(with) {
      if (command == Command::write)
        for (std::size_t at = 0; at < asked.bytes.size(); at += sizeof value)
          std::memcpy(asked.bytes.data() + at, &value, sizeof value);
      if (command == Command::flush) asked.memory = {};
    }
  };

  void live() {
    sim::NbdServer::carry_out_late(world_.tail, world_.io);
    if (!world_.io.step()) world_.io.advance(std::chrono::milliseconds(1));
    most_ = std::max(most_, memory_.chunks_in_use() * disc::ReplayMemory::chunk_size);
    if (trial_.crash == 0) check_tail();
  }

  // A tail that loses nothing holds all that was acknowledged, at any time: headd may be killed.
  void check_tail() {
    for (std::size_t i = 0; i < all_.size(); ++i) {
      const std::uint32_t there = value_of(world_.tail.data.data() + i * block);
      if (all_[i].busy || there == all_[i].latest) continue;
      INFO("block " << i);
      REQUIRE(there == all_[i].latest);
    }
  }

  void crash() {
    sim::NbdServer::crash(world_.tail, world_.io);
    for (Block& one : all_) one.crashed_since = true;
    for (auto& going : asked_) going.crashed = true;
  }

  void ask() {
    const std::size_t dice = world_.io.pick(20);
    if (dice == 0) return ask(Command::flush, 0, 0);
    const auto first = static_cast<std::uint32_t>(world_.io.pick(blocks));
    const auto count = static_cast<std::uint32_t>(1 + world_.io.pick(std::min(6u, blocks - first)));
    for (std::uint32_t i = first; i < first + count; ++i)
      if (all_[i].busy) return;
    ask(dice < 8    ? Command::read
        : dice < 10 ? Command::write_zeroes
                    : Command::write,
        first, count);
  }

  void ask(Command command, std::uint32_t first, std::uint32_t count) {
    const std::uint32_t value = command == Command::write ? ++last_value_ : 0;
    Going& going = asked_.emplace_back(command, first, count, value, world_.io.now());
    if (command == Command::write && world_.io.chance(0.1))
      going.asked.flags = nbd::command_flag::fua;
    for (std::uint32_t i = first; i < first + count; ++i) all_[i].busy = true;
    if (command == Command::flush)
      for (const Block& one : all_) going.covers.push_back(one.changes);
    world_.disc->submit(going.asked);
  }

  void hear() {
    for (auto going = asked_.begin(); going != asked_.end();) {
      if (going->asked.answers == 0) {
        ++going;
        continue;
      }
      REQUIRE(going->asked.answers == 1);
      REQUIRE(going->asked.error == 0);
      hear(*going);
      for (std::uint32_t i = 0; i < going->count; ++i) all_[going->first + i].busy = false;
      going = asked_.erase(going);
    }
  }

  void hear(const Going& going) {
    if (going.asked.command == Command::flush) return hear_flush(going);
    for (std::uint32_t i = 0; i < going.count; ++i) {
      Block& one = all_[going.first + i];
      if (going.asked.command == Command::read) {
        check(one, value_of(going.asked.bytes.data() + i * block));
        continue;
      }
      one.earlier.insert(one.latest);
      one.latest = going.value;
      ++one.changes;
      const bool stable = (going.asked.flags & nbd::command_flag::fua) != 0 && !going.crashed;
      if (stable) one.earlier.clear();
      // Answered by a tail that has crashed since, perhaps.
      one.crashed_since = going.crashed;
    }
  }

  // Where the tail has not crashed since they were acknowledged.
  void hear_flush(const Going& going) {
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (all_[i].changes == going.covers[i] && !all_[i].crashed_since && !going.crashed)
        all_[i].earlier.clear();
  }

  void check(const Block& one, std::uint32_t value) {
    ++checked;
    if (value == one.latest) return;
    const bool may_lose = trial_.durability == Durability::writeback && one.crashed_since;
    INFO("read " << value << ", not " << one.latest);
    REQUIRE(may_lose);
    REQUIRE(one.earlier.count(value) == 1);
  }

  void read_all() {
    for (std::uint32_t i = 0; i < blocks; ++i) ask(Command::read, i, 1);
    for (int i = 0; i < 400'000 && !asked_.empty(); ++i) {
      live();
      hear();
    }
    REQUIRE(asked_.empty());
  }

  const Trial trial_;
  std::list<Going> asked_;
  disc::ReplayMemory memory_;
  World world_;
  std::array<Block, blocks> all_;
  std::uint32_t last_value_ = 0;
  std::size_t most_ = 0;
};

void tell(std::uint64_t seed, const Trial& trial) {
  Story story(seed, trial);
  story.tell(500);
  CHECK(story.checked > blocks);
}

constexpr std::uint16_t no_fua = sim::all_flags & ~nbd::transmission_flag::send_fua;

}  // namespace

TEST_CASE("replay and writethrough lose nothing when the tail crashes", "[disc][durability][sim]") {
  const auto seed = GENERATE(range(0u, seeds(25)));
  CAPTURE(seed);
  Trial trial{.crash = 0.02};
  trial.durability = GENERATE(Durability::replay, Durability::writethrough);
  SECTION("as it is") {
    tell(seed, trial);
  }
  SECTION("FLUSH takes its time") {
    trial.tail.late_flush = 0.7;
    trial.tail.late_most = std::chrono::milliseconds(5);
    tell(seed, trial);
  }
  SECTION("without FUA") {
    trial.tail.flags = no_fua;
    trial.tail.late_flush = 0.3;
    trial.tail.late_most = std::chrono::milliseconds(5);
    tell(seed, trial);
  }
  SECTION("little memory") {
    trial.memory = 8 * disc::ReplayMemory::chunk_size;
    trial.tail.late_flush = 0.7;
    trial.tail.late_most = std::chrono::milliseconds(5);
    tell(seed, trial);
  }
  SECTION("hardly any, and no FUA") {
    trial.memory = disc::ReplayMemory::chunk_size;
    trial.tail.flags = no_fua;
    tell(seed, trial);
  }
  SECTION("connections break as well, and the tail moves") {
    trial.faults.reset = 0.002;
    trial.relocate = 0.02;
    tell(seed, trial);
  }
  SECTION("blocks of 4 KiB") {
    trial.tail.block_minimum = 4096;
    tell(seed, trial);
  }
  SECTION("four connections, as far as the mode has them") {
    trial.connections = 4;
    trial.faults.reset = 0.002;
    tell(seed, trial);
  }
}

TEST_CASE("writeback loses only what no FLUSH or FUA covered", "[disc][durability][sim]") {
  const auto seed = GENERATE(range(0u, seeds(40)));
  CAPTURE(seed);
  Trial trial{.durability = Durability::writeback, .crash = 0.02};
  SECTION("one connection") {
    tell(seed, trial);
  }
  SECTION("four") {
    trial.connections = 4;
    tell(seed, trial);
  }
}

TEST_CASE("a ghost of a replayed change is never seen", "[disc][durability][sim]") {
  const auto seed = GENERATE(range(0u, seeds(40)));
  CAPTURE(seed);
  Trial trial{.relocate = 0.05};
  trial.durability = GENERATE(Durability::writeback, Durability::replay, Durability::writethrough);
  trial.tail.late = 0.3;
  SECTION("the tail moves while it is late") {
    tell(seed, trial);
  }
  SECTION("several connections") {
    trial.connections = 3;
    tell(seed, trial);
  }
}

TEST_CASE("no promise is broken in worlds that nobody thought of", "[disc][durability][sim]") {
  for (unsigned seed = 0; seed < seeds(800); ++seed) {
    std::mt19937_64 random(seed);
    const auto one_of = [&random](auto... all) {
      const std::array values{all...};
      return values[random() % values.size()];
    };
    Trial trial{.durability =
                    one_of(Durability::writeback, Durability::replay, Durability::writethrough)};
    trial.faults = {.partial = one_of(0.2, 0.8), .reset = one_of(0.0, 0.002, 0.005)};
    trial.faults.refuse = one_of(0.0, 0.0, 0.5);
    trial.tail.flags = one_of(sim::all_flags, sim::all_flags, no_fua);
    trial.tail.block_minimum = one_of(0u, 1u, 512u, 4096u);
    trial.tail.structured = random() % 4 != 0;
    if (!trial.tail.structured)
      trial.tail.flags &= static_cast<std::uint16_t>(~nbd::transmission_flag::send_df);
    trial.tail.late_flush = one_of(0.0, 0.3, 0.7);
    trial.tail.late_most = std::chrono::milliseconds(one_of(5, 50));
    trial.connections = one_of(1u, 1u, 4u);
    trial.crash = one_of(0.0, 0.005, 0.02);
    trial.relocate = one_of(0.0, 0.02, 0.05);
    // A reset is taken at its word (DURABILITY.md): a tail that sent one is not late with anything.
    if (trial.faults.reset == 0) trial.tail.late = one_of(0.0, 0.1, 0.3);
    trial.memory =
        one_of(std::size_t{1}, std::size_t{8}, std::size_t{256}) * disc::ReplayMemory::chunk_size;
    CAPTURE(seed, static_cast<int>(trial.durability), trial.tail.late, trial.tail.late_flush);
    CAPTURE(trial.crash, trial.relocate, trial.connections, trial.faults.reset, trial.memory);
    CAPTURE(trial.tail.block_minimum, trial.tail.structured, trial.tail.flags == no_fua);
    tell(seed, trial);
  }
}
