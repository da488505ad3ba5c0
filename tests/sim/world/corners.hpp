// Scenarios that headd survives, each of a tail of a certain kind or about one moment.
#pragma once

#include "tests/sim/world/scenario.hpp"

#include <cstdint>

namespace world {

Scenario draw_through(std::uint64_t seed);
Scenario draw_ghost_handed(std::uint64_t seed);
Scenario draw_log_handed(std::uint64_t seed);
Scenario draw_shutting_down(std::uint64_t seed);
Scenario draw_cut_status(std::uint64_t seed);
Scenario draw_one_client(std::uint64_t seed);

}  // namespace world
