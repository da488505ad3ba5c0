// What happened to a neighbour entry, in words. Pure.
#pragma once

#include "netlink/neighbour.hpp"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>
#include <vector>

namespace headctl {

// One change; before or after is absent where there was, or is, no entry.
struct NeighChange {
  std::optional<netlink::Neighbour> before, after;

  const netlink::Neighbour& entry() const { return after ? *after : *before; }
};

// "new", "gone", or the parts that differ: "STALE to REACHABLE, lladdr A to B"; "" when nothing
// that is told of differs.
std::string what_changed(const NeighChange& change);

// The interface's name and the disc, if any, are the caller's to know.
struct NeighPlace {
  std::string time, dev, disc;
};
std::string change_line(const NeighChange& change, const NeighPlace& place);
nlohmann::json change_json(const NeighChange& change, const NeighPlace& place);

// All that differs between two dumps, each sorted by key.
std::vector<NeighChange> differences(const std::vector<netlink::Neighbour>& before,
                                     const std::vector<netlink::Neighbour>& after);

}  // namespace headctl
