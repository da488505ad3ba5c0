#include "head/stats/disc_stats.hpp"

namespace head::stats {

namespace {

constexpr std::array<std::string_view, operations> operation_names = {
    "read", "write", "flush", "trim", "write_zeroes", "cache", "block_status"};
constexpr std::array<std::string_view, causes> cause_names = {"neighbour", "reconnect", "other"};
constexpr std::array<std::string_view, 5> state_names = {"connecting", "ready", "reconnecting",
                                                         "held", "detaching"};
constexpr std::size_t problem_max = 200;

std::int64_t ns(Duration duration) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
}

// There is one writer, so no atomic addition is needed.
void add(std::atomic<std::uint64_t>& to, std::uint64_t amount) noexcept {
  to.store(to.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

}  // namespace

std::string_view to_string(Operation operation) noexcept {
  return operation_names[static_cast<std::size_t>(operation)];
}

std::string_view to_string(Cause cause) noexcept {
  return cause_names[static_cast<std::size_t>(cause)];
}

std::string_view to_string(DiscState state) noexcept {
  return state_names[static_cast<std::size_t>(state)];
}

void DiscStats::record(Operation operation, std::uint32_t bytes, int error,
                       Duration latency) noexcept {
  PerOperation& of = by_operation_[static_cast<std::size_t>(operation)];
  add(of.requests, 1);
  if (error == 0)
    add(of.bytes, bytes);
  else
    add(of.errors, 1);
  of.latency.record(latency);
}

void DiscStats::record_stall(Cause cause, Duration latency) noexcept {
  PerCause& of = stalls_[static_cast<std::size_t>(cause)];
  add(of.count, 1);
  add(of.time_ns, static_cast<std::uint64_t>(ns(latency)));
}

Cause DiscStats::cause_since(Instant arrived) const noexcept {
  const std::int64_t since = ns(arrived.time_since_epoch());
  if (neighbour_missing_at_ns.load(std::memory_order_relaxed) >= since) return Cause::neighbour;
  if (state_since_ns.load(std::memory_order_relaxed) >= since) return Cause::reconnect;
  return Cause::other;
}

void DiscStats::enter(DiscState next, Instant now) noexcept {
  state_since_ns.store(ns(now.time_since_epoch()), std::memory_order_relaxed);
  state.store(next, std::memory_order_release);
  if (watcher_ != nullptr) watcher_->on_state(next);
}

void DiscStats::set_problem(std::string_view sentence) noexcept {
  try {
    std::string text(sentence.substr(0, problem_max));
    const std::lock_guard lock(problem_lock_);
    problem_ = std::move(text);
  } catch (...) {
    // No memory for 200 bytes: the problem before stays.
  }
}

std::string DiscStats::problem() const {
  const std::lock_guard lock(problem_lock_);
  return problem_;
}

DiscSnapshot DiscStats::snapshot(bool with_latency) const {
  constexpr auto relaxed = std::memory_order_relaxed;
  DiscSnapshot now;
  now.state = state.load(std::memory_order_acquire);
  now.state_since_ns = state_since_ns.load(relaxed);
  now.size = size.load(relaxed);
  now.flags = flags.load(relaxed);
  now.in_flight = in_flight.load(relaxed);
  now.connections = connections.load(relaxed);
  now.guests = guests.load(relaxed);
  now.reconnects = reconnects.load(relaxed);
  now.neighbour_missing_at_ns = neighbour_missing_at_ns.load(relaxed);
  now.last_problem = problem();
  for (std::size_t i = 0; i < operations; ++i) {
    now.by_operation[i].requests = by_operation_[i].requests.load(relaxed);
    now.by_operation[i].bytes = by_operation_[i].bytes.load(relaxed);
    now.by_operation[i].errors = by_operation_[i].errors.load(relaxed);
    if (with_latency) now.by_operation[i].latency = by_operation_[i].latency.snapshot();
  }
  add_to(now.stalls);
  return now;
}

void DiscStats::add_to(std::array<OperationSnapshot, operations>& sum) const {
  constexpr auto relaxed = std::memory_order_relaxed;
  for (std::size_t i = 0; i < operations; ++i) {
    sum[i].requests += by_operation_[i].requests.load(relaxed);
    sum[i].bytes += by_operation_[i].bytes.load(relaxed);
    sum[i].errors += by_operation_[i].errors.load(relaxed);
    by_operation_[i].latency.add_to(sum[i].latency);
  }
}

void DiscStats::add_to(std::array<StallSnapshot, causes>& sum) const noexcept {
  for (std::size_t i = 0; i < causes; ++i) {
    sum[i].count += stalls_[i].count.load(std::memory_order_relaxed);
    sum[i].time_ns += stalls_[i].time_ns.load(std::memory_order_relaxed);
  }
}

}  // namespace head::stats
