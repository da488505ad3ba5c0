#include "head/stats/hold_ups.hpp"

#include <algorithm>

namespace head::stats {

Duration HoldUps::Span::within(Instant a, Instant b) const noexcept {
  return std::max(Duration::zero(), std::min(to, b) - std::max(from, a));
}

void HoldUps::called(Instant now) noexcept {
  if (expected_ && now - *expected_ >= least) {
    spans_[next_] = {.from = *expected_, .to = now};
    next_ = (next_ + 1) % kept;
  }
  expected_.reset();
}

Duration HoldUps::within(Instant from, Instant now) const noexcept {
  Duration late{};
  for (const Span& span : spans_) late += span.within(from, now);
  if (expected_ && now - *expected_ >= least)
    late += Span{.from = *expected_, .to = now}.within(from, now);
  return late;
}

}  // namespace head::stats
