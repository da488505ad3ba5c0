#include "tests/check/values.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace check {

Values::Values(std::uint32_t disc, std::uint64_t sectors, Promise promise, Tearing tearing)
    : disc_(disc), promise_(promise), tearing_(tearing), sectors_(sectors) {
  if (disc >= discs_max || sectors > sectors_max)
    throw std::logic_error("a disc that the patterns of its sectors cannot name");
  const Record nothing{.kind = Kind::zero, .fate = Fate::done, .ended = 0};
  for (Sector& sector : sectors_) sector.records.push_back(nothing);
}

Change Values::ask_change(Kind kind, std::uint64_t first, std::uint64_t count, bool fua) {
  if (first > sectors_.size() || count > sectors_.size() - first)
    throw std::logic_error("a change beyond the disc");
  ++now_;
  changes_.push_back({.kind = kind, .fua = fua, .asked = now_, .first = first, .count = count});
  const auto change = static_cast<Change>(changes_.size());
  for (std::uint64_t i = first; i < first + count; ++i) {
    sectors_[i].records.push_back({.change = change, .kind = kind, .asked = now_});
    list(i);
  }
  return change;
}

void Values::end_change(Change change, End end) {
  ++now_;
  Extent& extent = changes_.at(change - 1);
  if (extent.over) throw std::logic_error("a change that is over");
  extent.over = true;
  const bool certain = end == End::acknowledged && extent.kind != Kind::trim;
  const bool covers = extent.fua || promise_ == Promise::writethrough;
  for (std::uint64_t i = extent.first; i < extent.first + extent.count; ++i) {
    Sector& sector = sectors_[i];
    const auto own = std::find_if(sector.records.begin(), sector.records.end(),
                                  [&](const Record& record) { return record.change == change; });
    own->ended = now_;
    own->failed = end == End::failed;
    own->fate = certain ? Fate::done : Fate::loose;
    own->lingers |= !certain;
    if (end == End::failed && promise_ == Promise::replay) bring_back(sector, *own);
    if (extent.kind == Kind::trim && promise_ == Promise::replay && forgot_at_ != 0)
      lose(sector, true, true);  // What it was to discard is not written again before it is.
    if (certain) supersede(sector, extent.asked, covers);
    tidy(sector);
  }
}

// What a read of a change ended that nobody had been told of.
void Values::bring_back(Sector& sector, const Record& failed) {
  for (Record& record : sector.records) {
    if (!record.unkept || !failed.reads_as(record.ended_by)) continue;
    record.gone = never;
    record.unkept = false;
  }
}

// What was asked then and is acknowledged now. Rule 4: perhaps by one that has crashed since then;
// or rule 6.
bool Values::may_be_lost(const Sector& sector, Moment asked) const {
  const bool kept = promise_ == Promise::replay && asked > log_lost_at_ &&
                    std::none_of(sector.records.begin(), sector.records.end(), is_trim);
  return !kept && (crashed_at_ > asked || forgetting_ > 0);
}

// A change that was asked then is acknowledged: rules 1, 3 and 5.
void Values::supersede(Sector& sector, Moment asked, bool covers) {
  const bool lost = !covers && may_be_lost(sector, asked);
  for (Record& other : sector.records) {
    if (!other.had_ended(asked)) continue;
    other.lingers = other.unkept = other.unheard = false;
    if (!lost && other.gone == never) other.gone = now_;
    if (covers) other.stable = false;
  }
}

