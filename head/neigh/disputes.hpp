// Neighbours whose link-layer address somebody contradicted, or that changed it: how often, whether
// two claim it in turns, and whose discs are still to be told of the last change. Few neighbours
// have any of it. Pure; time is a parameter.
#pragma once

#include "head/neigh/binding.hpp"
#include "netlink/neighbour.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace head::neigh {

struct Dispute {
  Flaps flaps;
  std::uint32_t conflicts = 0;
  bool untold = false;  // It changed, and its discs were not told.
};

class Disputes {
 public:
  const Dispute* find(const netlink::NeighbourKey& key) const noexcept {
    const auto found = all_.find(key);
    return found == all_.end() ? nullptr : &found->second;
  }
  void erase(const netlink::NeighbourKey& key) { all_.erase(key); }

  void contradicted(const netlink::NeighbourKey& key) { ++all_[key].conflicts; }

  struct Moved {
    bool tell;   // Its discs are to be told now; otherwise late() tells of it.
    bool began;  // To change to and fro.
  };
  Moved moved(const netlink::NeighbourKey& key, Instant now) {
    Dispute& dispute = all_[key];
    const bool calm = !dispute.flaps.flapping(now);
    const bool tell = dispute.flaps.count(now);
    dispute.untold = !tell;
    if (!tell) late_at_ = std::min(late_at_.value_or(Instant::max()), dispute.flaps.tells_again());
    return {.tell = tell, .began = calm && dispute.flaps.flapping(now)};
  }

  // Those whose last change nobody was told of, and it is time.
  std::vector<netlink::NeighbourKey> late(Instant now) {
    std::vector<netlink::NeighbourKey> due;
    if (!late_at_ || now < *late_at_) return due;
    std::optional<Instant> soonest;
    for (auto& [key, dispute] : all_) {
      if (!dispute.untold) continue;
      const Instant at = dispute.flaps.tells_again();
      if (at > now) {
        soonest = std::min(soonest.value_or(Instant::max()), at);
        continue;
      }
      dispute.untold = false;
      dispute.flaps.told(now);
      due.push_back(key);
    }
    // However many change, looking at them all costs a bounded part of the time.
    late_at_ = soonest ? std::optional(std::max(*soonest, now + pass_every)) : std::nullopt;
    return due;
  }
  std::optional<Instant> next() const noexcept { return late_at_; }

 private:
  static constexpr std::chrono::milliseconds pass_every{100};

  std::map<netlink::NeighbourKey, Dispute> all_;
  std::optional<Instant> late_at_;  // When late() has something, at the earliest.
};

}  // namespace head::neigh
