#include "head/neigh/places.hpp"

#include "netlink/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace head::neigh {

namespace {

BindingStatus without_place(BindingState state, std::string problem) {
  BindingStatus status;
  status.state = state;
  status.problem = std::move(problem);
  return status;
}

}  // namespace

const netlink::Link* find_link(const Links& links, const std::string& name) noexcept {
  for (const auto& [ifindex, link] : links)
    if (link.name == name) return &link;
  return nullptr;
}

std::string refusal(const Want& want, const Links& links,
                    std::span<const netlink::Prefix> prefixes) {
  const std::string address = netlink::to_string(want.address);
  if (netlink::is_unspecified(want.address))
    return fmt::format("{}: {} is no disc's address", want.disc, address);
  if (netlink::is_multicast(want.address))
    return fmt::format("{}: {} is a multicast address; a disc has a unicast one", want.disc,
                       address);
  if (netlink::is_link_local(want.address) && want.dev.empty())
    return fmt::format("{}: {} is link-local; say which interface it is reached through", want.disc,
                       address);
  const bool somewhere =
      prefixes.empty() || std::any_of(prefixes.begin(), prefixes.end(), [&](const auto& prefix) {
        return netlink::contains(prefix, want.address);
      });
  if (!somewhere)
    return fmt::format(
        "{}: {} is in none of the storage prefixes; add it to neighbours.prefixes in "
        "head.toml if discs are to be there",
        want.disc, address);
  if (!want.claim.lladdr) return {};
  if (!netlink::is_unicast(*want.claim.lladdr))
    return fmt::format("{}: {} is no machine's link-layer address; give the tail's own", want.disc,
                       netlink::to_string(*want.claim.lladdr));
  for (const auto& [ifindex, link] : links)
    if (link.lladdr == want.claim.lladdr)
      return fmt::format("{}: {} is the link-layer address of {} on this host; give the tail's",
                         want.disc, netlink::to_string(*want.claim.lladdr), link.name);
  return {};
}

BindingStatus place(const Want& want, const Links& links, const netlink::Route* route) {
  const std::string address = netlink::to_string(want.address);
  if (!want.dev.empty() && !find_link(links, want.dev))
    return without_place(BindingState::unplaced,
                         fmt::format("{}: there is no interface {}", want.disc, want.dev));
  if (!route)
    return without_place(
        BindingState::unplaced,
        want.dev.empty()
            ? fmt::format("{}: there is no route to {}; see `ip -6 route`", want.disc, address)
            : fmt::format("{}: there is no route to {} through {}; see `ip -6 route`", want.disc,
                          address, want.dev));
  const auto link = links.find(route->ifindex);
  const bool known = link != links.end();
  if (route->local && want.claim.lladdr)
    return without_place(BindingState::refused,
                         fmt::format("{}: {} is an address of this host; it has no link-layer "
                                     "address to be reached at",
                                     want.disc, address));
  BindingStatus status;
  status.dev = known ? link->second.name : std::string();
  status.on_link = !route->gateway;
  if (route->local || (known && !link->second.resolves())) {
    status.state = BindingState::local;
    return status;
  }
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

BindingStatus Places::place(const Want& want) {
  if (std::string problem = refusal(want, links_, prefixes_); !problem.empty())
    return without_place(BindingState::refused, std::move(problem));
  const netlink::Link* link = want.dev.empty() ? nullptr : find_link(links_, want.dev);
  if (!link && !want.dev.empty()) return neigh::place(want, links_, nullptr);
  netlink::Route route;
  const auto error = find_route(want.address, link ? link->ifindex : 0, route);
  return neigh::place(want, links_, error ? nullptr : &route);
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
