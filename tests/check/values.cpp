#include "tests/check/values.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace check {

Values::Values(std::uint32_t disc, std::uint64_t sectors, Promise promise, Tearing tearing)
    : disc_(disc), promise_(promise), tearing_(tearing), sectors_(sectors) {
  const Record nothing{.kind = Kind::zero, .fate = Fate::done, .ended = 0};
  for (Sector& sector : sectors_) sector.records.push_back(nothing);
}

Change Values::ask_change(Kind kind, std::uint64_t first, std::uint64_t count, bool fua) {
  if (first > sectors_.size() || count > sectors_.size() - first)
    throw std::logic_error("a change beyond the disc");
  ++now_;
  changes_.push_back({.kind = kind, .fua = fua, .first = first, .count = count});
  const auto change = static_cast<Change>(changes_.size());
  for (std::uint64_t i = first; i < first + count; ++i) {
    sectors_[i].records.push_back({.change = change, .kind = kind, .asked = now_});
    list(i);
  }
  return change;
}

void Values::answer_change(Change change, bool success) {
  ++now_;
  Extent& extent = changes_.at(change - 1);
  if (extent.over) throw std::logic_error("a change that is over");
  extent.over = true;
  const bool certain = success && extent.kind != Kind::trim;
  for (std::uint64_t i = extent.first; i < extent.first + extent.count; ++i) {
    Sector& sector = sectors_[i];
    const auto own = std::find_if(sector.records.begin(), sector.records.end(),
                                  [&](const Record& record) { return record.change == change; });
    own->ended = now_;
    own->failed = !success;
    own->fate = certain ? Fate::done : Fate::loose;
    if (!certain) continue;
    // It may have been done in pieces, and some of them before the crash.
    if (promise_ == Promise::writeback && !extent.fua && crashed_at_ > own->asked) continue;
    const bool stable = extent.fua || promise_ == Promise::writethrough;
    for (Record& other : sector.records) {
      if (other.ended >= own->asked) continue;
      other.gone = std::min(other.gone, now_);
      other.stable &= !stable;
    }
    tidy(sector);
  }
}

// Whatever was gone by then is on stable storage no more.
void Values::cover(Sector& sector, Moment since) {
  for (Record& record : sector.records)
    if (record.gone <= since) record.stable = false;
}

// All that stable storage may hold may be there again. Loose: from now on, until it is overwritten.
void Values::revive(Sector& sector, bool loose) {
  for (Record& record : sector.records) {
    if (!record.stable || record.gone == never) continue;
    record.gone = never;
    if (!loose) continue;
    record.fate = Fate::loose;
    record.ended = now_;
  }
}

void Values::answer_flush(Moment asked, bool success) {
  ++now_;
  for (std::size_t i = 0; i < listed_.size();) {
    Sector& sector = sectors_[listed_[i]];
    if (success)
      cover(sector, asked);
    else if (promise_ != Promise::replay)
      revive(sector, true);
    tidy(sector);
    if (sector.records.size() > 1) {
      ++i;
      continue;
    }
    sector.listed = false;
    listed_[i] = listed_.back();
    listed_.pop_back();
  }
}

void Values::tail_crashed() {
  crashed_at_ = ++now_;
  if (promise_ == Promise::replay) return revive_exposed(log_lost_at_);
  for (const std::uint64_t number : listed_) revive(sectors_[number], false);
}

// Whether it had been written again since a crash nobody knows.
void Values::log_lost() {
  log_lost_at_ = ++now_;
  if (promise_ == Promise::replay) revive_exposed(crashed_at_);
}

// Where something that may be there now was asked by then and is not covered since: its answer may
// have been on its way when the log, or the tail's cache, was lost.
void Values::revive_exposed(Moment asked_before) {
  for (const std::uint64_t number : listed_) {
    Sector& sector = sectors_[number];
    const bool exposed =
        std::any_of(sector.records.begin(), sector.records.end(), [&](const Record& record) {
          return record.gone == never && record.fate != Fate::pending &&
                 record.asked < asked_before;
        });
    if (exposed) revive(sector, false);
  }
}

Values::Moment Values::ask_read() {
  reads_.push_back(++now_);
  return now_;
}

void Values::drop_read(Moment asked) {
  ++now_;
  const auto found = std::find(reads_.begin(), reads_.end(), asked);
  if (found == reads_.end()) throw std::logic_error("a read that is over");
  reads_.erase(found);
}

Violation Values::answer_read(Moment asked, std::uint64_t first, std::span<const std::byte> bytes) {
  drop_read(asked);
  if (bytes.size() % sector_bytes != 0 || first > sectors_.size() ||
      bytes.size() / sector_bytes > sectors_.size() - first)
    throw std::logic_error("a read that is not of whole sectors of the disc");
  for (std::uint64_t i = 0; i < bytes.size() / sector_bytes; ++i)
    if (Violation violation =
            check_sector(asked, first + i, bytes.subspan(i * sector_bytes).first<sector_bytes>()))
      return violation;
  return {};
}

