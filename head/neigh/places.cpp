#include "head/neigh/places.hpp"

#include "netlink/device.hpp"
#include "netlink/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace head::neigh {

namespace {

constexpr std::string_view own_address_text =
    " is an address of this host; it has no link-layer address to be reached at";

BindingStatus without_place(BindingState state, Obstacle obstacle, std::string problem) {
  BindingStatus status;
  status.state = state;
  status.obstacle = obstacle;
  status.problem = std::move(problem);
  return status;
}

}  // namespace

const netlink::Link* find_link(const Links& links, const std::string& name) noexcept {
  for (const auto& [ifindex, link] : links)
    if (link.name == name) return &link;
  return nullptr;
}

Objection objection_to(const Want& want, const Links& links,
                       std::span<const netlink::Prefix> prefixes,
                       std::span<const netlink::Ip6> own) {
  const auto object = [&](Obstacle obstacle, std::string_view sentence) {
    return Objection{obstacle, fmt::format("{}: {}", want.disc, sentence)};
  };
  const std::string address = netlink::to_string(want.address);
  if (netlink::is_unspecified(want.address))
    return object(Obstacle::bad_address, address + " is no disc's address");
  if (netlink::is_multicast(want.address))
    return object(Obstacle::bad_address,
                  address + " is a multicast address; a disc has a unicast one");
  if (netlink::is_link_local(want.address) && want.dev.empty())
    return object(Obstacle::bad_address,
                  address + " is link-local; say which interface it is reached through");
  const bool somewhere =
      prefixes.empty() || std::any_of(prefixes.begin(), prefixes.end(), [&](const auto& prefix) {
        return netlink::contains(prefix, want.address);
      });
  if (!somewhere)
    return object(Obstacle::outside_prefixes,
                  address +
                      " is in none of the storage prefixes; add it to neighbours.prefixes in "
                      "head.toml if discs are to be there");
  if (!want.claim.lladdr) return {};
  const std::string lladdr = netlink::to_string(*want.claim.lladdr);
  if (!netlink::is_unicast(*want.claim.lladdr))
    return object(Obstacle::bad_lladdr,
                  lladdr + " is no machine's link-layer address; give the tail's own");
  for (const auto& [ifindex, link] : links)
    if (link.lladdr == want.claim.lladdr)
      return object(Obstacle::own_lladdr,
                    fmt::format("{} is the link-layer address of {} on this host; give the tail's",
                                lladdr, link.name));
  if (std::binary_search(own.begin(), own.end(), want.address))
    return object(Obstacle::own_address, address + std::string(own_address_text));
  return {};
}

namespace {

BindingStatus without_way(const Want& want, const Links& links, const Suspect& suspect) {
  const std::string address = netlink::to_string(want.address);
  const auto unplaced = [&](Obstacle obstacle, std::string_view sentence) {
    BindingStatus status =
        without_place(BindingState::unplaced, obstacle, fmt::format("{}: {}", want.disc, sentence));
    status.dev = want.dev;
    return status;
  };
  if (!want.dev.empty() && !find_link(links, want.dev))
    return unplaced(Obstacle::no_interface, "there is no interface " + want.dev);
  const std::string through = want.dev.empty() ? "" : " through " + want.dev;
  const auto link = links.find(suspect.ifindex);
  const bool known = link != links.end();
  if (known && suspect.ipv6_off)
    return unplaced(
        Obstacle::ipv6_off,
        fmt::format("IPv6 is off on {}, and there is no route to {}", link->second.name, address));
  const auto master = known ? links.find(link->second.master) : links.end();
  if (master != links.end() && master->second.vrf)
    return unplaced(Obstacle::in_vrf,
                    fmt::format("{} is in the VRF {}, and elsewhere there is no route to {}",
                                link->second.name, master->second.name, address));
  return unplaced(Obstacle::no_route,
                  fmt::format("there is no route to {}{}; see `ip -6 route`", address, through));
}

}  // namespace

BindingStatus place(const Want& want, const Links& links, const netlink::Route* route,
                    const Suspect& suspect) {
  const bool named = want.dev.empty() || find_link(links, want.dev);
  if (!route || !named) return without_way(want, links, suspect);
  const std::string address = netlink::to_string(want.address);
  const auto link = links.find(route->ifindex);
  const bool known = link != links.end();
  if (route->local && want.claim.lladdr)
    return without_place(BindingState::refused, Obstacle::own_address,
                         fmt::format("{}: {}{}", want.disc, address, own_address_text));
  BindingStatus status;
  status.dev = known ? link->second.name : std::string();
  status.on_link = !route->gateway;
  if (route->local || (known && !link->second.resolves())) {
    status.state = BindingState::local;
    return status;
  }
  // With no other address the kernel would send from ::1, to which nobody can answer.
  if (!route->source || netlink::is_loopback(*route->source))
    return without_place(BindingState::unplaced, Obstacle::no_source,
                         fmt::format("{}: this host has no address to reach {} from; give {} one",
                                     want.disc, address, status.dev));
  status.state = BindingState::waiting;
  status.neighbour = {route->ifindex, route->gateway.value_or(want.address)};
  return status;
}

Places::Places(netlink::Socket& socket, std::vector<netlink::Prefix> prefixes)
    : socket_(socket), prefixes_(std::move(prefixes)) {
  refresh();
}

void Places::refresh() {
  std::vector<netlink::Link> all;
  if (netlink::dump_links(socket_, all)) return;
  links_.clear();
  for (netlink::Link& link : all) links_[link.ifindex] = std::move(link);
}

BindingStatus Places::place(const Want& want, int before) {
  if (Objection objection = objection_to(want, links_, prefixes_))
    return without_place(BindingState::refused, objection.obstacle, std::move(objection.sentence));
  const netlink::Link* link = want.dev.empty() ? nullptr : find_link(links_, want.dev);
  if (!link && !want.dev.empty()) return neigh::place(want, links_, nullptr);
  netlink::Route route;
  if (!find_route(want.address, link ? link->ifindex : 0, route))
    return neigh::place(want, links_, &route);
  return neigh::place(want, links_, nullptr, suspect(link ? link->ifindex : before));
}

Suspect Places::suspect(int ifindex) const {
  const auto link = links_.find(ifindex);
  const bool known = link != links_.end();
  return {.ifindex = known ? ifindex : 0,
          .ipv6_off = known && netlink::is_ipv6_off(link->second.name)};
}

// Our routes are to single addresses: whatever is next to such an address, and has none, is led as
// the address would be. Neighbours are asked for at distances that double, so that among thousands
// of discs in a row it takes few questions.
std::error_code Places::find_route(const netlink::Ip6& address, int ifindex, netlink::Route& into) {
  auto error = netlink::find_route(socket_, address, ifindex, into);
  for (unsigned bit = 0; !error && into.protocol == netlink::our_protocol && bit < 64; ++bit) {
    netlink::Ip6 beside = address;
    beside[15 - bit / 8] = static_cast<std::uint8_t>(beside[15 - bit / 8] ^ (1u << bit % 8));
    netlink::Route found;
    const auto none = netlink::find_route(socket_, beside, ifindex, found);
    if (none) return none;
    if (!found.local) into = found;
  }
  return error;
}

bool Places::on_link(const netlink::Link& link, bool gone) {
  if (gone) return links_.erase(link.ifindex) > 0;
  netlink::Link& known = links_[link.ifindex];
  const bool matters = link.name != known.name || link.running() != known.running() ||
                       link.up() != known.up() || link.lladdr != known.lladdr;
  known = link;
  return matters;
}

}  // namespace head::neigh
