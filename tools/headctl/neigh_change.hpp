// What happened to a neighbour entry, in words. Pure.
#pragma once

#include "netlink/change.hpp"
#include "netlink/host_routes.hpp"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>
#include <vector>

namespace headctl {

using NeighChange = netlink::Change;
using netlink::what_changed;

// The interface's name and the disc, if any, are the caller's to know.
struct NeighPlace {
  std::string time, dev, disc;
};
std::string change_line(const NeighChange& change, const NeighPlace& place);
nlohmann::json change_json(const NeighChange& change, const NeighPlace& place);
// The same line of what change_json() or headd made, at that time.
std::string change_line(const nlohmann::json& change, const std::string& time);

// The same of a route to a disc, in route mode.
struct RouteChange {
  std::optional<netlink::HostRoute> before, after;

  const netlink::HostRoute& route() const { return after ? *after : *before; }
};
std::string what_changed(const RouteChange& change);  // "" where only its lease did.
std::string change_line(const RouteChange& change, const NeighPlace& place);
nlohmann::json change_json(const RouteChange& change, const NeighPlace& place);

// All that differs between two dumps, each sorted by key.
std::vector<NeighChange> differences(const std::vector<netlink::Neighbour>& before,
                                     const std::vector<netlink::Neighbour>& after);

}  // namespace headctl
