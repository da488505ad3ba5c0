// Our routes to single addresses, each over a neighbour's link-local address and for a while only
// (RTA_EXPIRES): when the lease is over the kernel passes a route by at once, and the wider one
// that was there before leads on. They are in the main table, with our mark and a metric of our
// own; an operator's route to the same address (1024 where none is said) is less, and is used then.
// Everything here does what it is told.
#pragma once

#include "netlink/neighbour.hpp"
#include "netlink/socket.hpp"

#include <chrono>
#include <cstdint>
#include <span>
#include <system_error>
#include <vector>

namespace netlink {

inline constexpr std::uint32_t our_metric = 2072;

struct HostRoute {
  Ip6 address{};
  NeighbourKey next_hop;          // And the interface.
  std::chrono::seconds lease{0};  // That is left; 0: for ever. To be set: from now on.
  bool operator==(const HostRoute&) const = default;
};

// What is there is replaced, with whatever others there are of our metric: never is a second next
// hop added to it, which would spread a disc's packets over two tails.
std::vector<EntryError> set_routes(Socket& socket, std::span<const HostRoute> routes);
// Ours to these addresses; that there is none is no error.
std::vector<EntryError> remove_routes(Socket& socket, std::span<const Ip6> addresses);
// All of ours, by address. `into` is replaced.
std::error_code dump_routes(Socket& socket, std::vector<HostRoute>& into);

}  // namespace netlink
