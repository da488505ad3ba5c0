#include "netlink/peer.hpp"

#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/neighbour.h>
#include <netlink/socket.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

namespace netlink {

std::size_t count_with_libnl_cache() {
  const std::unique_ptr<nl_sock, void (*)(nl_sock*)> socket(nl_socket_alloc(), nl_socket_free);
  nl_cache* cache = nullptr;
  int rc = socket ? nl_connect(socket.get(), NETLINK_ROUTE) : -NLE_NOMEM;
  if (rc == 0) rc = rtnl_neigh_alloc_cache(socket.get(), &cache);
  if (rc < 0)
    throw std::system_error(
        EIO, std::system_category(),
        std::string("libnl cannot read the neighbours (") + nl_geterror(rc) + ")");
  const auto count = static_cast<std::size_t>(nl_cache_nitems(cache));
  nl_cache_free(cache);
  return count;
}

}  // namespace netlink
