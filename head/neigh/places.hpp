// Where a disc's packets go: which neighbour has to be known for them, on which interface; or why
// there is none.
#pragma once

#include "head/neigh/want.hpp"
#include "netlink/link.hpp"
#include "netlink/route.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace head::neigh {

using Links = std::map<int, netlink::Link>;  // By ifindex.

// Why a want can never be kept, in one sentence.
struct Objection {
  Obstacle obstacle = Obstacle::none;
  std::string sentence{};
  explicit operator bool() const noexcept { return obstacle != Obstacle::none; }
};
// `prefixes`: where discs may be; none: anywhere. `own`: this host's addresses, sorted.
Objection objection_to(const Want& want, const Links& links,
                       std::span<const netlink::Prefix> prefixes = {},
                       std::span<const netlink::Ip6> own = {});

// The interface that a want names, or that led there before, where no route does now.
struct Suspect {
  int ifindex = 0;  // 0 for none.
  bool ipv6_off = false;
};

// `route` is what the kernel said about the want's address; nullptr for "no route". The state is
// unplaced, local, or waiting with `neighbour`, `on_link` and `dev` set.
BindingStatus place(const Want& want, const Links& links, const netlink::Route* route,
                    const Suspect& suspect = {});

const netlink::Link* find_link(const Links& links, const std::string& name) noexcept;

class Places {
 public:
  explicit Places(netlink::Socket& socket, std::vector<netlink::Prefix> prefixes = {});

  const Links& links() const noexcept { return links_; }

  // Refused or placed, by asking the kernel for the route, or where that is one of ours, for what
  // it would be without: that to the nearest address without such a route.
  // `before`: the interface that led there until now, 0 for none.
  BindingStatus place(const Want& want, int before = 0);

  // A link was announced. True when a new or newly running one may change where discs are.
  bool on_link(const netlink::Link& link, bool gone);
  void refresh();

 private:
  std::error_code find_route(const netlink::Ip6& address, int ifindex, netlink::Route& into);
  Suspect suspect(int ifindex) const;

  netlink::Socket& socket_;
  const std::vector<netlink::Prefix> prefixes_;
  Links links_;
};

}  // namespace head::neigh
