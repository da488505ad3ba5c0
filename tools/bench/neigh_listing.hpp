// What it costs to see the neighbour table: headctl, through headd and without it, beside ip.
#pragma once

#include "tools/bench/bench.hpp"
#include "tools/bench/benchmarks.hpp"

namespace bench {

// The most discs of headd's among the entries: each of them takes a socket.
inline constexpr unsigned listed_discs_max = 5000;

// Adds a row for each way to list a table of `count` entries. Needs root.
void measure_listing(const Common& common, unsigned count, Table& table);

}  // namespace bench
