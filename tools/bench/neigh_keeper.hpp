// What keeping neighbours costs the daemon: processor time of a pass that finds nothing to do, and
// memory for each binding. In network namespaces of their own.
#pragma once

#include "netlink/neighbour.hpp"
#include "netlink/table.hpp"
#include "tools/bench/process.hpp"

#include <vector>

namespace bench {

// Neighbours on one interface: address and link-layer address follow from the number.
std::vector<netlink::Entry> numbered_entries(int ifindex, unsigned count);

// head0, whose addresses are on-link, and its other end. The ifindex.
int make_interface(const Scratch& scratch);

// Processor time of one pass of the keeper's ledger over entries that are all in the table: the
// dump, the comparison, every hold judged. Throws when the pass found something to do.
double reconcile_cpu_ms(netlink::Table& table, const std::vector<netlink::Entry>& there);

struct Footprint {
  double ledger_bytes = 0, keeper_bytes = 0;  // What a process grew by (RSS), for each binding.
  double kernel_bytes = 0;                    // The size of its entry.
  double pass_cpu_ms = 0;                     // Of the keeper's thread, for each reconciliation.
};

// In a process of its own, whose heap nothing was in before. Call it while there is one thread.
Footprint footprint_of(unsigned count);

}  // namespace bench
