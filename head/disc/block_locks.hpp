// Keeps reading, changing and writing back a block apart from other changes of that block. Pure
// bookkeeping over ranges: who must wait for whom.
//
// A request that changes part of a block holds that block from when it starts. Others that change
// anything there start after it; those that had started before are waited for.
#pragma once

#include "head/disc/pieces.hpp"

#include <algorithm>
#include <vector>

namespace head::disc {

class BlockLocks {
 public:
  // A change that is under way: any, by any request. `who` names it.
  void begin_change(const void* who, Range range) { changing_.push_back({who, range}); }
  // False when it was not there.
  bool end_change(const void* who) noexcept { return drop(changing_, who); }

  void hold(const void* who, Range blocks) { held_.push_back({who, blocks}); }
  void release(const void* who) noexcept {
    while (drop(held_, who)) {
    }
  }

  // May a new change of `range` not start now?
  bool is_held(Range range) const noexcept {
    return std::any_of(held_.begin(), held_.end(),
                       [&](const Entry& entry) { return entry.range.overlaps(range); });
  }
  // Is somebody else than `who` changing these blocks still?
  bool others_change(const void* who, Range blocks) const noexcept {
    return std::any_of(changing_.begin(), changing_.end(), [&](const Entry& entry) {
      return entry.who != who && entry.range.overlaps(blocks);
    });
  }

  bool idle() const noexcept { return changing_.empty() && held_.empty(); }

 private:
  struct Entry {
    const void* who;
    Range range;
  };

  static bool drop(std::vector<Entry>& entries, const void* who) noexcept {
    const auto found = std::find_if(entries.begin(), entries.end(),
                                    [who](const Entry& entry) { return entry.who == who; });
    if (found == entries.end()) return false;
    *found = entries.back();
    entries.pop_back();
    return true;
  }

  std::vector<Entry> changing_;
  std::vector<Entry> held_;
};

}  // namespace head::disc