void Values::answer_flush(Moment asked, bool success) {
  ++now_;
  if (!success) {
    forgot_at_ = now_;
    return lose(log_lost_at_, true);
  }
  if (asked > forgot_at_) forgot_at_ = 0;
  // Outside mode replay it may be answered after one that has failed.
  if (forgetting_ > 0 && promise_ != Promise::replay) return;
  for (std::size_t i = 0; i < listed_.size();) {
    Sector& sector = sectors_[listed_[i]];
    if (promise_ == Promise::replay) settle(sector, asked);
    for (Record& record : sector.records)
      if (record.gone <= asked && forgetting_ == 0) record.stable = false;
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

// In mode replay: its newest change that was acknowledged before that FLUSH was asked is stable,
// and what had ended before that change was asked is gone. Not where rule 4 excepts it, nor what
// came back with a loss that headd never heard of.
void Values::settle(Sector& sector, Moment flushed) {
  if (std::any_of(sector.records.begin(), sector.records.end(), is_trim)) return;
  Moment newest = 0;
  for (const Record& record : sector.records)
    if (record.fate == Fate::done && record.ended < flushed)
      newest = std::max(newest, record.asked);
  if (newest <= log_lost_at_) return;
  for (Record& record : sector.records) {
    if (record.ended >= newest || record.unheard) continue;
    record.gone = std::min(record.gone, now_);
    record.stable = record.lingers = record.unkept = false;
  }
}

void Values::tail_crashed() {
  crashed_at_ = ++now_;
  lose(log_lost_at_, false);
}

// Whether it had been written again since a crash, or since a FLUSH failed, nobody knows.
void Values::log_lost() {
  log_lost_at_ = ++now_;
  const Moment forgot = forgetting_ > 0 ? now_ : forgot_at_;
  if (promise_ == Promise::replay) lose(std::max(crashed_at_, forgot), forgot != 0);
}

void Values::may_forget(bool yes) {
  ++now_;
  if (!yes && forgetting_ == 0) throw std::logic_error("an end without a beginning");
  forgetting_ += yes ? 1u : -1u;
  forgot_at_ = now_;
  lose(log_lost_at_, true);
}

void Values::loss_heard() {
  ++now_;
  if (forgetting_ > 0) return;
  for (const std::uint64_t number : listed_)
    for (Record& record : sectors_[number].records)
      if (!record.unheard) record.revived = 0;
}

void Values::loss_unheard() {
  ++now_;
  for (const std::uint64_t number : listed_)
    for (Record& record : sectors_[number].records) record.unheard |= record.revived != 0;
}

// What the tail has not made stable is lost: all that its stable storage may hold may be there. In
// mode replay only where something that may be there now is kept nowhere else: it was asked before
// that moment, or is a TRIM, before which nothing need be kept and which need not do anything.
void Values::lose(Moment asked_before, bool linger) {
  for (const std::uint64_t number : listed_) {
    Sector& sector = sectors_[number];
    const auto is_exposed = [&](const Record& record) {
      return is_trim(record) || (record.gone == never && record.asked < asked_before);
    };
    const bool all = promise_ != Promise::replay ||
                     std::any_of(sector.records.begin(), sector.records.end(), is_exposed);
    lose(sector, all, linger);
  }
}

void Values::lose(Sector& sector, bool all, bool linger) {
  for (Record& record : sector.records) {
    // A cache that forgot what is not kept shows it for a while.
    const bool shown = linger && record.gone == never;
    if (!record.stable || !(all || record.unkept || shown)) continue;
    record.gone = never;
    record.unkept = false;
    record.lingers |= linger;
    if (linger && record.fate != Fate::pending) record.revived = now_;
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
  return check_sectors(asked, first, bytes);
}

Violation Values::answer_zeroes(Moment asked, std::span<const Stretch> stretches) {
  drop_read(asked);
  std::vector<std::byte> zeroes;
  for (const Stretch& stretch : stretches) {
    zeroes.resize(stretch.count * sector_bytes);
    if (Violation violation = check_sectors(asked, stretch.first, zeroes)) return violation;
  }
  return {};
}

Violation Values::check_sectors(Moment asked, std::uint64_t first,
                                std::span<const std::byte> bytes) {
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
  if (crashed_at_ > asked || forgetting_ > 0) return;
  bool there = false, told = true;
  for (const Record& record : sector.records) {
    if (!record.reads_as(seen) || record.gone != never) continue;
    there = true;
    told &= record.fate == Fate::done;
  }
  if (!there) return;
  for (Record& record : sector.records) {
    if (record.fate == Fate::pending || record.lingers || record.gone != never ||
        !record.had_ended(asked) || record.reads_as(seen))
      continue;
    record.gone = now_;
    record.unkept = !told;
    record.ended_by = seen;
  }
}

bool Values::may_be_torn(Moment asked, std::uint64_t number,
                         std::span<const std::byte, sector_bytes> bytes) const {
  bool excused = false;
  for (const Run& run : runs_of(bytes, {.change = 0, .disc = disc_, .sector = number})) {
    if (run.origin.disc != disc_ || run.origin.sector != number) return false;
    bool possible = false;
    for (const Record& record : sectors_[number].records) {
      if (!record.reads_as(run.origin.change) || !record.was_current_since(asked)) continue;
      possible = true;
      excused |= record.failed;
      excused |=
          tearing_ == Tearing::in_flight && (record.fate != Fate::done || record.ended > asked);
    }
    if (!possible) return false;
  }
  return excused;
}

Violation Values::explain(Moment asked, std::uint64_t number,
                          std::span<const std::byte, sector_bytes> bytes) const {
  const Origin here{.change = 0, .disc = disc_, .sector = number};
  std::string may;
  for (const Record& record : sectors_[number].records) {
    if (!record.was_current_since(asked)) continue;
    may += may.empty() ? "" : " or ";
    may += record.kind == Kind::write ? "change " + std::to_string(record.change)
           : record.change == 0       ? "zeroes"
                                      : "zeroes of change " + std::to_string(record.change);
  }
  Rule rule = Rule::torn;
  if (const auto origin = origin_of(bytes, here)) {
    rule = rule_of(number, *origin);
  } else {
    for (const Run& run : runs_of(bytes, here))
      if (rule_of(number, run.origin) != Rule::stale) rule = Rule::damaged;
  }
  return {.rule = rule,
          .sentence = "sector " + std::to_string(number) + " of disc " + std::to_string(disc_) +
                      " was read as " + describe(bytes, here) + " where only " + may + " can be"};
}

// Of what cannot be there: why.
Rule Values::rule_of(std::uint64_t number, const Origin& origin) const {
  if (origin.change == no_change) return Rule::damaged;
  if (origin.disc != disc_ || origin.sector != number) return Rule::misplaced;
  if (origin.change == 0) return Rule::stale;
  if (origin.change > changes_.size()) return Rule::unasked;
  const Extent& extent = changes_[origin.change - 1];
  const bool here = number >= extent.first && number - extent.first < extent.count;
  return here && extent.kind == Kind::write ? Rule::stale : Rule::unasked;
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
