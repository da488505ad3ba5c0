// Network interfaces: names, numbers, link-layer addresses, flags.
#pragma once

#include "netlink/neighbour.hpp"
#include "netlink/socket.hpp"

#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace netlink {

struct Link {
  int ifindex = 0;
  std::string name;
  std::optional<Mac> lladdr;  // Absent where link-layer addresses are not 6 bytes long.
  std::uint32_t flags = 0;    // IFF_*
  std::uint32_t mtu = 0;
  int master = 0;    // The bridge, bond or VRF that it belongs to; 0 for none.
  bool vrf = false;  // It is one: those that belong to it have a routing table of their own.

  bool up() const noexcept;        // Administratively.
  bool running() const noexcept;   // Up, and with a carrier.
  bool resolves() const noexcept;  // Has neighbours at all: not IFF_NOARP, not IFF_LOOPBACK.
};

// Every link, by ifindex. `into` is replaced.
std::error_code dump_links(Socket& socket, std::vector<Link>& into);

}  // namespace netlink
