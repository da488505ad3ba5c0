// Where the kernel would send a packet for an address, asked as it asks itself for every packet.
#pragma once

#include "netlink/neighbour.hpp"
#include "netlink/socket.hpp"

#include <optional>
#include <system_error>

namespace netlink {

struct Route {
  int ifindex = 0;
  std::optional<Ip6> gateway;  // Absent: the address itself is the neighbour (on-link).
  std::optional<Ip6> source;   // The address it would be sent from.
  bool local = false;          // The address is this host's own: nothing leaves it.
  bool unicast = false;        // False for multicast, unreachable, prohibited, blackhole.
};

// `ifindex` restricts the look-up to one interface; 0 for any. ENETUNREACH and its like when there
// is no route.
std::error_code find_route(Socket& socket, const Ip6& address, int ifindex, Route& into);

}  // namespace netlink
