#include "tests/check/progress.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace check {

Progress::Request Progress::ask(Time now, std::string what) {
  asks_.push_back({.at = now, .what = std::move(what)});
  return first_ + asks_.size() - 1;
}

Violation Progress::answer(Request request, Time now) {
  if (released_.erase(request) != 0) return {};
  if (request >= first_ + asks_.size())
    return {.rule = Rule::repeated, .sentence = "an answer to what nobody has asked"};
  const bool known = request >= first_;
  if (!known || asks_[request - first_].state == State::answered)
    return {
        .rule = Rule::repeated,
        .sentence = (known ? asks_[request - first_].what : "request " + std::to_string(request)) +
                    " was answered a second time"};
  Ask& ask = asks_[request - first_];
  const Violation violation = ask.state == State::waiting ? late(ask, now) : Violation{};
  ask.state = State::answered;
  forget();
  return violation;
}

void Progress::excuse(Request request) {
  if (request < first_) return;
  Ask& ask = asks_.at(request - first_);
  if (ask.state == State::waiting) ask.state = State::excused;
  forget();
}

// What nobody waits for.
void Progress::forget() {
  for (; !asks_.empty() && asks_.front().state != State::waiting; asks_.pop_front(), ++first_)
    if (asks_.front().state == State::excused) released_.insert(first_);
}

void Progress::trouble_begins(Time now) {
  if (troubles_++ == 0) trouble_since_ = now;
}

void Progress::trouble_ends(Time now) {
  if (troubles_ == 0) throw std::logic_error("the end of a trouble that has not begun");
  --troubles_;
  well_since_ = now;
}

Violation Progress::look(Time now) const {
  for (const Ask& ask : asks_)
    if (ask.state == State::waiting)
      if (Violation violation = late(ask, now)) return violation;
  return {};
}

std::size_t Progress::waiting() const {
  return static_cast<std::size_t>(std::count_if(
      asks_.begin(), asks_.end(), [](const Ask& ask) { return ask.state == State::waiting; }));
}

// While something is in the way, who was late already when that began still is.
Violation Progress::late(const Ask& ask, Time now) const {
  const Time since = std::max(ask.at, well_since_);
  const Time until = troubles_ == 0 ? now : trouble_since_;
  if (until - since <= limit_) return {};
  const auto ms = [](Time time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()) +
           " ms";
  };
  return {.rule = Rule::stuck,
          .sentence = ask.what + " waits for " + ms(now - ask.at) + ", " + ms(until - since) +
                      " of them with nothing in its way; " + ms(limit_) + " are allowed"};
}

}  // namespace check
