// A token bucket: so many at once, so many a second after that. Time is a parameter.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace head::neigh {

class Pacer {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  // Both at least 1; at most 10^9 a second. Begins full.
  Pacer(std::uint32_t per_second, std::uint32_t burst) noexcept
      : period_(std::chrono::nanoseconds(std::chrono::seconds(1)) / std::max(per_second, 1u)),
        full_(period_ * std::max(burst, 1u)),
        credit_(full_) {}

  // How many of `wanted` may go ahead now; they are spent. `now` never goes backwards.
  std::size_t take(Instant now, std::size_t wanted) noexcept {
    refill(now);
    const auto there = static_cast<std::size_t>(credit_ / period_);
    const std::size_t taken = std::min(wanted, there);
    credit_ -= period_ * static_cast<std::int64_t>(taken);
    return taken;
  }

  // When the next one may go ahead.
  Instant next(Instant now) noexcept {
    refill(now);
    return credit_ >= period_ ? now : now + (period_ - credit_);
  }

 private:
  void refill(Instant now) noexcept {
    if (now <= last_) return;
    // Compared before it is added: nothing overflows after a long rest.
    credit_ = now - last_ >= full_ - credit_ ? full_ : credit_ + (now - last_);
    last_ = now;
  }

  std::chrono::nanoseconds period_;
  std::chrono::nanoseconds full_;
  std::chrono::nanoseconds credit_;
  Instant last_{};
};

}  // namespace head::neigh
