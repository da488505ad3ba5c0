#include "head/neigh/examine.hpp"

#include "head/neigh/sizing.hpp"
#include "netlink/address.hpp"
#include "netlink/format.hpp"
#include "netlink/link.hpp"
#include "netlink/route.hpp"
#include "netlink/table.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <system_error>
#include <unistd.h>

namespace head::neigh {

using netlink::Neighbour;
using netlink::NeighbourKey;

namespace {

constexpr std::uint32_t ip6_and_tcp_bytes = 60;  // Headers of a packet, MSS excepted.

void complain(KernelEvidence& kernel, const std::string& what, std::error_code error) {
  if (error) kernel.problem += (kernel.problem.empty() ? "" : "; ") + what + ": " + error.message();
}

std::vector<NeighbourKey> neighbours_of(const Examination& asked,
                                        const std::vector<Neighbour>& all) {
  if (asked.neighbours) return *asked.neighbours;
  std::vector<NeighbourKey> keys;
  for (const Neighbour& entry : all)
    if (entry.ours()) keys.push_back(entry.key);
  return keys;
}

void count(KernelEvidence& kernel, const std::vector<NeighbourKey>& keys,
           const std::vector<Neighbour>& all) {
  std::vector<netlink::Desired> desired;
  for (const NeighbourKey& key : keys) {
    desired.push_back({.key = key, .lladdr = {}});
    const Neighbour* entry = netlink::find(all, key);
    const bool made = entry && entry->usable() && !entry->ours() &&
                      (entry->protocol != 0 || (entry->flags & netlink::ntf::ext_learned) != 0 ||
                       (entry->state & netlink::nud::permanent) != 0);
    kernel.foreign += made;
  }
  kernel.neighbours = keys.size();
  kernel.on_account = entries_of_discs(desired, all);
  kernel.exempt =
      static_cast<std::uint64_t>(std::count_if(all.begin(), all.end(), [](const Neighbour& entry) {
        return entry.ours() && (entry.flags & netlink::ntf::ext_learned) != 0;
      }));
}

void look_at_route(netlink::Socket& socket, const Destination& to,
                   std::map<int, InterfaceEvidence>& interfaces) {
  netlink::Route route;
  if (netlink::find_route(socket, to.address, 0, route) || route.local) return;
  const auto found = interfaces.find(route.ifindex);
  if (found == interfaces.end()) return;
  InterfaceEvidence& device = found->second;
  const bool narrow_mtu = route.mtu != 0 && route.mtu < device.mtu;
  const bool narrow_mss = route.advmss != 0 && route.advmss + ip6_and_tcp_bytes < device.mtu;
  if (!narrow_mtu && !narrow_mss) return;
  if (device.narrow++ == 0) device.narrow_disc = to.disc;
  if (narrow_mtu) device.narrow_mtu = route.mtu;
  if (narrow_mss) device.narrow_advmss = route.advmss;
}

std::map<int, InterfaceEvidence> interfaces_of(netlink::Socket& socket, KernelEvidence& kernel,
                                               const std::set<int>& indexes,
                                               const std::vector<std::string>& names) {
  std::map<int, InterfaceEvidence> interfaces;
  std::vector<netlink::Link> links;
  complain(kernel, "interfaces", netlink::dump_links(socket, links));
  for (const netlink::Link& link : links) {
    const bool named = std::find(names.begin(), names.end(), link.name) != names.end();
    if (!link.resolves() || (!named && !indexes.contains(link.ifindex))) continue;
    InterfaceEvidence& device = interfaces[link.ifindex];
    device.name = link.name;
    device.running = link.running();
    device.mtu = link.mtu;
    netlink::DeviceSettings settings;
    const auto error = netlink::read_settings(socket, link.ifindex, link.name, settings);
    if (!error) device.settings = settings;
    complain(kernel, "the settings of " + link.name, error);
  }
  std::vector<netlink::HostAddress> addresses;
  complain(kernel, "addresses", netlink::dump_addresses(socket, addresses));
  for (const netlink::HostAddress& address : addresses)
    if (const auto found = interfaces.find(address.ifindex);
        found != interfaces.end() && address.duplicate())
      found->second.duplicate_addresses.push_back(netlink::to_string(address.address) + "/" +
                                                  std::to_string(address.bits));
  return interfaces;
}

}  // namespace

KernelEvidence examine(const Examination& asked) {
  KernelEvidence kernel;
  netlink::Table table;
  netlink::Socket& socket = table.socket();
  complain(kernel, "the table's limits", netlink::read_table(socket, kernel.table));
  std::vector<Neighbour> all;
  complain(kernel, "the table", table.dump(all));
  const std::vector<NeighbourKey> keys = neighbours_of(asked, all);
  count(kernel, keys, all);
  if (asked.discs) kernel.neighbours = *asked.discs;

  kernel.initial_namespace = ::access("/proc/sys/net/ipv6/neigh/default/gc_thresh3", F_OK) == 0;
  std::uint64_t max_size = 0;
  if (std::ifstream("/proc/sys/net/ipv6/route/max_size") >> max_size)
    kernel.route_max_size = max_size;

  std::set<int> indexes;
  for (const NeighbourKey& key : keys) indexes.insert(key.ifindex);
  auto interfaces = interfaces_of(socket, kernel, indexes, asked.devs);
  std::vector<Destination> ways = asked.destinations;
  if (ways.empty())
    for (const NeighbourKey& key : keys)
      if (ways.size() < Examination::routes_max)
        ways.push_back({key.address, netlink::to_string(key.address)});
  for (std::size_t i = 0; i < std::min(ways.size(), Examination::routes_max); ++i)
    look_at_route(socket, ways[i], interfaces);
  for (auto& [ifindex, device] : interfaces) kernel.interfaces.push_back(std::move(device));
  return kernel;
}

}  // namespace head::neigh
