#include "tests/check/progress.hpp"

#include <algorithm>
#include <utility>

namespace check {

Progress::Request Progress::ask(Time now, std::string what) {
  asks_.push_back({.at = now, .what = std::move(what)});
  return asks_.size() - 1;
}

Violation Progress::answer(Request request, Time now) {
  Ask& ask = asks_.at(request);
  if (ask.state == State::answered)
    return {.rule = Rule::repeated, .sentence = ask.what + " was answered a second time"};
  const Violation violation = ask.state == State::waiting ? late(ask, now) : Violation{};
  ask.state = State::answered;
  while (first_ < asks_.size() && asks_[first_].state == State::answered) ++first_;
  return violation;
}

void Progress::excuse(Request request) {
  if (asks_.at(request).state == State::waiting) asks_[request].state = State::excused;
}

void Progress::trouble_begins(Time) {
  ++troubles_;
}

void Progress::trouble_ends(Time now) {
  --troubles_;
  well_since_ = now;
}

Violation Progress::look(Time now) const {
  for (std::size_t i = first_; i < asks_.size(); ++i)
    if (asks_[i].state == State::waiting)
      if (Violation violation = late(asks_[i], now)) return violation;
  return {};
}

std::size_t Progress::waiting() const {
  return static_cast<std::size_t>(
      std::count_if(asks_.begin() + static_cast<std::ptrdiff_t>(first_), asks_.end(),
                    [](const Ask& ask) { return ask.state == State::waiting; }));
}

Violation Progress::late(const Ask& ask, Time now) const {
  if (troubles_ != 0) return {};
  const Time since = std::max(ask.at, well_since_);
  if (now - since <= limit_) return {};
  const auto ms = [](Time time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()) +
           " ms";
  };
  return {.rule = Rule::stuck,
          .sentence = ask.what + " waits for " + ms(now - ask.at) + ", " + ms(now - since) +
                      " of them with nothing in its way; " + ms(limit_) + " are allowed"};
}

}  // namespace check
