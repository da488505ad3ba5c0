// What happened to a neighbour entry, in words. Pure.
#pragma once

#include "netlink/change.hpp"

#include <nlohmann/json_fwd.hpp>

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

// All that differs between two dumps, each sorted by key.
std::vector<NeighChange> differences(const std::vector<netlink::Neighbour>& before,
                                     const std::vector<netlink::Neighbour>& after);

}  // namespace headctl
