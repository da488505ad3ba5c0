// How long a request may be unanswered before a tail that holds its connection is doubted: measured
// by what the tail took lately. Pure. Doubt costs a second connection and one read on it; only a
// tail that answers there, and not here, has its first connection reset.
#pragma once

#include "head/nbd/request.hpp"

#include <algorithm>
#include <chrono>

namespace head::disc {

// The slowest answer of the last one to two minutes.
class Slowest {
 public:
  static constexpr std::chrono::minutes window{1};

  void note(iouring::Instant now, iouring::Duration took) noexcept {
    turn(now);
    current_ = std::max(current_, took);
  }
  iouring::Duration lately(iouring::Instant now) noexcept {
    turn(now);
    return std::max(current_, before_);
  }

 private:
  void turn(iouring::Instant now) noexcept {
    if (now - began_ < window) return;
    before_ = now - began_ < 2 * window ? current_ : iouring::Duration();
    current_ = {};
    began_ = now;
  }

  iouring::Instant began_{};
  iouring::Duration current_{}, before_{};
};

namespace suspicion {

// No healthy tail lets a read or a write wait for so long; a disc behind it that finds a bad sector
// may, and is then only asked on a second connection. (The kernel gives a tail's own disc 30 s:
// SD_TIMEOUT in drivers/scsi/sd.h.)
inline constexpr std::chrono::seconds least{2};  // Unless head.toml says otherwise.
// Of those whose work depends on what was written before, however long ago.
inline constexpr std::chrono::seconds least_of_flush{30};
inline constexpr std::chrono::minutes most{5};
inline constexpr int times_usual = 8;

// `doubts`: how often in a row the request was asked anew because of this; each time it gets twice
// as long, so that one which merely takes long is answered in the end.
constexpr iouring::Duration patience(nbd::Command command, iouring::Duration least_of_io,
                                     iouring::Duration slowest_lately, int doubts) noexcept {
  const bool quick = command == nbd::Command::read || command == nbd::Command::write ||
                     command == nbd::Command::block_status;
  const iouring::Duration usual = std::max<iouring::Duration>(
      quick ? least_of_io : std::max<iouring::Duration>(least_of_io, least_of_flush),
      slowest_lately * times_usual);
  return std::min<iouring::Duration>(usual * (1 << std::min(doubts, 8)), most);
}

}  // namespace suspicion

}  // namespace head::disc
