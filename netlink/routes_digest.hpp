// All that decides where IPv6 packets go, in one number: cheap to keep, and to compare with what it
// was before.
#pragma once

#include "netlink/socket.hpp"

#include <cstdint>
#include <system_error>

namespace netlink {

struct RoutesDigest {
  // Of routes but ours, rules and nexthops, without their ages: another sum, another way, for
  // somebody.
  std::uint64_t sum = 0;
  // A route narrower than the default leads over a gateway: the kernel passes it over while the
  // gateway does not answer, which changes no route.
  bool gateways = false;
};

// Of the caller's namespace. Needs no privilege.
std::error_code digest_routes(Socket& socket, RoutesDigest& into);

// The same of one message's payload, added to what is there. Pure.
void digest_message(std::uint16_t type, Bytes payload, RoutesDigest& into) noexcept;

}  // namespace netlink
