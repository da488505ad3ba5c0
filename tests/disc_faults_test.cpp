// The production disc in worlds that do to it what networks and tails do. Whatever that is, every
// request is answered once, without an error and with the right bytes.
//
// `faults` grows with every bug: what the world was like in which it showed is a row, for good.
#include "tests/disc_world.hpp"
#include "tests/seeds.hpp"

#include <array>
#include <cstdint>
#include <random>

using namespace head;
using tests::seeds;
using tests::disc_world::check_one_world;

namespace {

namespace flag = nbd::transmission_flag;

constexpr std::uint16_t no_df = sim::all_flags & ~flag::send_df;

struct Row {
  const char* what;
  sim::Faults faults{};
  sim::TailOptions tail{};
  unsigned connections = 1;
  double relocations = 0;
  unsigned seeds = 60;  // Fewer where one world takes long.
};

const std::array faults{
    Row{.what = "the tail says nothing of blocks"},
    Row{.what = "the tail takes any byte", .tail = {.block_minimum = 1}},
    Row{.what = "blocks of 4 KiB, short payloads",
        .tail = {.block_minimum = 4096, .payload_maximum = 8192}},
    Row{.what = "simple replies", .tail = {.structured = false}},
    Row{.what = "four connections", .tail = {.block_minimum = 512}, .connections = 4},

    Row{.what = "resets", .faults = {.reset = 0.004}},
    Row{.what = "resets and refusals, blocks of 4 KiB",
        .faults = {.reset = 0.004, .refuse = 0.5},
        .tail = {.block_minimum = 4096}},
    Row{.what = "T12 the tail shuts down now and then, requests under way",
        .tail = {.shutdown = 0.01}},
    Row{.what = "resets of several connections",
        .faults = {.reset = 0.004},
        .tail = {.block_minimum = 1},
        .connections = 4},

    // EOVERFLOW went through to the guest.
    Row{.what = "reads over 4 KiB are refused", .tail = {.read_max = 4096}},
    Row{.what = "reads over 5,000 bytes are refused, resets",
        .faults = {.reset = 0.004},
        .tail = {.block_minimum = 512, .read_max = 5'000}},
    Row{.what = "so is what carries no payload, where it is longer than one",
        .faults = {.reset = 0.004},
        .tail = {.block_minimum = 512, .payload_maximum = 4096, .effect_max = 4096}},
    // The connection ended, and again each time the read was asked again.
    Row{.what = "reads in too many pieces, unless forbidden", .tail = {.stretch = 8}, .seeds = 5},
    Row{.what = "and what is long is refused when they are forbidden",
        .tail = {.unfragmented_max = 4096, .stretch = 8},
        .seeds = 5},
    Row{.what = "and they cannot be forbidden", .tail = {.flags = no_df, .stretch = 8}, .seeds = 5},
    Row{.what = "and they cannot be forbidden, resets",
        .faults = {.reset = 0.004},
        .tail = {.flags = no_df, .stretch = 8},
        .connections = 2,
        .seeds = 5},
    // Good answers became EIO.
    Row{.what = "reads crowd each other out",
        .tail = {.flags = no_df, .stretch = 8, .in_turns = true},
        .seeds = 5},

    Row{.what = "the tail moves again and again", .relocations = 0.05},
    Row{.what = "the tail moves, resets and refusals",
        .faults = {.reset = 0.004, .refuse = 0.5},
        .tail = {.block_minimum = 512},
        .relocations = 0.05},
    Row{.what = "the tail moves and shuts down", .tail = {.shutdown = 0.01}, .relocations = 0.02},
    Row{.what = "the tail of several connections moves, resets",
        .faults = {.reset = 0.004},
        .tail = {.block_minimum = 1},
        .connections = 4,
        .relocations = 0.05},
};

// All of it at once, each part there or not as the seed has it: what nobody thought to combine.
Row drawn(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto one_of = [&random](auto... all) {
    const std::array values{all...};
    return values[random() % values.size()];
  };
  Row row{.what = "drawn"};
  row.faults = {.partial = one_of(0.0, 0.5, 0.9),
                .reset = one_of(0.0, 0.0, 0.002, 0.006),
                .refuse = one_of(0.0, 0.0, 0.5),
                .stall = one_of(0.0, 0.3, 0.7)};
  sim::TailOptions& tail = row.tail;
  tail.flags = sim::all_flags;
  for (const std::uint16_t without : {flag::send_df, flag::can_multi_conn, flag::send_fua})
    if (random() % 4 == 0) tail.flags &= static_cast<std::uint16_t>(~without);
  tail.block_minimum = one_of(0u, 1u, 512u, 4096u);
  if (tail.block_minimum != 0) tail.payload_maximum = one_of(4096u, 8192u, 32u << 20);
  tail.structured = random() % 4 != 0;
  if (!tail.structured) tail.flags &= static_cast<std::uint16_t>(~flag::send_df);
  tail.shuffle = one_of(0.0, 0.3, 1.0);
  tail.shutdown = one_of(0.0, 0.0, 0.005);
  // What doc/proto.md allows a tail to refuse: reads, and effects that are longer than a payload.
  tail.read_max = one_of(UINT32_MAX, UINT32_MAX, 4096u, 10'000u);
  tail.unfragmented_max = one_of(UINT32_MAX, UINT32_MAX, 4096u);
  if (tail.block_minimum != 0 && random() % 2 == 0) tail.effect_max = tail.payload_maximum;
  tail.stretch = random() % 16 == 0 ? 64 : 0;
  tail.in_turns = tail.structured && random() % 16 == 0;
  row.connections = one_of(1u, 1u, 2u, 4u);
  row.relocations = one_of(0.0, 0.0, 0.02, 0.05);
  return row;
}

void check(const Row& row, std::uint64_t seed) {
  const sim::TailOptions& tail = row.tail;
  CAPTURE(row.what, seed, row.connections, row.relocations, row.faults.reset, row.faults.refuse);
  CAPTURE(tail.flags, tail.block_minimum, tail.payload_maximum, tail.structured, tail.shutdown);
  CAPTURE(tail.read_max, tail.unfragmented_max, tail.effect_max, tail.stretch, tail.in_turns);
  check_one_world(seed, row.faults, row.tail, row.connections, row.relocations);
}

}  // namespace

TEST_CASE("a disc loses nothing, whatever the fault", "[disc][sim]") {
  for (const Row& row : faults)
    for (unsigned seed = 0; seed < seeds(row.seeds); ++seed) check(row, seed);
}

TEST_CASE("a disc loses nothing in a thousand worlds that nobody thought of", "[disc][sim]") {
  for (unsigned seed = 0; seed < seeds(1500); ++seed) check(drawn(seed), seed);
}
