// Draws scenarios from seeds.
#pragma once

#include "tests/sim/world/dice.hpp"
#include "tests/sim/world/scenario.hpp"

#include <cstdint>

namespace world {

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
// What guests ask between two times.
void draw_load(Scenario& scenario, Dice& dice, const Load& load, Duration from, Duration to);
// By time. Every scenario needs it last.
void sort_actions(Scenario& scenario);

// Everything that headd must hide from its guests, combined by chance.
Scenario draw_weather(std::uint64_t seed);
Scenario draw_calm(std::uint64_t seed);
Scenario draw_crashes(std::uint64_t seed);
Scenario draw_steady(std::uint64_t seed);
Scenario draw_looked_at(std::uint64_t seed);
Scenario draw_graced(std::uint64_t seed);
Scenario draw_scattered(std::uint64_t seed);
Scenario draw_replays(std::uint64_t seed);
Scenario draw_huge(std::uint64_t seed);
Scenario draw_timed_out(std::uint64_t seed);
Scenario draw_restless(std::uint64_t seed);
Scenario draw_hung(std::uint64_t seed);
Scenario draw_refused(std::uint64_t seed);

}  // namespace world
