// What of neighbour discovery is set per interface: timers and retries through netlink, and whether
// entries go when the carrier does, which only sysctl has. Settings are values: read them all, set
// the ones that differ, keep the old ones to put them back.
#pragma once

#include "netlink/socket.hpp"
#include "netlink/thresholds.hpp"

#include <optional>
#include <string>
#include <system_error>

namespace netlink {

struct DeviceSettings {
  std::uint64_t delay_first_probe_ms = 0;
  std::uint64_t retrans_ms = 0;
  std::uint64_t base_reachable_ms = 0;
  std::uint32_t ucast_solicit = 0;
  std::uint32_t mcast_resolicit = 0;
  std::uint32_t app_solicit = 0;        // How often user space is asked before the network is.
  std::optional<bool> evict_nocarrier;  // Absent where the kernel (before 5.16) has no choice.
  bool operator==(const DeviceSettings&) const = default;
};

// `name` must be the interface's own in the caller's network namespace.
std::error_code read_settings(Socket& socket, int ifindex, const std::string& name,
                              DeviceSettings& into);

// Writes what differs between the two. An absent `evict_nocarrier` stays as it is.
std::error_code write_settings(Socket& socket, int ifindex, const std::string& name,
                               const DeviceSettings& from, const DeviceSettings& to);

// Whether net.ipv6.conf.NAME.disable_ipv6 is set; false where that cannot be read.
bool is_ipv6_off(const std::string& name);

}  // namespace netlink
