// What a data thread does about requests, and openings of discs, that took too long: finds the
// cause, counts it with the disc, and keeps the last of them. Requests and openings are counted and
// kept apart: no guest need have waited for an opening.
#pragma once

#include "head/stats/disc_stats.hpp"
#include "head/stats/hold_ups.hpp"
#include "head/stats/stall_log.hpp"

#include <algorithm>
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

// The time in which a disc was connected to its tail for the first time.
struct Opening {
  Instant since{};
  Instant until{};
  bool failed_before = false;  // An attempt, or many.
  int error = 0;               // errno, when it ended without a connection.
};

class Stalls {
 public:
  // An opening takes several round trips, and a head has thousands to make when it starts: it is
  // slow when it took longer than that as well as longer than the threshold.
  static constexpr Duration slow_opening = std::chrono::seconds(1);

  // `log` is written by this thread only.
  Stalls(Duration threshold, StallLog& log) noexcept : log_(log) { set_threshold(threshold); }

  void set_threshold(Duration threshold) noexcept {
    threshold_ = threshold;
    least_ = std::min(threshold, DiscStats::without_neighbour_min);
  }
  HoldUps& hold_ups() noexcept { return hold_ups_; }

  // Costs a request below the threshold one comparison.
  void look_at(DiscStats& disc, const Answered& request) noexcept {
    if (request.journey.whole <= least_) return;
    count_neighbour(disc, request);
    if (request.journey.whole > threshold_) record(disc, request);
  }
  void look_at(DiscStats& disc, std::string_view name, const Opening& opening) noexcept;

 private:
  static void count_neighbour(DiscStats& disc, const Answered& request) noexcept;
  void record(DiscStats& disc, const Answered& request) noexcept;
  Stall explain(const DiscStats& disc, const Answered& request, bool no_connection) const noexcept;

  Duration threshold_{};
  Duration least_{};
  StallLog& log_;
  HoldUps hold_ups_;
};

}  // namespace head::stats
