#include "head/neigh/sizing.hpp"

#include <utility>
#include <vector>

namespace head::neigh {

using netlink::Desired;
using netlink::Ip6;
using netlink::Neighbour;

namespace {

// ff02::1:ffXX:XXXX, where XX:XXXX are an address's last 24 bits: whoever has such an address is
// asked for it there.
Ip6 solicited_node(const Ip6& address) {
  Ip6 group{0xff, 0x02};
  group[11] = 0x01;
  group[12] = 0xff;
  std::copy(address.begin() + 13, address.end(), group.begin() + 13);
  return group;
}

}  // namespace

std::size_t entries_of_discs(std::span<const Desired> desired, std::span<const Neighbour> actual) {
  std::vector<netlink::NeighbourKey> keys;
  keys.reserve(2 * desired.size());
  for (const Desired& want : desired) {
    keys.push_back(want.key);
    keys.push_back({want.key.ifindex, solicited_node(want.key.address)});
  }
  std::sort(keys.begin(), keys.end());
  return static_cast<std::size_t>(
      std::count_if(actual.begin(), actual.end(), [&](const Neighbour& entry) {
        return entry.ours() || std::binary_search(keys.begin(), keys.end(), entry.key);
      }));
}

}  // namespace head::neigh
