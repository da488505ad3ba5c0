// Keeps changes of a disc apart that must not pass each other: pure bookkeeping over ranges.
//
// A change that is sent again after its connection was lost goes before later ones of the same
// bytes, and reads of them wait until it is answered. And where the tail was not seen to go, it may
// still carry out what it got on that connection: a ghost. The range of a possible ghost is in
// doubt for a while, and only the change itself, which writes the same, may go there meanwhile.
#pragma once

#include "head/disc/pieces.hpp"
#include "iouring/timer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace head::disc {

class Fence {
 public:
  // With more of them all of the disc is in doubt: what connections can leave behind is bounded.
  static constexpr std::size_t doubts_max = 512;

  // A change is under way; `again`: it was sent before, on a connection that was lost.
  void begin(const void* who, Range range, bool again) {
    for (Change& change : changes_)
      if (change.who == who) {
        change.again |= again;
        return;
      }
    changes_.push_back({.who = who, .range = range, .again = again});
  }

  // It is answered, or will not be sent any more. Its ghosts stay. False: nobody is freed by that.
  bool end(const void* who) noexcept {
    for (Doubt& doubt : doubts_)
      if (doubt.who == who) doubt.who = nullptr;
    const auto found = std::find_if(changes_.begin(), changes_.end(),
                                    [who](const Change& change) { return change.who == who; });
    if (found == changes_.end()) return false;
    changes_.erase(found);  // The others keep their order.
    return true;
  }

  // A ghost of it may come until then. `who` may be null.
  void doubt(const void* who, Range range, iouring::Instant until) {
    if (doubts_.size() < doubts_max)
      doubts_.push_back({.who = who, .range = range, .until = until});
    else
      all_until_ = std::max(all_until_, until);
  }

  // May it not go now?
  bool holds(const void* who, Range range, bool change, iouring::Instant now) const noexcept {
    for (const Change& other : changes_) {
      if (other.who == who) break;  // Those behind it wait for it.
      if ((change || other.again) && other.range.overlaps(range)) return true;
    }
    if (!change || (doubts_.empty() && all_until_ <= now)) return false;
    if (all_until_ > now) return true;
    return std::any_of(doubts_.begin(), doubts_.end(), [&](const Doubt& doubt) {
      return (doubt.who == nullptr || doubt.who != who) && doubt.until > now &&
             doubt.range.overlaps(range);
    });
  }

  // Forgets the doubts that have ended. When the next one ends; nothing where there is none.
  std::optional<iouring::Instant> expire(iouring::Instant now) noexcept {
    if (all_until_ <= now) all_until_ = {};
    std::erase_if(doubts_, [now](const Doubt& doubt) { return doubt.until <= now; });
    std::optional<iouring::Instant> next;
    if (all_until_ != iouring::Instant{}) next = all_until_;
    for (const Doubt& doubt : doubts_) next = std::min(next.value_or(doubt.until), doubt.until);
    return next;
  }

  // Tells of each doubt that lasts: a range, and until when.
  template <class Function>
  void list(iouring::Instant now, Function function) const {
    if (all_until_ > now) function(Range{.offset = 0, .length = UINT64_MAX}, all_until_);
    for (const Doubt& doubt : doubts_)
      if (doubt.until > now) function(doubt.range, doubt.until);
  }

  bool idle() const noexcept {
    return changes_.empty() && doubts_.empty() && all_until_ == iouring::Instant{};
  }

 private:
  struct Change {
    const void* who;
    Range range;
    bool again;
  };
  struct Doubt {
    const void* who;
    Range range;
    iouring::Instant until;
  };

  std::vector<Change> changes_;  // In the order in which they began.
  std::vector<Doubt> doubts_;
  iouring::Instant all_until_{};
};

}  // namespace head::disc
