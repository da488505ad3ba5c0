#include "head/stats/disc_stats.hpp"

#include "head/stats/memory.hpp"

#include <algorithm>
#include <new>

namespace head::stats {

namespace {

constexpr std::array<std::string_view, operations + 1> operation_names = {
    "read", "write", "flush", "trim", "write_zeroes", "cache", "block_status", "open"};
constexpr std::array<std::string_view, 6> state_names = {"connecting", "ready",   "reconnecting",
                                                         "held",       "failing", "detaching"};
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

std::string_view to_string(DiscState state) noexcept {
  return state_names[static_cast<std::size_t>(state)];
}

OperationSnapshot& OperationSnapshot::operator+=(const OperationSnapshot& other) {
  requests += other.requests;
  bytes += other.bytes;
  errors += other.errors;
  latency += other.latency;
  head += other.head;
  wire += other.wire;
  tail += other.tail;
  return *this;
}

DiscStats::~DiscStats() {
  for (auto& place : by_operation_) {
    const PerOperation* const of = place.load(std::memory_order_relaxed);
    if (of == nullptr) continue;
    delete of;
    memory::give_back(memory::For::counters, sizeof(PerOperation));
  }
  const auto* const openings = slow_openings_.load(std::memory_order_relaxed);
  if (openings == nullptr) return;
  delete openings;
  memory::give_back(memory::For::counters, sizeof *openings);
}

void DiscStats::record(Operation operation, std::uint32_t bytes, int error,
                       Journey journey) noexcept {
  std::atomic<PerOperation*>& place = by_operation_[static_cast<std::size_t>(operation)];
  PerOperation* of = place.load(std::memory_order_relaxed);
  if (of == nullptr) {
    if (!memory::take(memory::For::counters, sizeof(PerOperation))) return;
    of = new (std::nothrow) PerOperation;
    if (of == nullptr) return memory::give_back(memory::For::counters, sizeof(PerOperation));
    place.store(of, std::memory_order_release);
  }
  add(of->requests, 1);
  if (error == 0)
    add(of->bytes, bytes);
  else
    add(of->errors, 1);
  of->latency.record(journey.whole);
  of->head.record(journey.head());
  of->wire.record(journey.wire);
  of->tail.record(journey.tail());
}

void DiscStats::PerOperation::add_to(OperationSnapshot& sum, Detail detail) const {
  constexpr auto relaxed = std::memory_order_relaxed;
  sum.requests += requests.load(relaxed);
  sum.bytes += bytes.load(relaxed);
  sum.errors += errors.load(relaxed);
  if (detail == Detail::counts) return latency.add_times_to(sum.latency);
  latency.add_to(sum.latency);
  if (detail == Detail::guest) {
    head.add_times_to(sum.head);
    wire.add_times_to(sum.wire);
    tail.add_times_to(sum.tail);
    return;
  }
  head.add_to(sum.head);
  wire.add_to(sum.wire);
  tail.add_to(sum.tail);
}

void DiscStats::record_stall(Cause cause, Duration latency) noexcept {
  stalls_[static_cast<std::size_t>(cause)].add(1, latency);
}

void DiscStats::record_slow_opening(Cause cause, Duration time) noexcept {
  auto* openings = slow_openings_.load(std::memory_order_relaxed);
  if (openings == nullptr) {
    if (!memory::take(memory::For::counters, sizeof *openings)) return;
    openings = new (std::nothrow) std::array<PerCause, causes>;
    if (openings == nullptr) return memory::give_back(memory::For::counters, sizeof *openings);
    slow_openings_.store(openings, std::memory_order_release);
  }
  (*openings)[static_cast<std::size_t>(cause)].add(1, time);
}

void DiscStats::PerCause::add(std::uint64_t stalls, Duration time) noexcept {
  stats::add(count, stalls);
  stats::add(time_ns, static_cast<std::uint64_t>(ns(time)));
}

bool DiscStats::interface_was_away(Instant since) const noexcept {
  return interface_back_at_ns.load(std::memory_order_relaxed) >= ns(since.time_since_epoch());
}

void DiscStats::record_parked(Instant since, Duration parked) noexcept {
  told_of_ = since;
  told_until_ = std::max(told_until_, since + parked);
  if (parked > Duration{}) count_wait(since, since + parked);
}

void DiscStats::record_without_neighbour(Instant since, Instant until) noexcept {
  if (since <= told_of_) {
    until = std::min(until, told_of_);
  } else if (since < told_until_) {
    return;  // It was parked behind what was told of.
  }
  if (until - since > without_neighbour_min) count_wait(since, until);
}

// Waits are told in the order in which they ended; those of a kind that overlap are one.
void DiscStats::count_wait(Instant since, Instant until) noexcept {
  PerCause& kind = interface_was_away(since) ? interface_waits_ : neighbour_stalls_;
  const bool overlaps = since < waits_counted_until_;
  if (overlaps) since = waits_counted_until_;
  if (until <= since) return;
  kind.add(overlaps && waits_counted_by_ == &kind ? 0 : 1, until - since);
  waits_counted_until_ = until;
  waits_counted_by_ = &kind;
}

void DiscStats::note_silent(Instant now) noexcept {
  silent_at_ns.store(ns(now.time_since_epoch()), std::memory_order_relaxed);
}

void DiscStats::enter(DiscState next, Instant now) noexcept {
  state_since_ns.store(ns(now.time_since_epoch()), std::memory_order_relaxed);
  state.store(next, std::memory_order_release);
  if (watcher_ != nullptr) watcher_->on_state(next);
}

void DiscStats::set(std::string& place, std::string_view sentence) noexcept {
  try {
    std::string text(sentence.substr(0, problem_max));
    const std::lock_guard lock(lock_);
    place = std::move(text);
  } catch (...) {
    // No memory for 200 bytes: the sentence before stays.
  }
}

void DiscStats::set_problem(std::string_view sentence) noexcept {
  set(problem_, sentence);
}

void DiscStats::set_note(std::string_view sentence) noexcept {
  set(note_, sentence);
}

std::string DiscStats::problem() const {
  const std::lock_guard lock(lock_);
  return problem_;
}

void DiscStats::set_guest_sizes(std::span<const std::uint64_t> sizes) noexcept {
  try {
    std::vector<std::uint64_t> copy(sizes.begin(), sizes.end());
    const std::lock_guard lock(lock_);
    guest_sizes_.swap(copy);
  } catch (...) {
    // No memory for a few numbers: those before stay.
  }
}

std::string DiscStats::note() const {
  const std::lock_guard lock(lock_);
  return note_;
}

std::vector<std::uint64_t> DiscStats::guest_sizes() const {
  const std::lock_guard lock(lock_);
  return guest_sizes_;
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
  now.guest_sizes = guest_sizes();
  now.durability = durability.load(relaxed);
  now.kept_bytes = kept_bytes.load(relaxed);
  now.reconnects = reconnects.load(relaxed);
  now.neighbour_missing_at_ns = neighbour_missing_at_ns.load(relaxed);
  now.waiting_since_ns = waiting_since_ns.load(relaxed);
  now.ifindex = ifindex.load(relaxed);
  now.last_problem = problem();
  now.note = note();
  add_to(now.by_operation, with_latency ? Detail::all : Detail::counts);
  add_to(now.stalls);
  add_slow_openings_to(now.slow_openings);
  now.neighbour_stalls = neighbour_stalls();
  now.interface_waits = interface_waits();
  return now;
}

void DiscStats::add_to(std::array<OperationSnapshot, operations>& sum, Detail detail) const {
  for (std::size_t i = 0; i < operations; ++i)
    if (const PerOperation* of = by_operation_[i].load(std::memory_order_acquire))
      of->add_to(sum[i], detail);
}

void DiscStats::add_to(std::array<StallSnapshot, causes>& sum) const noexcept {
  for (std::size_t i = 0; i < causes; ++i) sum[i] += stalls_[i].snapshot();
}

void DiscStats::add_slow_openings_to(std::array<StallSnapshot, causes>& sum) const noexcept {
  const auto* const openings = slow_openings_.load(std::memory_order_acquire);
  if (openings == nullptr) return;
  for (std::size_t i = 0; i < causes; ++i) sum[i] += (*openings)[i].snapshot();
}

}  // namespace head::stats
