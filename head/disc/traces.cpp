#include "head/disc/traces.hpp"

#include <algorithm>
#include <atomic>
#include <xxhash.h>

namespace head::disc {
namespace {

constexpr Trace anything{.range = whole_disc};

std::int64_t to_ns(iouring::Instant at) noexcept {
  return std::chrono::nanoseconds(at.time_since_epoch()).count();
}

// Neither before what is written ahead of it, nor after what is written behind it.
void set_state(Traces::Record& record, Traces::Record::State state) noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::atomic_ref(record.state).store(state, std::memory_order_release);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace

std::uint64_t key_of(std::span<const std::byte, 16> address, std::uint16_t port,
                     std::string_view export_name) noexcept {
  const std::uint64_t of_address = XXH3_64bits_withSeed(address.data(), address.size(), port);
  const auto key = XXH3_64bits_withSeed(export_name.data(), export_name.size(), of_address);
  return std::max<std::uint64_t>(key, Trace::any_export + 1);
}

void LeftTraces::add(const Trace& trace, iouring::Instant now) {
  const std::lock_guard hold(lock_);
  std::erase_if(traces_, [now](const Trace& one) { return one.until <= now; });
  if (traces_.size() >= traces_max) {
    Trace all = anything;
    for (const Trace& one : traces_) all.until = std::max(all.until, one.until);
    traces_ = {all};
  }
  traces_.push_back(trace);
}

std::vector<Trace> LeftTraces::of(std::uint64_t export_key, iouring::Instant now) {
  const std::lock_guard hold(lock_);
  std::vector<Trace> found;
  for (const Trace& trace : traces_)
    if (trace.until > now &&
        (trace.export_key == export_key || trace.export_key == Trace::any_export))
      found.push_back(trace);
  return found;
}

Traces::Traces(std::span<Record> memory, LeftTraces& left) : memory_(memory), left_(left) {
  free_.reserve(memory.size());
  for (std::size_t i = memory.size() - 1; i != 0; --i) free_.push_back(&memory[i]);
}

Traces::Record* Traces::note(const Trace& trace) noexcept {
  Record* record = &memory_[0];
  if (free_.empty()) {
    ++without_room_;
  } else {
    record = free_.back();
    free_.pop_back();
  }
  const Trace& what = record == &memory_[0] ? anything : trace;
  record->export_key = what.export_key;
  record->offset = what.range.offset;
  record->length = what.range.length;
  record->content = what.content;
  record->until_ns = to_ns(what.until);
  set_state(*record, what.acknowledged ? Record::counts_acknowledged : Record::counts);
  return record;
}

void Traces::set_end(Record* record, iouring::Instant until) noexcept {
  if (record == nullptr || record == &memory_[0]) return;
  record->until_ns = to_ns(until);
}

void Traces::forget(Record* record) noexcept {
  if (record == nullptr) return;
  if (record == &memory_[0]) {
    if (--without_room_ == 0) set_state(*record, Record::free);
    return;
  }
  set_state(*record, Record::free);
  free_.push_back(record);
}

void Traces::abandon(Record* record, iouring::Instant until, iouring::Instant now) {
  reclaim(now);
  if (record == nullptr || until <= now) return forget(record);
  set_end(record, until);
  abandoned_.emplace_back(until, record);
  left_.add({.export_key = record->export_key,
             .range = {.offset = record->offset, .length = record->length},
             .content = record->content,
             .until = until,
             .acknowledged = record->state == Record::counts_acknowledged},
            now);
}

void Traces::reclaim(iouring::Instant now) noexcept {
  std::erase_if(abandoned_, [&](const auto& one) {
    const bool over = one.first <= now;
    if (over) forget(one.second);
    return over;
  });
}

std::vector<Trace> Traces::read(std::span<const Record> memory, iouring::Instant now,
                                std::chrono::milliseconds quarantine) {
  std::vector<Trace> found;
  for (const Record& record : memory) {
    if (record.state == Record::free) continue;
    iouring::Instant until = now + quarantine;
    if (record.until_ns > 0)
      until = std::min(until, iouring::Instant(std::chrono::nanoseconds(record.until_ns)));
    if (until <= now) continue;
    const std::uint64_t length = std::min(record.length, UINT64_MAX - record.offset);
    found.push_back({.export_key = record.export_key,
                     .range = {.offset = record.offset, .length = length},
                     .content = record.content,
                     .until = until,
                     .acknowledged = record.state == Record::counts_acknowledged});
  }
  return found;
}

}  // namespace head::disc
