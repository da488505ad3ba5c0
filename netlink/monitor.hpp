// The kernel's word on changes: neighbours, links, the host's addresses, routes. What one socket
// caused itself can be left out, so that a bulk installation does not flood its own monitor. When
// the kernel had to drop notifications it says so, and whoever listens must look at everything
// again.
//
// Not notified by the kernel, and so not seen here: NONE to INCOMPLETE, and STALE to DELAY.
#pragma once

#include "netlink/address.hpp"
#include "netlink/host_routes.hpp"
#include "netlink/link.hpp"
#include "netlink/neighbour.hpp"
#include "netlink/route.hpp"
#include "netlink/socket.hpp"

#include <cstdint>
#include <vector>

namespace netlink {

struct NeighbourChange {
  Neighbour neighbour;
  bool gone = false;
};

struct LinkChange {
  Link link;
  bool gone = false;
};

struct AddressChange {
  HostAddress address;
  bool gone = false;
};

// Of our routes to single addresses.
struct HostRouteChange {
  HostRoute route;
  bool gone = false;
};

struct Changes {
  std::vector<NeighbourChange> neighbours;
  // What the kernel asks user space for, because an interface's app_solicit says so, before it asks
  // the network: a packet waits for the first of these that has no lladdr.
  std::vector<Neighbour> asked;
  std::vector<LinkChange> links;
  std::vector<Prefix> routes;  // Where a route changed; all destinations when a rule did.
  std::vector<HostRouteChange> host_routes;  // Those of them that were ours.
  std::vector<AddressChange> addresses;      // Of this host.
  // Notifications were dropped, and nothing else is told this time. More may be, silently, until
  // everything has been read (the kernel calls the socket congested until then): dump and compare
  // at once, read until `drained`, which tells of nothing either, then dump and compare again.
  bool lost = false;
  bool drained = false;  // There was nothing more to read.

  bool empty() const noexcept {
    return neighbours.empty() && asked.empty() && links.empty() && routes.empty() &&
           addresses.empty() && !lost;
  }
};

class Monitor {
 public:
  // A notification takes about 832 bytes of it: room for some 80,000.
  static constexpr int default_buffer_bytes = 64 * 1024 * 1024;

  // Leaves out changes of neighbours and routes caused by the socket with that port; 0 leaves out
  // none. Throws std::system_error.
  explicit Monitor(std::uint32_t except_port = 0, int buffer_bytes = default_buffer_bytes);

  int fd() const noexcept { return socket_.fd(); }

  // What has been said since the last call, in order; never waits. At most some thousands of
  // messages at a time: the descriptor stays readable when there is more.
  Changes read();

 private:
  void filter(std::uint32_t except_port) noexcept;
  bool discard() noexcept;

  Socket socket_;
  std::vector<std::byte> in_;
  bool discarding_ = false;  // Some was lost, and not everything has been read since.
};

}  // namespace netlink
