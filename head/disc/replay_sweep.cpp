#include "head/disc/replay_sweep.hpp"

#include <algorithm>
#include <utility>

namespace head::disc {

ReplaySweep::ReplaySweep(const ReplayLog& log, std::uint64_t from) : log_(log), at_(from) {
  const auto for_each = [&](auto function) {
    for (auto place = log.begin(); place != log.end(); place = log.at(place).next)
      if (range_at(place).length != 0 && range_at(place).end() > from) function(place);
  };
  for_each([this](auto) { ++ahead_; });
  places_.reserve(ahead_);
  for_each([this](auto place) { places_.push_back(place); });
  std::sort(places_.begin(), places_.end(),
            [this](auto one, auto other) { return range_at(one).offset > range_at(other).offset; });
}

std::optional<ReplaySweep::Part> ReplaySweep::next() noexcept {
  let_go_of_ended();
  if (here_ == 0) {
    if (ahead_ == 0) return std::nullopt;
    at_ = std::max(at_, range_at(first_ahead()).offset);
  }
  while (ahead_ != 0 && range_at(first_ahead()).offset <= at_) take_up_first();
  const ReplayLog::Place newest = places_.back();
  std::uint64_t until = range_at(newest).end();
  for (; ahead_ != 0 && range_at(first_ahead()).offset < until; take_up_first())
    if (first_ahead() > newest) {
      until = range_at(first_ahead()).offset;
      break;
    }
  const std::uint64_t from = std::exchange(at_, until);
  return Part{.of = newest, .range = {.offset = from, .length = until - from}};
}

void ReplaySweep::take_up_first() noexcept {
  const ReplayLog::Place place = places_[--ahead_];
  *(places_.rbegin() + static_cast<std::ptrdiff_t>(here_++)) = place;
  std::push_heap(places_.rbegin(), places_.rbegin() + static_cast<std::ptrdiff_t>(here_));
}

void ReplaySweep::let_go_of_ended() noexcept {
  while (here_ != 0 && range_at(places_.back()).end() <= at_)
    std::pop_heap(places_.rbegin(), places_.rbegin() + static_cast<std::ptrdiff_t>(here_--));
}

}  // namespace head::disc
