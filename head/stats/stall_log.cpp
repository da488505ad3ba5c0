#include "head/stats/stall_log.hpp"

#include <algorithm>
#include <bit>

namespace head::stats {

std::string_view Stall::disc() const noexcept {
  return {disc_name.data(),
          static_cast<std::size_t>(std::find(disc_name.begin(), disc_name.end(), '\0') -
                                   disc_name.begin())};
}

void Stall::set_disc(std::string_view name) noexcept {
  disc_name = {};
  std::copy_n(name.begin(), std::min(name.size(), name_max), disc_name.begin());
}

void StallLog::Ring::record(const Stall& stall) noexcept {
  const auto words = std::bit_cast<Words>(stall);
  const std::uint64_t number = recorded_.load(std::memory_order_relaxed);
  Place& place = places_[number % places_.size()];
  place.sequence.store(2 * number + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  for (std::size_t i = 0; i < words.size(); ++i)
    place.words[i].store(words[i], std::memory_order_relaxed);
  place.sequence.store(2 * number + 2, std::memory_order_release);
  recorded_.store(number + 1, std::memory_order_release);
}

std::vector<Stall> StallLog::Ring::read() const {
  const std::uint64_t end = recorded();
  std::vector<Stall> stalls;
  const std::uint64_t kept = places_.size();
  stalls.reserve(std::min(end, kept));
  for (std::uint64_t number = end > kept ? end - kept : 0; number < end; ++number) {
    const Place& place = places_[number % places_.size()];
    const std::uint64_t whole = 2 * number + 2;
    if (place.sequence.load(std::memory_order_acquire) != whole) continue;
    Words words;
    for (std::size_t i = 0; i < words.size(); ++i)
      words[i] = place.words[i].load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (place.sequence.load(std::memory_order_relaxed) == whole)
      stalls.push_back(std::bit_cast<Stall>(words));
  }
  return stalls;
}

}  // namespace head::stats
