// What lately became of the discs' neighbour entries, for whoever asks afterwards: a bounded number
// of changes, the oldest forgotten first. One thread at a time.
#pragma once

#include "netlink/change.hpp"
#include "netlink/neighbour.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace head::neigh {

struct PastChange {
  std::chrono::system_clock::time_point at;
  netlink::Change change;
  bool written = false;  // By headd: it was missing, wrong, or new.
  std::string disc;      // One that needs it.
};

class History {
 public:
  static constexpr std::size_t kept_max = 4096;

  void note(PastChange change) {
    if (changes_.size() == kept_max) {
      changes_.pop_front();
      ++forgotten_;
    }
    changes_.push_back(std::move(change));
  }

  // Those at or after that time, the oldest first.
  std::vector<PastChange> since(std::chrono::system_clock::time_point when) const {
    std::vector<PastChange> found;
    for (const PastChange& change : changes_)
      if (change.at >= when) found.push_back(change);
    return found;
  }
  std::uint64_t forgotten() const noexcept { return forgotten_; }

 private:
  std::deque<PastChange> changes_;
  std::uint64_t forgotten_ = 0;
};

}  // namespace head::neigh
