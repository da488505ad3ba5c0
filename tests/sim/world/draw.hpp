// Draws scenarios from seeds.
#pragma once

#include "tests/sim/world/dice.hpp"
#include "tests/sim/world/scenario.hpp"

#include <cstdint>

namespace world {

// A disc's durability modes.
inline constexpr head::nbd::Durability modes[] = {head::nbd::Durability::writeback,
                                                  head::nbd::Durability::writethrough,
                                                  head::nbd::Durability::replay};

// What guests ask: mostly of a few sectors, so that changes meet, and in bursts.
struct Load {
  unsigned guests = 1;
  std::uint64_t hot = 24;  // Sectors that most of it is about.
  std::uint64_t sectors = 512;
  unsigned per_second = 200;
  unsigned burst_most = 12;
  std::uint64_t large_most = 96;  // Sectors.
  unsigned reads = 40, writes = 38, zeroes = 5, trims = 4, flushes = 8, statuses = 3, caches = 2;
  double fua = 0.1;
};

// Nothing happens: a tail that can do everything, one head, one guest.
Scenario begin_scenario(std::uint64_t seed);
Load load_of(const Scenario& scenario);
// A guest that rewrites a few sectors, and little else.
Load rewriting(const Scenario& scenario);
// What guests ask between two times.
void draw_load(Scenario& scenario, Dice& dice, const Load& load, Duration from, Duration to);
// By time. Every scenario needs it last.
void sort_actions(Scenario& scenario);
// With a load for all of its length, and sorted.
Scenario finish(Scenario scenario, Dice& dice, const Load& load);

// Any tail that keeps to the protocol, any mode, some guests.
void draw_parts(Scenario& scenario, Dice& dice);
// One misfortune that headd must hide from its guests, at about that time.
Action draw_fault(Dice& dice, const Scenario& scenario, Duration about);
void drop(Scenario& scenario, Act act);
// Takes out what headd is known not to survive: that has profiles of its own (known_faults.hpp).
void spare_known_faults(Scenario& scenario);

// Everything that headd must hide from its guests, combined by chance.
Scenario draw_weather(std::uint64_t seed);

}  // namespace world
