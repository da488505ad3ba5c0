// What the sectors of one disc may hold, given everything that its guests asked and were answered,
// in the order in which that happened. All guests of a disc share one, wherever they are served.
//
// The rules:
//  1. A read returns a change that was current at some time between its asking and its answer. A
//     change is current from when it is asked until a change that was asked after its end is
//     acknowledged. Of changes that were under way together, any may be the last.
//  2. A read that returned a change ends all others that had ended before the read was asked.
//  3. A change that failed, was abandoned, or is a TRIM may be there or not until a later change of
//     the sector is acknowledged; rule 2 does not end it. In mode replay what a read of it had
//     ended is current again when it fails: until its guest is told, what is kept may be written
//     again.
//  4. A crash of the tail makes everything current again that its stable storage may hold: all that
//     was current at any time since the last FLUSH that covered the sector. What is acknowledged
//     after a crash, but was asked before it, may be lost as well. In mode writethrough each
//     acknowledgement covers. In mode replay a crash changes nothing, except for what was asked
//     before a loss of the log, were it after the crash, and is not covered since; for what a TRIM
//     was to discard; and for what was ended (rule 2) by a change that nobody was told of.
//  5. A FLUSH covers what was acknowledged before it was asked; a change with FUA covers itself.
//  6. A FLUSH that a guest was told has failed may have lost what it was to cover (in mode replay
//     only what rule 4 excepts, and what is under a TRIM from then on until a FLUSH is answered:
//     the rest is kept, and written again). No read ends what it may have brought back: the tail's
//     cache may show for a while what its storage does not hold. A change that is acknowledged once
//     headd has heard of the loss does, though it was asked before; and in mode replay a FLUSH does
//     that is answered well, for what ended before the newest change that it covers.
//  7. A sector holds parts of several changes only if one of them has failed, or, with
//     Tearing::in_flight, was under way or abandoned.
//
// More is allowed where what happened cannot be told from outside: values_test.cpp lists the cases,
// values_property_test.cpp counts how often they matter.
#pragma once

#include "tests/check/pattern.hpp"
#include "tests/check/violation.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace check {

// A disc's durability mode: what an acknowledged write outlives.
enum class Promise : std::uint8_t { writeback, writethrough, replay };
// How writes and reads of one sector may meet.
enum class Tearing : std::uint8_t { failed, in_flight };
enum class Kind : std::uint8_t { write, zero, trim };

class Values {
 public:
  // Moments in the order of calls; a read or a FLUSH is known by the moment at which it was asked.
  using Moment = std::uint64_t;

  Values(std::uint32_t disc, std::uint64_t sectors, Promise promise,
         Tearing tearing = Tearing::failed);

  // Guests. A write's sectors are to be filled with what ask_change() returns.
  Change ask_change(Kind kind, std::uint64_t first, std::uint64_t count, bool fua);
  void answer_change(Change change, bool success) {
    end_change(change, success ? End::acknowledged : End::failed);
  }
  // Its guest is gone, and nobody asks it again.
  void abandon(Change change) { end_change(change, End::abandoned); }

  Moment ask_flush() { return ++now_; }
  void answer_flush(Moment asked, bool success);

  Moment ask_read();
  // Of whole sectors. The read is over then.
  Violation answer_read(Moment asked, std::uint64_t first, std::span<const std::byte> bytes);
  // The same of sectors that were said to read as zeroes, in any number of stretches.
  struct Stretch {
    std::uint64_t first = 0, count = 0;
  };
  Violation answer_zeroes(Moment asked, std::span<const Stretch> stretches);
  // It failed, or its guest is gone.
  void drop_read(Moment asked);

  // The world. A crash that takes time is told when it begins and when it is over.
  void tail_crashed();
  // What was kept for mode replay is lost: headd was killed, for example.
  void log_lost();
  // Between `true` and `false` the tail may fail a FLUSH at any moment and forget what is dirty:
  // from when that is decided until a guest was told. They nest. Where a failed FLUSH is answered
  // the moment that it fails, answer_flush() alone is enough.
  void may_forget(bool yes);
  // headd knows of all that was forgotten until now; or never will.
  void loss_heard();
  void loss_unheard();

  // The changes that a sector may hold now; for messages and tests.
  std::vector<Change> current(std::uint64_t sector) const;
  std::uint64_t sectors() const { return sectors_.size(); }

 private:
  static constexpr Moment never = UINT64_MAX;

  enum class End : std::uint8_t { acknowledged, failed, abandoned };
  enum class Fate : std::uint8_t { pending, done, loose };
  struct Record {
    Change change = 0;
    Kind kind = Kind::write;
    Fate fate = Fate::pending;
    bool failed = false;   // It was answered with an error.
    bool stable = true;    // The tail's stable storage may hold it.
    bool lingers = false;  // No read ends it.
    bool unheard = false;  // It came back with a loss that headd will never hear of.
    bool unkept = false;   // It was ended by a read of a change that nobody was told of:
    Change ended_by = 0;   // of this one; 0: of zeroes.
    Moment asked = 0;
    Moment ended = never;
    Moment revived = 0;   // By a loss: until that is heard of, it counts as ended then.
    Moment gone = never;  // Since when it cannot be what the sector holds. Never: it is stable.

    bool reads_as(Change seen) const { return kind == Kind::write ? change == seen : seen == 0; }
    bool was_current_since(Moment moment) const { return gone > moment; }
    bool had_ended(Moment moment) const { return ended < moment && revived < moment; }
  };
  struct Sector {
    std::vector<Record> records;
    bool listed = false;
  };
  struct Extent {
    Kind kind = Kind::write;
    bool fua = false;
    bool over = false;
    Moment asked = 0;
    std::uint64_t first = 0, count = 0;
  };

  void end_change(Change change, End end);
  bool may_be_lost(const Sector& sector, Moment asked) const;
  static void bring_back(Sector& sector, const Record& failed);
  void supersede(Sector& sector, Moment asked, bool covers);
  void settle(Sector& sector, Moment flushed);
  void lose(Moment asked_before, bool linger);
  void lose(Sector& sector, bool all, bool linger);
  static bool is_trim(const Record& record) {
    return record.kind == Kind::trim && record.gone == never;
  }
  void tidy(Sector& sector);
  void list(std::uint64_t sector);
  Moment oldest_read() const;
  Violation check_sectors(Moment asked, std::uint64_t first, std::span<const std::byte> bytes);
  Violation check_sector(Moment asked, std::uint64_t number,
                         std::span<const std::byte, sector_bytes> bytes);
  bool may_be_torn(Moment asked, std::uint64_t number,
                   std::span<const std::byte, sector_bytes> bytes) const;
  Violation explain(Moment asked, std::uint64_t number,
                    std::span<const std::byte, sector_bytes> bytes) const;
  Rule rule_of(std::uint64_t number, const Origin& origin) const;
  void learn(Sector& sector, Moment asked, Change seen);

  const std::uint32_t disc_;
  const Promise promise_;
  const Tearing tearing_;
  Moment now_ = 0;
  Moment crashed_at_ = 0;
  Moment log_lost_at_ = 0;
  unsigned forgetting_ = 0;
  Moment forgot_at_ = 0;  // By a FLUSH that failed; 0: none, or all that is kept is written again.
  std::vector<Sector> sectors_;
  std::vector<std::uint64_t> listed_;  // Sectors with more than one record.
  std::vector<Extent> changes_;        // By Change - 1.
  std::vector<Moment> reads_;          // That are under way.
};

}  // namespace check
