#include "head/nbd/coverage.hpp"

#include <algorithm>

namespace head::nbd {

Coverage::Verdict Coverage::add(std::uint32_t slot, std::uint32_t from, std::uint32_t to,
                                std::uint32_t& covered) {
  if (from < covered) return Verdict::overlaps;
  for (const Stretch& other : ahead_)
    if (other.slot == slot && from < other.to && other.from < to) return Verdict::overlaps;
  if (from != covered) {
    if (ahead_.size() == ahead_max) {
      const bool alone = std::all_of(ahead_.begin(), ahead_.end(),
                                     [slot](const Stretch& other) { return other.slot == slot; });
      return alone ? Verdict::too_scattered : Verdict::crowded_out;
    }
    ahead_.push_back({slot, from, to});
    return Verdict::good;
  }
  covered = to;
  // What was ahead may be next now.
  for (std::size_t i = 0; i < ahead_.size();) {
    if (ahead_[i].slot != slot || ahead_[i].from != covered) {
      ++i;
      continue;
    }
    covered = ahead_[i].to;
    ahead_[i] = ahead_.back();
    ahead_.pop_back();
    i = 0;
  }
  return Verdict::good;
}

void Coverage::forget(std::uint32_t slot) noexcept {
  if (ahead_.empty()) return;
  std::erase_if(ahead_, [slot](const Stretch& stretch) { return stretch.slot == slot; });
}

}  // namespace head::nbd
