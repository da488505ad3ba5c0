// The limits and counters of the kernel's one IPv6 neighbour table, and each interface's timers.
// The table is shared by all network namespaces: anyone may read its limits from anywhere, but they
// can be written only through a socket of the initial one. (libnl 3.7 writes gc_thresh2 twice and
// gc_thresh3 never, and mistakes the delay of the first probe for another parameter.)
#pragma once

#include "netlink/socket.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace netlink {

// gc_thresh1..3: below the first, nothing is collected; above the second for 5 s, or at the third,
// entries are evicted, and at the third new ones are refused.
struct TableLimits {
  std::uint32_t thresh1 = 0, thresh2 = 0, thresh3 = 0;
  bool operator==(const TableLimits&) const = default;
};

struct TableState {
  TableLimits limits;
  std::uint32_t entries = 0;  // Of all namespaces, exempt from collection or not.
  std::uint32_t entry_bytes = 0;
  std::uint64_t allocations = 0, destroys = 0, resolutions_failed = 0;
  std::uint64_t forced_gc_runs = 0, table_fulls = 0;
};

// One interface's part in neighbour discovery. Times in milliseconds.
struct DeviceTimers {
  int ifindex = 0;
  std::uint64_t base_reachable_ms = 0, retrans_ms = 0, delay_first_probe_ms = 0;
  std::uint32_t ucast_solicit = 0, mcast_solicit = 0, mcast_resolicit = 0, app_solicit = 0;
};

std::error_code read_table(Socket& socket, TableState& into);

// Needs CAP_NET_ADMIN; ENOENT from any but the initial network namespace.
std::error_code write_limits(Socket& socket, const TableLimits& limits);
// What such an error means to an operator, in one sentence with the way out.
std::string explain_limits_error(std::error_code error);

std::error_code read_timers(Socket& socket, std::vector<DeviceTimers>& into);

// What is absent stays as it is.
struct TimerChanges {
  std::optional<std::uint64_t> base_reachable_ms, retrans_ms, delay_first_probe_ms;
  std::optional<std::uint32_t> ucast_solicit, mcast_resolicit, app_solicit;
};
std::error_code write_timers(Socket& socket, int ifindex, const TimerChanges& changes);

}  // namespace netlink
