// Where the kernel would send a packet for an address, asked as it asks itself for every packet.
#pragma once

#include "netlink/neighbour.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <optional>
#include <system_error>

namespace netlink {

struct Route {
  int ifindex = 0;
  std::optional<Ip6> gateway;  // Absent: the address itself is the neighbour (on-link).
  std::optional<Ip6> source;   // The address it would be sent from.
  std::uint32_t mtu = 0;       // Learned, or set for the route; 0: the interface's.
  std::uint32_t advmss = 0;    // Set for the route; 0: as the MTU says.
  bool local = false;          // The address is this host's own: nothing leaves it.
  std::uint8_t protocol = 0;   // Who made it; our_protocol is us.
  bool unicast = false;        // False for multicast, unreachable, prohibited, blackhole.
};

// Destinations that agree in their first bits; none of them are all destinations.
struct Prefix {
  Ip6 address{};
  std::uint8_t bits = 0;  // At most 128.
  bool operator==(const Prefix&) const = default;
};
bool contains(const Prefix& prefix, const Ip6& address) noexcept;
// The least address of it.
Ip6 first_of(const Prefix& prefix) noexcept;

// `ifindex` restricts the look-up to one interface; 0 for any. ENETUNREACH and its like when there
// is no route.
std::error_code find_route(Socket& socket, const Ip6& address, int ifindex, Route& into);

}  // namespace netlink
