// libnl's own way of reading the neighbour table, for whoever compares: nothing of ours uses it.
#pragma once

#include <cstddef>

namespace netlink {

// Fills a libnl cache with all neighbours of this namespace, of IPv4 and IPv6 (it knows no
// narrower question), frees it, and returns how many there were. Throws std::system_error.
std::size_t count_with_libnl_cache();

}  // namespace netlink
