// What keeps single discs from being served: the way to them, their entry, their connection, and
// what the network does to large packets.
#include "head/neigh/doctor_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace head::neigh {

namespace {

// What is said after the number of discs, and typed; {0} is the interface, {1} switches IPv6 on.
struct Illness {
  Obstacle why;
  std::string_view id;
  std::string_view sentence;
  std::string_view fix;
};

constexpr std::string_view attach_anew =
    "headctl detach NAME   # then: headctl attach NAME URI --lladdr MAC, as it ought to be";

constexpr std::array<Illness, 13> illnesses = {{
    {Obstacle::no_interface, "no-interface",
     "discs are to be reached through an interface that this host does not have",
     "ip link   # name it as it was: ip link set OTHER name {0}; or: headctl detach NAME, and "
     "attach it with the interface that there is"},
    {Obstacle::no_route, "no-route", "discs have no way: no route leads to their address",
     "ip -6 address show dev {0}   # then: ip -6 address add ADDRESS/64 dev {0}, or: ip -6 route "
     "add PREFIX dev {0}"},
    {Obstacle::ipv6_off, "ipv6-off",
     "discs have no way: IPv6 is off on the interface that leads to them",
     "{1}   # then its addresses, where they do not come "
     "by themselves: ip -6 address add ADDRESS/64 dev {0}"},
    {Obstacle::in_vrf, "vrf",
     "discs have no way: the interface that leads to them is in a VRF, whose routes headd does "
     "not use",
     "ip link set {0} nomaster   # then: ip -6 address add ADDRESS/64 dev {0}"},
    {Obstacle::no_source, "no-source",
     "discs have no way: this host has no address to reach them from",
     "ip -6 address add ADDRESS/64 dev {0}"},
    {Obstacle::bad_address, "bad-address", "discs have an address that no disc can have",
     attach_anew},
    {Obstacle::outside_prefixes, "outside-prefixes",
     "discs are outside the storage prefixes, and are not served",
     "editor /etc/head/head.toml   # [neighbours] prefixes\nsystemctl restart headd"},
    {Obstacle::own_address, "own-address",
     "discs with a tail's link-layer address have an address of this host",
     "ip -6 address show   # take it from this host, or: headctl detach NAME"},
    {Obstacle::bad_lladdr, "bad-lladdr", "discs have a link-layer address that no machine has",
     attach_anew},
    {Obstacle::own_lladdr, "own-lladdr",
     "discs are said to be at a link-layer address of this host", attach_anew},
    {Obstacle::unasked, "unasked",
     "discs wait for their turn to be asked for: neighbour solicitations are paced",
     "headctl neigh   # again in a while; neighbours.resolve_per_second in head.toml is the pace"},
    {Obstacle::unanswered, "unready",
     "discs have no usable neighbour entry: nobody says who has their address",
     "headctl neigh --failed   # start them on a tail, or say where they are: headctl move NAME "
     "--lladdr MAC"},
    {Obstacle::unwritten, "unwritten", "discs' entries were refused by the kernel",
     "headctl neigh limits ; headctl neigh --failed"},
}};

}  // namespace

void look_at_discs(const DaemonEvidence& daemon, std::vector<Finding>& found) {
  for (const Hindered& some : daemon.hindered) {
    const auto* const at = std::find_if(illnesses.begin(), illnesses.end(),
                                        [&](const Illness& one) { return one.why == some.why; });
    if (at == illnesses.end() || some.discs == 0) continue;
    const std::string dev = some.dev.empty() ? "INTERFACE" : some.dev;
    const std::string ipv6_on = set_key("conf", dev, "disable_ipv6", 0);
    found.push_back({std::string(at->id), "", Gravity::stall,
                     fmt::format("{} {}", some.discs, at->sentence),
                     fmt::format("{} of {} discs; {}", some.discs, daemon.discs, some.first),
                     fmt::format(fmt::runtime(at->fix), dev, ipv6_on)});
  }
  if (daemon.unconnected > 0)
    found.push_back({"unconnected", "", Gravity::stall,
                     fmt::format("{} discs have no connection to their tail: requests wait",
                                 daemon.unconnected),
                     fmt::format("{} of {} discs; {}", daemon.unconnected, daemon.discs,
                                 daemon.unconnected_disc),
                     "headctl discs   # the column PROBLEM says why; then see to the tail"});
  if (daemon.swallowed > 0)
    found.push_back(
        {"large-packets", "", Gravity::stall,
         fmt::format("small packets get to {} tails and back, and those not that are as large as "
                     "their connections send: large requests hang",
                     daemon.swallowed),
         fmt::format("{}: {} bytes are answered, {} are not", daemon.swallowed_at, 1280,
                     daemon.swallowed_packet),
         "ip link set INTERFACE mtu 1500   # on the tail as well; or have every switch on the way "
         "carry packets as large as theirs"});
  const auto not_tried = [&](const std::string& why, const char* fix) {
    if (why.empty()) return;
    found.push_back({"packets-not-tried", "", Gravity::warning,
                     "headd cannot try whether packets as large as its connections send get to "
                     "tails: where they do not, large requests hang",
                     why, fix});
  };
  not_tried(daemon.connections_untold, "modprobe tcp_diag   # and inet_diag");
  not_tried(daemon.echoes_refused,
            "systemctl edit headd   # AmbientCapabilities=CAP_NET_RAW, and the same in "
            "CapabilityBoundingSet");
}

}  // namespace head::neigh
