// Addresses by number, each number's its own, for tests of neighbours.
#pragma once

#include "netlink/format.hpp"
#include "netlink/neighbour.hpp"

#include <cstdint>

namespace tests {

inline netlink::Ip6 address(unsigned number) {
  netlink::Ip6 made = *netlink::parse_ip6("2001:db8::1:0:0");
  made[13] = static_cast<std::uint8_t>(number >> 16);
  made[14] = static_cast<std::uint8_t>(number >> 8);
  made[15] = static_cast<std::uint8_t>(number);
  return made;
}

// Of the first 65,536.
inline netlink::Mac mac(unsigned number) {
  return {0x02, 0, 0, 0, static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
}

}  // namespace tests
