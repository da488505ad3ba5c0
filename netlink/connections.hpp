// TCP connections of a network namespace, as the kernel lists them (sock_diag(7)). Needs no
// privilege.
#pragma once

#include "netlink/neighbour.hpp"

#include <cstdint>
#include <system_error>
#include <vector>

namespace netlink {

// An established one, over IPv6.
struct TcpConnection {
  Ip6 remote{};
  std::uint16_t port = 0;    // The other end's.
  std::uint32_t packet = 0;  // Bytes, from the IPv6 header on: of the largest packet that it sends.
};

// Those of the caller's network namespace.
std::error_code dump_connections(std::vector<TcpConnection>& into);

}  // namespace netlink
