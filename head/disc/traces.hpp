// What a tail may carry out though whoever asked for it is no more: each change that is with a tail
// leaves a trace in memory that outlives this process, and every disc. The next headd, or the next
// disc of that export, finds there where ghosts may come (Fence).
//
// A process may be killed between any two instructions: a record counts while its state says so,
// which is written last and cleared first.
#pragma once

#include "head/disc/pieces.hpp"
#include "iouring/timer.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace head::disc {

// Plain values. A ghost that writes `content` (Fence) there may come until then.
struct Trace {
  static constexpr std::uint64_t any_export = 0;

  std::uint64_t export_key = any_export;  // key_of().
  Range range{};
  std::uint64_t content = 0;
  iouring::Instant until{};
  bool acknowledged =
      false;  // By an earlier tail's life: whoever reads it meanwhile may see it go.

  bool operator==(const Trace&) const = default;
};

// What tells one tail's export from another.
std::uint64_t key_of(std::span<const std::byte, 16> address, std::uint16_t port,
                     std::string_view export_name) noexcept;

// What may still come though nobody here asks for it any more. Any thread.
class LeftTraces {
 public:
  // Beyond, any change of any export is in doubt.
  static constexpr std::size_t traces_max = 16'384;

  void add(const Trace& trace, iouring::Instant now);
  // Of an export, and not over.
  std::vector<Trace> of(std::uint64_t export_key, iouring::Instant now);

 private:
  std::mutex lock_;
  std::vector<Trace> traces_;
};

// One data thread's.
class Traces {
 public:
  // As it is in memory.
  struct Record {
    enum State : std::uint64_t { free, counts, counts_acknowledged };

    std::uint64_t state = free;
    std::uint64_t export_key = 0;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint64_t content = 0;
    std::int64_t until_ns = 0;  // CLOCK_MONOTONIC; 0: not known.
  };

  // `memory`: two records at least, all zero. Both for as long as this lives.
  Traces(std::span<Record> memory, LeftTraces& left);

  // A change goes to a tail, or was there; `until` is zero where no end of its ghosts is known.
  // What finds no room is told of as any change of any export.
  Record* note(const Trace& trace) noexcept;
  void set_end(Record* record, iouring::Instant until) noexcept;
  // Nothing of it will come any more. Null is none.
  void forget(Record* record) noexcept;
  // Nobody here will hear of it any more: it is among the left, until then.
  void abandon(Record* record, iouring::Instant until, iouring::Instant now);

  // Of an export: what headds and discs before have left, and may still come.
  std::vector<Trace> left(std::uint64_t export_key, iouring::Instant now) {
    return left_.of(export_key, now);
  }

  // What a process that is no more has left there. Where no end is known, and at the latest: within
  // `quarantine` from now.
  static std::vector<Trace> read(std::span<const Record> memory, iouring::Instant now,
                                 std::chrono::milliseconds quarantine);

 private:
  void reclaim(iouring::Instant now) noexcept;

  std::span<Record> memory_;  // The first one stands for all that found no room.
  std::vector<Record*> free_;
  std::size_t without_room_ = 0;
  LeftTraces& left_;
  std::vector<std::pair<iouring::Instant, Record*>> abandoned_;
};

}  // namespace head::disc
