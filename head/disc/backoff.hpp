// How long to wait before connecting again: not at all, then 10 ms, doubling to 1 s, each time with
// a quarter of jitter so that ten thousand discs of one tail do not come back in step.
#pragma once

#include "iouring/timer.hpp"

#include <algorithm>
#include <cstdint>

namespace head::disc {

class Backoff {
 public:
  static constexpr std::chrono::milliseconds first{10};
  static constexpr std::chrono::milliseconds most{1'000};

  static constexpr std::chrono::milliseconds hello{200};

  explicit Backoff(std::uint64_t seed) noexcept : random_(seed | 1) {}

  // It worked: the next failure is followed by an attempt at once.
  void reset() noexcept { attempt_ = 0; }

  // How long the next attempt may take. A packet that says hello is lost when the
  // tail is not there yet, and the kernel says it again after a second, three, seven.
  iouring::Duration patience(iouring::Duration longest) const noexcept {
    return std::min<iouring::Duration>(hello * (1 << std::min(attempt_, 5u)), longest);
  }

  // Any part of `time`, so that many do not do the same at once.
  iouring::Duration some_of(iouring::Duration time) noexcept {
    return time * static_cast<std::int64_t>(dice() % 1024) / 1024;
  }

  // The wait before the next attempt, counted from the failure of the last one.
  iouring::Duration next() noexcept {
    const unsigned attempt = attempt_;
    attempt_ = std::min(attempt_ + 1, 9u);
    if (attempt == 0) return {};
    const iouring::Duration base = std::min<iouring::Duration>(first * (1 << (attempt - 1)), most);
    return base - base / 4 + some_of(base / 2);
  }

 private:
  std::uint64_t dice() noexcept {  // xorshift64: any sequence that differs between discs will do.
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
  }

  std::uint64_t random_;
  unsigned attempt_ = 0;
};

}  // namespace head::disc
