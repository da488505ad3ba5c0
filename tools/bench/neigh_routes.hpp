// Route mode's writes: routes to discs over their tails, beside `ip -6 -batch`. In a network
// namespace of its own.
#pragma once

#include "tools/bench/bench.hpp"

namespace bench {

// Adds rows to a table of what, by whom, routes, milliseconds, microseconds for each, times ours.
void measure_routes(const Common& common, unsigned count, Table& table);

}  // namespace bench
