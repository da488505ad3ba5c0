// What a data thread does about requests that took too long: finds the cause, counts it with the
// disc, and keeps the last of them.
#pragma once

#include "head/stats/disc_stats.hpp"
#include "head/stats/hold_ups.hpp"
#include "head/stats/stall_log.hpp"

#include <memory>
#include <string_view>

namespace head::stats {

// A request that was answered.
struct Answered {
  std::string_view disc;
  Operation operation = Operation::read;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  int error = 0;  // errno
  Instant arrived{};
  Journey journey;
  Duration receiving{};
};

class Stalls {
 public:
  // `log` is written by this thread only.
  Stalls(Duration threshold, StallLog& log) noexcept : threshold_(threshold), log_(log) {}

  void set_threshold(Duration threshold) noexcept { threshold_ = threshold; }
  HoldUps& hold_ups() noexcept { return hold_ups_; }

  // Costs a request below the threshold one comparison.
  void look_at(DiscStats& disc, const Answered& request) noexcept {
    if (request.journey.whole > threshold_) record(disc, request);
  }

 private:
  void record(DiscStats& disc, const Answered& request) noexcept;

  Duration threshold_;
  StallLog& log_;
  HoldUps hold_ups_;
};

}  // namespace head::stats
