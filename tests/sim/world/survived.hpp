// Scenarios about one kind of thing each that headd survives; profiles.cpp says what each is.
#pragma once

#include "tests/sim/world/scenario.hpp"

#include <cstdint>

namespace world {

Scenario draw_hung(std::uint64_t seed);
Scenario draw_crashes(std::uint64_t seed);
Scenario draw_calm(std::uint64_t seed);
Scenario draw_replays(std::uint64_t seed);
Scenario draw_huge(std::uint64_t seed);
Scenario draw_timed_out(std::uint64_t seed);
Scenario draw_restless(std::uint64_t seed);
Scenario draw_looked_at(std::uint64_t seed);
Scenario draw_graced(std::uint64_t seed);
Scenario draw_scattered(std::uint64_t seed);
Scenario draw_steady(std::uint64_t seed);
Scenario draw_refused(std::uint64_t seed);

}  // namespace world
