// Syncs: FLUSHes, and changes with FUA, which most tails carry out as the change and a FLUSH of
// everything. One that fails may have dropped what others were to make stable. A tail tells such an
// error once: those behind it are answered well, and may be answered first. So the success of one
// is believed only when all have been answered that were sent before that success came. Pure.
#pragma once

#include "head/nbd/request.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace head::disc {

class Syncs {
 public:
  // Their order of sending.
  using Turn = std::uint64_t;

  void begin(const nbd::Request& sync) {
    const bool company = !with_tail_.empty();
    for (Sync& other : with_tail_) other.company = true;
    with_tail_.push_back({&sync, ++last_, company});
  }
  // It is answered; or its connection is lost, and nothing will be heard of it. Was any other with
  // the tail meanwhile? Of one that is not known here, perhaps.
  bool end(const nbd::Request& sync) noexcept {
    const auto found = std::find_if(with_tail_.begin(), with_tail_.end(),
                                    [&](const Sync& one) { return one.who == &sync; });
    if (found == with_tail_.end()) return true;
    const bool company = found->company;
    with_tail_.erase(found);
    return company;
  }
  Turn last() const noexcept { return last_; }
  // Have all been answered that were sent until then?
  bool are_answered(Turn until) const noexcept {
    return std::none_of(with_tail_.begin(), with_tail_.end(),
                        [until](const Sync& one) { return one.turn <= until; });
  }
  // Is any other with the tail?
  bool are_beside(const nbd::Request& sync) const noexcept {
    return std::any_of(with_tail_.begin(), with_tail_.end(),
                       [&](const Sync& one) { return one.who != &sync; });
  }

 private:
  struct Sync {
    const nbd::Request* who;
    Turn turn;
    bool company;
  };

  std::vector<Sync> with_tail_;
  Turn last_ = 0;
};

}  // namespace head::disc
