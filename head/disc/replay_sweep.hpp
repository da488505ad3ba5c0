// What a tail needs to be told of a log so that it holds all of it: for every byte that is in the
// log its newest change only, and that once, from the disc's beginning to its end. So no two of
// these meet, whatever their order; a tail that has lost nothing never goes back to older data,
// not even when headd is killed in the midst of it.
//
//   log, oldest first   A |========|    B     |======|      C  |==|
//   told                  A|=|C|==|B|========|
//
// The log must not change meanwhile. Eight bytes of memory for each of its changes.
#pragma once

#include "head/disc/pieces.hpp"
#include "head/disc/replay_log.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace head::disc {

class ReplaySweep {
 public:
  struct Part {
    ReplayLog::Place of = 0;  // The change.
    Range range{};            // What of it is the newest.
  };

  // Of the bytes from `from` on, where a part of an earlier sweep ended.
  explicit ReplaySweep(const ReplayLog& log, std::uint64_t from = 0);

  // Nothing: that was all.
  std::optional<Part> next() noexcept;

 private:
  Range range_at(ReplayLog::Place place) const noexcept { return log_.at(place).range; }
  ReplayLog::Place first_ahead() const noexcept { return places_[ahead_ - 1]; }
  void take_up_first() noexcept;
  void let_go_of_ended() noexcept;

  const ReplayLog& log_;
  // From the front those ahead, by offset, the first last; from the back a heap of those here, the
  // newest first, of which some may have ended.
  std::vector<ReplayLog::Place> places_;
  std::size_t ahead_ = 0, here_ = 0;
  std::uint64_t at_ = 0;
};

}  // namespace head::disc
