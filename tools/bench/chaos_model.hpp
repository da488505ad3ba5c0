// What a disc may answer, told from what its guest asked and was answered. Every sector that is
// written says which write of which disc it is, so that a read shows a write that was lost, one
// that came back, and data of another sector or disc. Pure: no time, no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace bench::chaos {

// A write, counted from 1 for each disc; 0 is what was there before any: zeroes.
using Sequence = std::uint64_t;

constexpr std::size_t sector_bytes = 512;
using Sector = std::span<std::byte, sector_bytes>;
using ReadSector = std::span<const std::byte, sector_bytes>;

// What a sector says of itself: all of its bytes depend on all of this, the last eight are a sum.
struct Stamp {
  Sequence sequence = 0;
  std::uint32_t disc = 0;
  std::uint64_t sector = 0;
};
void stamp(Sector sector, const Stamp& stamp);

// headd's durability modes: what an acknowledged write outlives.
enum class Promise : std::uint8_t { writeback, writethrough, replay };

enum class Flaw : std::uint8_t {
  none,
  damaged,       // no stamp, or a wrong sum;
  other_disc,    // a stamp of another disc
  other_sector,  // or place;
  older,         // a write that was overwritten: the newer one is lost, or this one came back;
  unasked,       // a write that nobody has asked for.
};

struct Verdict {
  Flaw flaw = Flaw::none;
  std::string said;  // One sentence, where there is a flaw.
};

// A disc's history. What happens is told in the order in which the guest sees it; the crash of a
// process is told before it is begun and again when it is over, because what happens in between is
// seen in either order. Of a sector at most one request is under way at any time.
class History {
 public:
  History(std::uint32_t disc, std::uint64_t sectors, Promise promise);

  // A write is asked for; its sectors are to be stamped with what is returned.
  Sequence ask_write(std::uint64_t first, std::uint64_t count, bool fua);
  void answer_write(Sequence sequence);
  // Its session ended before an answer, and it is not asked again: it may be done, now or later, or
  // not. The next write to the same place that is acknowledged ends that.
  void abandon(Sequence sequence);

  using Flush = std::uint64_t;
  Flush ask_flush() { return ++now_; }
  void answer_flush(Flush flush);

  void tail_crashes() { ++losses_.tail; }
  void head_crashes() { ++losses_.head; }
  // While it is not known whether what headd keeps is lost.
  void doubt_head(bool yes) { head_in_doubt_ = yes; }

  // What a read of whole sectors, answered now, has shown.
  Verdict check(std::uint64_t first, std::span<const std::byte> bytes) const;

 private:
  // How often what was not stable could be lost.
  struct Losses {
    unsigned tail = 0, head = 0;
  };
  struct Done {
    Sequence sequence;
    Losses asked;          // As they were then.
    std::uint64_t answer;  // When.
    bool certain = true;   // Not if it was given up.
  };
  struct State {
    std::vector<Sequence> stable{0};  // One of these outlives anything.
    std::vector<Done> unflushed;      // Oldest first.
    std::vector<Sequence> open;       // Not answered.
  };
  struct Write {
    std::uint64_t first, count;
    bool fua;
    Losses asked;
  };

  bool at_risk(const Done& write) const;
  // What of the first so many that are unflushed, and of what is stable, may be there.
  std::vector<Sequence> possible(const State& state, std::size_t unflushed) const;
  Verdict check_sector(std::uint64_t sector, ReadSector bytes) const;

  std::uint32_t disc_;
  Promise promise_;
  std::vector<State> sectors_;
  std::map<Sequence, Write> under_way_;
  Losses losses_;
  bool head_in_doubt_ = false;
  Sequence last_ = 0;
  std::uint64_t now_ = 0;
};

}  // namespace bench::chaos
