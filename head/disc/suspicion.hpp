// How long a request may be unanswered, while nothing moves on its connection, before a tail that
// holds the connection is doubted: measured by what such requests took lately. Pure. Doubt costs a
// second connection and a small read on both; only a tail that answers there, and not here, has its
// first connection reset.
#pragma once

#include "head/nbd/request.hpp"

#include <algorithm>
#include <array>
#include <chrono>

namespace head::disc {

// The longest of the last one to two minutes.
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
inline constexpr int doubts_most = 8;

// Those whose work depends on nothing else.
constexpr bool is_quick(nbd::Command command) noexcept {
  return command == nbd::Command::read || command == nbd::Command::write ||
         command == nbd::Command::block_status;
}

// `usual`: the longest silence that an answer to such a command ended lately. `doubts`: the most
// that any request on the connection has been asked anew because of this; each time all of them get
// twice as long, so that one which merely takes long is answered in the end. Those that are not
// quick get longer only where one of them had taken too long itself: what is beside them would wait
// for a minute, and then for two, whenever a tail hangs again.
constexpr iouring::Duration patience(nbd::Command command, iouring::Duration least_of_io,
                                     iouring::Duration usual, int doubts) noexcept {
  const iouring::Duration once = std::max<iouring::Duration>(
      is_quick(command) ? least_of_io : std::max<iouring::Duration>(least_of_io, least_of_flush),
      usual * times_usual);
  return std::min<iouring::Duration>(once * (1 << std::min(doubts, doubts_most)), most);
}

}  // namespace suspicion

// One more of these, which are powers of two of the patience. Four bits hold it.
constexpr unsigned one_more(unsigned times) noexcept {
  return std::min(times + 1, unsigned{suspicion::doubts_most});
}
static_assert(suspicion::doubts_most < 16);

// Its connection is given up; `overdue`: because it took too long itself.
inline void note_doubt(nbd::Request& request, bool overdue) noexcept {
  request.doubts = one_more(request.doubts) & 15;
  if (overdue) request.overdues = one_more(request.overdues) & 15;
}

// Of one disc: what silences of its tail are usual, and which are not.
class Suspicion {
 public:
  // It is answered by the tail.
  void note(const nbd::Request& request, iouring::Instant now) noexcept {
    slowest_[index(request.command)].note(now, request.silence);
  }

  // A look at the requests of one connection, each with the instant since when nothing has moved
  // for it.
  class Look {
   public:
    Look(Suspicion& suspicion, iouring::Instant now, iouring::Duration least) noexcept
        : suspicion_(suspicion), now_(now), least_(least) {}

    void see(const nbd::Request& request, iouring::Instant since) noexcept {
      doubts_ = std::max<int>(doubts_, request.doubts);
      overdues_ = std::max<int>(overdues_, request.overdues);
      // What was excused gets longer each time, and what is beside it does not.
      iouring::Duration& longest = silences_[index(request.command)];
      longest = std::max(longest, (now_ - since) / (1 << request.excuses));
    }
    bool is_silent() const noexcept {
      for (std::size_t i = 0; i < commands; ++i)
        if (silences_[i] >= patience(static_cast<nbd::Command>(i))) return true;
      return false;
    }
    // Once all are seen: does this one take too long?
    bool is_overdue(const nbd::Request& request, iouring::Instant since) const noexcept {
      return now_ - since >= patience(request.command);
    }

   private:
    iouring::Duration patience(nbd::Command command) const noexcept {
      const auto usual = suspicion_.slowest_[index(command)].lately(now_);
      return suspicion::patience(command, least_, usual,
                                 suspicion::is_quick(command) ? doubts_ : overdues_);
    }

    Suspicion& suspicion_;
    iouring::Instant now_;
    iouring::Duration least_;
    int doubts_ = 0, overdues_ = 0;
    std::array<iouring::Duration, 8> silences_{};  // By command: the longest.
  };

 private:
  static constexpr std::size_t commands = 8;
  static constexpr std::size_t index(nbd::Command command) noexcept {
    return static_cast<std::size_t>(command);
  }

  std::array<Slowest, commands> slowest_;  // By command.
};

}  // namespace head::disc
