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
#include <set>
#include <utility>
#include <vector>

namespace head::neigh {

struct Dispute {
  Flaps flaps;
  std::uint32_t conflicts = 0;
  bool untold = false;  // It changed, and its discs were not told.
  // Who claimed it last, against what is held; and of a pin: whether it is being asked because of
  // that, until when it is held firm, and how often such a claim was refuted.
  std::optional<netlink::Mac> claimed{};
  Instant claimed_at{}, claim_told{}, looked_into{};
  bool challenged = false;
  Instant firm_until{};
  unsigned refuted = 0;
};

class Disputes {
 public:
  const Dispute* find(const netlink::NeighbourKey& key) const noexcept {
    const auto found = all_.find(key);
    return found == all_.end() ? nullptr : &found->second;
  }
  void erase(const netlink::NeighbourKey& key) {
    all_.erase(key);
    firm_.erase(key);
  }

  void contradicted(const netlink::NeighbourKey& key) { ++all_[key].conflicts; }
  // By another one than what is held. True when somebody is to be told: the first time, or after a
  // while, or where it is somebody else.
  bool claimed(const netlink::NeighbourKey& key, const netlink::Mac& who, Instant now) {
    Dispute& dispute = all_[key];
    ++dispute.conflicts;
    const bool tell = dispute.claimed != who || now - dispute.claim_told >= Flaps::while_;
    dispute.claimed = who;
    dispute.claimed_at = now;
    if (tell) dispute.claim_told = now;
    return tell;
  }
  // Whether somebody claimed it within that time.
  bool claimed_since(const netlink::NeighbourKey& key, Instant when) const noexcept {
    const Dispute* dispute = find(key);
    return dispute && dispute->claimed && dispute->claimed_at >= when;
  }
  // Something newer was told: what was said against the old is no matter any more.
  void forget_claim(const netlink::NeighbourKey& key) noexcept {
    if (const auto found = all_.find(key); found != all_.end()) found->second.claimed.reset();
  }
  // Whether what was claimed is to be looked into now, at most so often.
  bool look_into(const netlink::NeighbourKey& key, Instant now, Instant::duration every) {
    Dispute& dispute = all_[key];
    if (now - dispute.looked_into < every) return false;
    dispute.looked_into = now;
    return true;
  }
  // Of a pin: who is held is asked whether it is there still.
  void challenge(const netlink::NeighbourKey& key) { all_[key].challenged = true; }
  bool is_challenged(const netlink::NeighbourKey& key) const noexcept {
    const Dispute* dispute = find(key);
    return dispute && dispute->challenged;
  }
  // The question has ended without an answer. False where nobody had challenged it.
  bool withdraw(const netlink::NeighbourKey& key) noexcept {
    const auto found = all_.find(key);
    return found != all_.end() && std::exchange(found->second.challenged, false);
  }
  // It is. False where nobody had challenged it.
  bool refute(const netlink::NeighbourKey& key, Instant now, Instant::duration least,
              Instant::duration most) {
    const auto found = all_.find(key);
    if (found == all_.end() || !found->second.challenged) return false;
    Dispute& dispute = found->second;
    if (now - dispute.firm_until > most) dispute.refuted = 0;
    dispute.challenged = false;
    firm_.insert(key);
    if (now >= dispute.firm_until)  // Else it is another claim within that time.
      dispute.firm_until = now + std::min(least * (1 << std::min(dispute.refuted++, 10u)), most);
    firm_end_ = std::min(firm_end_.value_or(Instant::max()), dispute.firm_until);
    return true;
  }
  // Another one is held from now on.
  void forget_pin(const netlink::NeighbourKey& key) noexcept {
    firm_.erase(key);
    const auto found = all_.find(key);
    if (found != all_.end()) found->second.challenged = false;
  }
  bool is_firm(const netlink::NeighbourKey& key) const noexcept { return firm_.contains(key); }
  void soften(const netlink::NeighbourKey& key) noexcept { firm_.erase(key); }
  // Those that have been held firm for long enough.
  std::vector<netlink::NeighbourKey> soften_late(Instant now) {
    std::vector<netlink::NeighbourKey> late;
    if (!firm_end_ || now < *firm_end_) return late;
    firm_end_.reset();
    for (const netlink::NeighbourKey& key : firm_) {
      const Instant until = all_[key].firm_until;
      if (until <= now)
        late.push_back(key);
      else
        firm_end_ = std::min(firm_end_.value_or(Instant::max()), until);
    }
    for (const netlink::NeighbourKey& key : late) firm_.erase(key);
    // However many there are, looking at them all costs a bounded part of the time.
    if (firm_end_) firm_end_ = std::max(*firm_end_, now + pass_every);
    return late;
  }

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
  std::optional<Instant> next() const noexcept {
    if (!late_at_ || !firm_end_) return late_at_ ? late_at_ : firm_end_;
    return std::min(*late_at_, *firm_end_);
  }

 private:
  static constexpr std::chrono::milliseconds pass_every{100};

  std::map<netlink::NeighbourKey, Dispute> all_;
  std::set<netlink::NeighbourKey> firm_;
  std::optional<Instant> firm_end_;  // Of the first of them, at the earliest.
  std::optional<Instant> late_at_;   // When late() has something, at the earliest.
};

}  // namespace head::neigh
