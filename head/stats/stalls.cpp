#include "head/stats/stalls.hpp"

#include <algorithm>
#include <chrono>

namespace head::stats {

namespace {

template <class Clock, class Time>
std::int64_t ns(std::chrono::time_point<Clock, Time> time) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

std::int64_t ns(Duration time) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

}  // namespace

void Stalls::look_at(DiscStats& disc, std::string_view name, const Opening& opening) noexcept {
  const Duration whole = opening.until - opening.since;
  if (whole <= std::max(threshold_, slow_opening)) return;
  const Answered as_request{.disc = name,
                            .operation = Operation::open,
                            .error = opening.error,
                            .arrived = opening.since,
                            .journey = {.whole = whole, .away = whole}};
  const Stall slow = explain(disc, as_request, opening.failed_before);
  disc.record_slow_opening(slow.cause, whole);
  log_.record(slow);
}

void Stalls::count_neighbour(DiscStats& disc, const Answered& request) noexcept {
  if (request.journey.whole <= DiscStats::without_neighbour_min) return;
  if (disc.neighbour_missing_at_ns.load(std::memory_order_relaxed) < ns(request.arrived)) return;
  disc.record_without_neighbour(request.arrived, request.arrived + request.journey.whole);
}

void Stalls::record(DiscStats& disc, const Answered& request) noexcept {
  const auto since = std::max(disc.state_since_ns.load(std::memory_order_relaxed),
                              disc.replaced_at_ns.load(std::memory_order_relaxed));
  const Stall stall = explain(disc, request, since >= ns(request.arrived));
  disc.record_stall(stall.cause, request.journey.whole);
  log_.record(stall);
}

Stall Stalls::explain(const DiscStats& disc, const Answered& request,
                      bool no_connection) const noexcept {
  constexpr auto relaxed = std::memory_order_relaxed;
  const std::int64_t since = ns(request.arrived);
  const Evidence seen{
      .journey = request.journey,
      .receiving = request.receiving,
      .held_up = hold_ups_.within(request.arrived, request.arrived + request.journey.whole),
      .neighbour_missing = disc.neighbour_missing_at_ns.load(relaxed) >= since,
      .no_connection = no_connection,
      .packets_lost = disc.packets_lost_at_ns.load(relaxed) >= since};
  Stall stall{.ended_ns = ns(std::chrono::system_clock::now()),
              .offset = request.offset,
              .whole_ns = ns(request.journey.whole),
              .away_ns = ns(request.journey.away),
              .wire_ns = ns(request.journey.wire),
              .held_up_ns = ns(seen.held_up),
              .receiving_ns = ns(request.receiving),
              .length = request.length,
              .error = request.error,
              .operation = request.operation,
              .cause = cause_of(seen, threshold_)};
  stall.set_disc(request.disc);
  return stall;
}

}  // namespace head::stats