Violation Values::check_sector(Moment asked, std::uint64_t number,
                               std::span<const std::byte, sector_bytes> bytes) {
  Sector& sector = sectors_[number];
  const Origin here{.change = 0, .disc = disc_, .sector = number};
  const auto origin = origin_of(bytes, here);
  if (!origin)
    return may_be_torn(asked, number, bytes) ? Violation{} : explain(asked, number, bytes);
  const bool possible =
      origin->disc == disc_ && origin->sector == number &&
      std::any_of(sector.records.begin(), sector.records.end(), [&](const Record& record) {
        return record.reads_as(origin->change) && record.was_current_since(asked);
      });
  if (!possible) return explain(asked, number, bytes);
  if (sector.records.size() > 1) learn(sector, asked, origin->change);
  return {};
}

// Rule 2.
void Values::learn(Sector& sector, Moment asked, Change seen) {
  if (crashed_at_ > asked) return;
  const bool there = std::any_of(
      sector.records.begin(), sector.records.end(),
      [&](const Record& record) { return record.reads_as(seen) && record.gone == never; });
  if (!there) return;
  for (Record& record : sector.records)
    if (record.fate == Fate::done && record.gone == never && record.ended < asked &&
        !record.reads_as(seen))
      record.gone = now_;
}

bool Values::may_be_torn(Moment asked, std::uint64_t number,
                         std::span<const std::byte, sector_bytes> bytes) const {
  const Sector& sector = sectors_[number];
  bool excused = false;
  for (const Run& run : runs_of(bytes, {.change = 0, .disc = disc_, .sector = number})) {
    const auto found =
        std::find_if(sector.records.begin(), sector.records.end(), [&](const Record& record) {
          return record.reads_as(run.origin.change) && record.was_current_since(asked);
        });
    if (found == sector.records.end() || run.origin.disc != disc_ || run.origin.sector != number)
      return false;
    excused |= found->failed;
    excused |=
        tearing_ == Tearing::in_flight && (found->fate != Fate::done || found->ended > asked);
  }
  return excused;
}

Violation Values::explain(Moment asked, std::uint64_t number,
                          std::span<const std::byte, sector_bytes> bytes) const {
  const Origin here{.change = 0, .disc = disc_, .sector = number};
  const auto origin = origin_of(bytes, here);
  std::string may;
  for (const Record& record : sectors_[number].records) {
    if (!record.was_current_since(asked)) continue;
    may += may.empty() ? "" : " or ";
    may += record.kind == Kind::write ? "change " + std::to_string(record.change)
           : record.change == 0       ? "zeroes"
                                      : "zeroes of change " + std::to_string(record.change);
  }
  Rule rule = Rule::torn;
  if (origin) {
    const bool known = origin->change <= changes_.size();
    rule = !known ? Rule::damaged : Rule::stale;
    if (known && (origin->disc != disc_ || origin->sector != number)) rule = Rule::misplaced;
    if (known && rule == Rule::stale && origin->change != 0) {
      const Extent& extent = changes_[origin->change - 1];
      const bool asked_here = number >= extent.first && number < extent.first + extent.count;
      if (!asked_here || extent.kind != Kind::write) rule = Rule::unasked;
    }
  } else {
    for (const Run& run : runs_of(bytes, here))
      if (run.origin.change > changes_.size() || run.origin.disc != disc_ ||
          run.origin.sector != number)
        rule = Rule::damaged;
  }
  return {.rule = rule,
          .sentence = "sector " + std::to_string(number) + " of disc " + std::to_string(disc_) +
                      " was read as " + describe(bytes, here) + " where only " + may + " can be"};
}

std::vector<Change> Values::current(std::uint64_t sector) const {
  std::vector<Change> all;
  for (const Record& record : sectors_.at(sector).records)
    if (record.gone == never) all.push_back(record.change);
  return all;
}

void Values::list(std::uint64_t sector) {
  if (sectors_[sector].listed) return;
  sectors_[sector].listed = true;
  listed_.push_back(sector);
}

Values::Moment Values::oldest_read() const {
  return reads_.empty() ? now_ : *std::min_element(reads_.begin(), reads_.end());
}

// Forgets what can never be read again.
void Values::tidy(Sector& sector) {
  if (sector.records.size() < 2) return;
  const Moment oldest = oldest_read();
  std::erase_if(sector.records,
                [&](const Record& record) { return !record.stable && record.gone <= oldest; });
}

}  // namespace check
