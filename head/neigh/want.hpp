// What is asked of the keeper for a disc, and what became of it.
#pragma once

#include "head/neigh/binding.hpp"
#include "head/neigh/obstacle.hpp"
#include "head/stats/disc_stats.hpp"
#include "netlink/neighbour.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace head::neigh {

struct Want {
  std::string disc;
  netlink::Ip6 address{};
  Binding claim{};  // Where nobody knows the link-layer address, the network is asked.
  std::string dev;  // Empty: the interface that the route says.
  std::shared_ptr<stats::DiscStats> stats;  // May be null.
};

enum class BindingState : std::uint8_t {
  unplaced,  // No such interface or no route now; the keeper tries again when that changes.
  lost,      // So too, of one that had a way: the entry that served it is kept.
  waiting,   // The network has not said yet who has the address; the keeper goes on asking.
  held,      // The entry is in the table, and kept there.
  foreign,   // Somebody else put an entry there; it is used and left alone.
  local,     // There is no neighbour to know: this host's own address, or a link without any.
  off,       // The keeper was told to keep nothing (--no-neigh).
  refused,   // Cannot ever be kept as it was asked for; nothing is tried.
};
std::string_view to_string(BindingState state) noexcept;

// Whether requests can be sent without waiting for neighbour discovery.
constexpr bool is_ready(BindingState state) noexcept {
  return state == BindingState::held || state == BindingState::foreign ||
         state == BindingState::local || state == BindingState::off;
}

// A disc that is elsewhere than was told.
struct Conflict {
  std::string disc;
  netlink::Mac lladdr{};  // Where it is.
  bool answered = false;  // Somebody there did; otherwise it was only announced.
};

struct BindingStatus {
  BindingState state = BindingState::unplaced;
  netlink::NeighbourKey neighbour;  // Whose entry is kept: the disc's, its tail's or gateway's.
  bool on_link = true;              // False: behind a gateway.
  bool routed = false;              // A route leads to the disc over that neighbour, its tail.
  std::string dev;                  // The interface's name, "" when not known yet.
  Binding binding;                  // In effect.
  Obstacle obstacle = Obstacle::none;
  std::string problem;  // One sentence, "" when all is well.

  bool ready() const noexcept { return is_ready(state); }
};

}  // namespace head::neigh
