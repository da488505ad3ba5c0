// Who waits too long. A request is to be answered within a limit, counted from when it was asked
// or, where something was in its way, from when that was over. And it is answered once.
#pragma once

#include "tests/check/violation.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <set>
#include <string>

namespace check {

class Progress {
 public:
  // Simulated or real time; only differences count.
  using Time = std::chrono::nanoseconds;
  using Request = std::uint64_t;

  explicit Progress(Time limit) : limit_(limit) {}

  // `what` says for people what is asked: "READ of sectors 3-7 by guest 1". What is answered takes
  // no memory any more.
  Request ask(Time now, std::string what);
  Violation answer(Request request, Time now);
  // Its guest is gone, or something keeps it for good (a request that kills whoever serves it):
  // it may be answered or not.
  void excuse(Request request);

  // Something is in the way of all requests, from `begin` until `end`. They nest.
  void trouble_begins(Time now);
  void trouble_ends(Time now);

  // Is anybody stuck?
  Violation look(Time now) const;
  // Requests that are not answered yet, the excused ones left out.
  std::size_t waiting() const;

 private:
  enum class State : std::uint8_t { waiting, excused, answered };
  struct Ask {
    State state = State::waiting;
    Time at{};
    std::string what;
  };

  Violation late(const Ask& ask, Time now) const;
  void forget();

  const Time limit_;
  std::deque<Ask> asks_;        // From this request on:
  Request first_ = 0;           // those before it are answered,
  std::set<Request> released_;  // or were excused and may still be.
  unsigned troubles_ = 0;       // That go on.
  Time trouble_since_{};
  Time well_since_{};
};

}  // namespace check
