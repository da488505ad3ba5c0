// What happened to a neighbour entry, as a value and in words. Pure.
#pragma once

#include "netlink/neighbour.hpp"

#include <optional>
#include <string>

namespace netlink {

// One change; before or after is absent where there was, or is, no entry.
struct Change {
  std::optional<Neighbour> before, after;

  const Neighbour& entry() const { return after ? *after : *before; }
};

// "new", "gone", or the parts that differ: "STALE to REACHABLE, lladdr A to B"; "" when nothing
// that is told of differs.
std::string what_changed(const Change& change);

}  // namespace netlink
