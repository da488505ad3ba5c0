// What a disc knows that must outlive it when another headd serves it next: plain values.
#pragma once

#include "head/nbd/export_info.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace head::nbd {

struct Legacy {
  // A tail may still carry out there what it was sent, until then (CLOCK_MONOTONIC).
  struct Doubt {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::int64_t until_ns = 0;
    // Nothing may come, but its guest asks it again, as it was not answered.
    bool asked_again = false;
    // A checksum of what is written; 0: not known.
    std::uint64_t content = 0;

    bool operator==(const Doubt&) const = default;
  };

  // What its tail must show when it is read: disc::LastWrites.
  struct Write {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    std::uint64_t content = 0;  // Its checksum.

    bool operator==(const Write&) const = default;
  };

  // Whether a tail that offers FLUSH knows it.
  enum class Flush : std::uint8_t { not_tried, known, unknown };

  std::optional<ExportInfo> shape{};  // What any tail of it must offer.
  Flush flush = Flush::not_tried;
  bool owes_flush_error = false;         // To whoever comes next: nobody has been told.
  bool first_block_doubted = false;      // What the tail shows of it may not be what it has.
  std::uint32_t first_block_length = 0;  // 0: what the first block must be is not known.
  std::uint64_t first_block_sum = 0;
  std::vector<Write> last_writes{};  // That are stable, oldest first.
  std::vector<Doubt> doubts{};
  std::vector<std::byte> log{};  // Acknowledged and not flushed: disc::ReplayLog::dump().
  bool log_abandoned = false;    // It is not written again unless an operator says so.
  // Since when the tail has owed an answer (CLOCK_MONOTONIC); 0: it owes none.
  std::int64_t owed_since_ns = 0;

  bool operator==(const Legacy&) const = default;
};

}  // namespace head::nbd
