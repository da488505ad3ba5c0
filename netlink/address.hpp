// The host's own IPv6 addresses, and whether they may be used: the kernel gives up one that another
// host was found to have already (duplicate address detection).
#pragma once

#include "netlink/neighbour.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <system_error>
#include <vector>

namespace netlink {

struct HostAddress {
  int ifindex = 0;
  Ip6 address{};
  std::uint8_t bits = 0;    // Of its prefix.
  std::uint32_t flags = 0;  // IFA_F_*

  bool duplicate() const noexcept;  // Another host has it: nothing is sent from it.
  bool tentative() const noexcept;  // Not known yet.
};

// Every address of every interface; `into` is replaced.
std::error_code dump_addresses(Socket& socket, std::vector<HostAddress>& into);

}  // namespace netlink
