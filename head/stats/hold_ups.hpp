// When a data thread was late: it expects to be called at an instant, and is called after it. What
// happened while it was held up looks slow and is nobody else's doing.
#pragma once

#include "iouring/timer.hpp"

#include <array>
#include <cstddef>
#include <optional>

namespace head::stats {

using iouring::Duration;
using iouring::Instant;

class HoldUps {
 public:
  // As many of the last ones are known.
  static constexpr std::size_t kept = 64;
  // Less is how timers are.
  static constexpr Duration least = std::chrono::milliseconds(1);

  // It is to be called then.
  void expect(Instant deadline) noexcept { expected_ = deadline; }
  // And was now.
  void called(Instant now) noexcept;

  // For how much of the time from `from` to `now` it was late, being late now included.
  Duration within(Instant from, Instant now) const noexcept;

 private:
  struct Span {
    Instant from, to;
    Duration within(Instant a, Instant b) const noexcept;
  };

  std::optional<Instant> expected_;
  std::array<Span, kept> spans_{};
  std::size_t next_ = 0;
};

}  // namespace head::stats
