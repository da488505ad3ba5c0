// What only the wire says of where a disc is, against what was told of it (a pin): the host there
// is to show that it has the disc before anything is asked of it.
#pragma once

#include "head/stats/disc_stats.hpp"

#include <cstdint>
#include <string>

namespace head::disc {

class Rumours {
 public:
  explicit Rumours(stats::DiscStats& stats) noexcept : stats_(stats) {}

  // The one in effect, as DiscStats::rumoured_at has it; 0: it is where it was told to be. Whoever
  // began to connect under another one may have come to another host.
  std::uint64_t now() const noexcept { return stats_.rumoured_at.load(std::memory_order_acquire); }
  bool must_be_proven() const noexcept { return stats_.must_prove(); }

  // The tail of a connection that began under `rumour` has the disc. 0: it is where it was told to
  // be, which ends what was proven of other places. True when that is news.
  bool prove(std::uint64_t rumour) noexcept {
    if (stats_.proven_at.load(std::memory_order_relaxed) == rumour) return false;
    stats_.prove(rumour);
    return true;
  }

  // The tail there was objected to, and an operator accepts it. False: meanwhile another one is
  // spoken of.
  void object(std::uint64_t rumour) noexcept { objected_ = rumour; }
  bool accept() noexcept {
    if (objected_ != now()) return false;
    stats_.prove(objected_);
    return true;
  }

  // The link-layer address that was objected to: "52:54:00:12:34:56".
  std::string who() const;

 private:
  stats::DiscStats& stats_;
  std::uint64_t objected_ = 0;
};

}  // namespace head::disc
