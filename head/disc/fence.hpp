// Keeps changes of a disc apart that must not pass each other: pure bookkeeping over ranges.
//
// Changes that overlap go one after the other, in the order in which they were asked. One that is
// sent again after its connection was lost goes before later ones of the same bytes, and reads of
// them wait until it is answered. What the tail got of it on that connection it may still carry
// out: a ghost. The range of a possible ghost is in doubt until the ghost is known to have been
// carried out or to come no more, or for a time that is safe; only the change itself, and others
// that write the same, may go there meanwhile.
//
// `content` is what a change writes, as content_of() tells it; 0 where that is not known.
#pragma once

#include "head/disc/pieces.hpp"
#include "head/disc/traces.hpp"
#include "iouring/timer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace head::disc {

class Fence {
 public:
  // With more of them all of the disc is in doubt: what connections can leave behind is bounded.
  // Those with a witness count as well, but are always told apart; a connection has few.
  static constexpr std::size_t doubts_max = 512;

  // Until when a ghost may come; and until when if it turns out, before that, that the disc was
  // elsewhere already when the connection was lost: tail_moved().
  struct Term {
    iouring::Instant until{};
    iouring::Instant if_moved{};
  };
  // Where the answer to a ghost is still to come. Null: nowhere.
  struct Witness {
    const void* connection = nullptr;
    std::uint64_t cookie = 0;  // The request's, there.

    bool operator==(const Witness&) const = default;
  };

  // With `traces`, which outlives it, whatever may be carried out leaves its trace there.
  explicit Fence(Traces* traces = nullptr, std::uint64_t export_key = Trace::any_export) noexcept
      : traces_(traces), export_key_(export_key) {}
  Fence(const Fence&) = delete;
  Fence& operator=(const Fence&) = delete;

  // A change is sent; or, `again`, it was sent before, on a connection that was lost, and has to be
  // once more. Where its content is not known yet, nothing that can be carried out is sent.
  // `acknowledged`: its guest has been told already.
  void begin(const void* who, Range range, bool again, std::uint64_t content = 0,
             bool acknowledged = false) {
    auto change = std::find_if(changes_.begin(), changes_.end(),
                               [who](const Change& other) { return other.who == who; });
    if (change == changes_.end())
      change = changes_.insert(changes_.end(), {.who = who, .range = range});
    change->again |= again;
    change->under_way = !again;
    if (content == 0 || content == change->content) return;
    change->content = content;
    const auto before = std::exchange(change->trace, note(range, content, acknowledged));
    forget(before);  // Its ghosts have traces of their own.
  }
  // It is not with the tail for now, and keeps its turn.
  void rest(const void* who) noexcept {
    for (Change& change : changes_)
      if (change.who == who) change.under_way = false;
  }
  // The same, and the tail has carried it out: reads need not wait for it. True: any did.
  bool rest_done(const void* who) noexcept {
    bool again = false;
    for (Change& change : changes_) {
      if (change.who != who) continue;
      again = change.again;
      change.under_way = change.again = false;
    }
    return again;
  }
  // Is it with the tail?
  bool is_under_way(const void* who) const noexcept {
    return std::any_of(changes_.begin(), changes_.end(), [who](const Change& change) {
      return change.who == who && change.under_way;
    });
  }
  // Calls it with each that is.
  template <class Function>
  void for_each_under_way(Function function) const {
    for (const Change& change : changes_)
      if (change.under_way) function(change.who);
  }
  // Is any change with the tail?
  bool any_under_way() const noexcept {
    return std::any_of(changes_.begin(), changes_.end(),
                       [](const Change& change) { return change.under_way; });
  }

  // It is answered, or will not be sent any more. Its ghosts stay. False: nobody is freed by that.
  bool end(const void* who) noexcept {
    for (Doubt& doubt : doubts_)
      if (doubt.who == who) doubt.who = nullptr;
    const auto found = std::find_if(changes_.begin(), changes_.end(),
                                    [who](const Change& change) { return change.who == who; });
    if (found == changes_.end()) return false;
    forget(found->trace);
    awaited_ -= found->awaited ? 1 : 0;
    changes_.erase(found);  // The others keep their order.
    return true;
  }

  // A ghost of it may come. `who` may be null.
  void doubt(const void* who, Range range, const Term& term, std::uint64_t content = 0,
             bool acknowledged = false) {
    add({.who = who,
         .range = range,
         .term = term,
         .content = content,
         .acknowledged = acknowledged});
  }
  // One that has left a trace already, which stays.
  void doubt(const Trace& left) {
    add({.who = nullptr,
         .range = left.range,
         .term = {left.until, left.until},
         .content = left.content},
        true);
  }
  // The same, until it is answered where it was asked, or that connection is lost.
  void doubt(const void* who, Range range, Witness witness, std::uint64_t content = 0,
             bool acknowledged = false) {
    constexpr auto never = iouring::Instant::max();
    add({.who = who,
         .range = range,
         .term = {never, never},
         .witness = witness,
         .content = content,
         .acknowledged = acknowledged});
  }
  // A ghost has been carried out, or never will be. False: it was none.
  bool settle(Witness witness) noexcept {
    return drop_doubts([&](const Doubt& doubt) { return doubt.witness == witness; });
  }
  // Its answers will not come.
  void lose_witness(const void* connection, const Term& term) noexcept {
    for (Doubt& doubt : doubts_)
      if (doubt.witness.connection == connection) {
        doubt.term = term;
        doubt.witness = {};
        if (traces_ != nullptr) traces_->set_end(doubt.trace, latest(term));
      }
  }

  // The disc is elsewhere.
  void tail_moved() noexcept {
    for (Doubt& doubt : doubts_) doubt.term.until = std::max(doubt.term.until, doubt.term.if_moved);
  }

  // A change of this content (0: any) was sent by an earlier headd and not answered: it is asked
  // again soon, and until then reads of it wait as well.
  void expect(Range range, std::uint64_t content, iouring::Instant until) {
    expected_.push_back({.range = range, .content = content, .until = until});
  }
  // Could a change of that range be one of those?
  bool expects(Range range) const noexcept {
    return std::any_of(expected_.begin(), expected_.end(),
                       [&](const Expected& one) { return one.range == range; });
  }
  // A change that is not here yet. True: it is one of those. Then it goes first, itself or in
  // pieces, and reads wait until it is answered.
  bool arrive(const void* who, Range range, std::uint64_t content) {
    const auto found = std::find_if(expected_.begin(), expected_.end(), [&](const Expected& one) {
      return one.range == range && (one.content == 0 || one.content == content);
    });
    if (found == expected_.end()) return false;
    expected_.erase(found);
    changes_.push_back({.who = who, .range = range, .again = true, .awaited = true});
    ++awaited_;
    return true;
  }
  // Could a change of that range write what a ghost does that is nobody's?
  bool may_adopt(Range range) const noexcept {
    return std::any_of(doubts_.begin(), doubts_.end(), [&](const Doubt& doubt) {
      return doubt.who == nullptr && doubt.content != 0 && doubt.range == range;
    });
  }
  // The ghosts that do are its own from now on.
  void adopt(const void* who, Range range, std::uint64_t content) noexcept {
    for (Doubt& doubt : doubts_)
      if (doubt.who == nullptr && doubt.range == range && doubt.content == content) doubt.who = who;
  }
  // It has arrived, and is not answered.
  bool was_awaited(const void* who) const noexcept {
    return awaited_ != 0 && std::any_of(changes_.begin(), changes_.end(), [who](const Change& one) {
             return one.who == who && one.awaited;
           });
  }
  // Does any go before it that is expected, or has arrived before it and is not answered?
  bool awaits_other(const void* who, Range range, iouring::Instant now) const noexcept {
    if (awaits(range, now)) return true;
    if (awaited_ == 0) return false;
    for (const Change& other : changes_) {
      if (other.who == who) return false;
      if (other.awaited && other.range.overlaps(range)) return true;
    }
    return false;
  }
  // What is known of a change that was with a tail and is unanswered; nothing where it was not.
  std::optional<std::uint64_t> sent(const void* who) const noexcept {
    for (const Change& change : changes_)
      if (change.who == who) return change.content;
    return std::nullopt;
  }

  // May it not go now? `whole`: what it is a piece of, if it is; that has its turn.
  bool holds(const void* who, Range range, bool change, iouring::Instant now,
             const void* whole = nullptr) const noexcept {
    for (const Change& other : changes_) {
      if (other.who == who || other.who == whole) break;  // Those behind it wait for it.
      if ((change || other.again) && other.range.overlaps(range)) return true;
    }
    if (awaits(range, now)) return true;
    if (!change || (doubts_.empty() && all_until_ <= now)) return false;
    if (all_until_ > now) return true;
    return std::any_of(doubts_.begin(), doubts_.end(), [&](const Doubt& doubt) {
      return (doubt.who == nullptr || doubt.who != who) && doubt.term.until > now &&
             doubt.range.overlaps(range);
    });
  }

  // May a ghost come over it?
  bool is_in_doubt(Range range, iouring::Instant now) const noexcept {
    return all_until_ > now || std::any_of(doubts_.begin(), doubts_.end(), [&](const Doubt& doubt) {
             return doubt.term.until > now && doubt.range.overlaps(range);
           });
  }

  // Forgets the doubts that have ended, and the changes that were expected and do not come. Whoever
  // they held may go.
  void expire(iouring::Instant now) noexcept {
    if (all_until_ <= now) {
      all_until_ = {};
      forget(std::exchange(all_trace_, nullptr));
    }
    std::erase_if(expected_, [now](const Expected& one) { return one.until <= now; });
    drop_doubts([now](const Doubt& doubt) { return doubt.term.until <= now; });
  }
  // When the next one ends, or has ended and is not forgotten yet; nothing where there is none.
  std::optional<iouring::Instant> next_end() const noexcept {
    std::optional<iouring::Instant> next;
    const auto at = [&](iouring::Instant when) {
      if (when != iouring::Instant::max()) next = std::min(next.value_or(when), when);
    };
    if (all_until_ != iouring::Instant{}) at(all_until_);
    for (const Doubt& doubt : doubts_) at(doubt.term.until);
    for (const Expected& one : expected_) at(one.until);
    return next;
  }

  // Tells of each doubt that lasts: a range, until when, and what the ghost writes.
  template <class Function>
  void list(iouring::Instant now, Function function) const {
    if (all_until_ > now) function(whole_disc, all_until_, std::uint64_t{0});
    for (const Doubt& doubt : doubts_)
      if (doubt.term.until > now) function(doubt.range, doubt.term.until, doubt.content);
  }

  // Tells of each change that is expected: its range and content.
  template <class Function>
  void list_expected(iouring::Instant now, Function function) const {
    for (const Expected& one : expected_)
      if (one.until > now) function(one.range, one.content);
  }

  bool idle() const noexcept {
    return changes_.empty() && doubts_.empty() && expected_.empty() &&
           all_until_ == iouring::Instant{};
  }

  // Nobody here will hear of anything any more: what is left may come until `most`, at the latest.
  void leave(iouring::Instant now, iouring::Instant most) {
    if (traces_ == nullptr) return;
    for (Change& change : changes_)
      traces_->abandon(std::exchange(change.trace, nullptr), most, now);
    for (Doubt& doubt : doubts_)
      traces_->abandon(std::exchange(doubt.trace, nullptr), std::min(latest(doubt.term), most),
                       now);
    traces_->abandon(std::exchange(all_trace_, nullptr), std::min(all_until_, most), now);
  }

 private:
  struct Change {
    const void* who;
    Range range;
    bool again = false;
    bool under_way = false;
    bool awaited = false;  // It has arrived: an earlier headd had sent it.
    std::uint64_t content = 0;
    Traces::Record* trace = nullptr;
  };
  struct Doubt {
    const void* who;
    Range range;
    Term term;
    Witness witness{};
    std::uint64_t content = 0;
    bool acknowledged = false;
    Traces::Record* trace = nullptr;
  };

  struct Expected {
    Range range;
    std::uint64_t content;
    iouring::Instant until;
  };

  bool awaits(Range range, iouring::Instant now) const noexcept {
    return std::any_of(expected_.begin(), expected_.end(), [&](const Expected& one) {
      return one.until > now && one.range.overlaps(range);
    });
  }

  // Where it may still turn out to be elsewhere.
  static iouring::Instant latest(const Term& term) noexcept {
    return std::max(term.until, term.if_moved);
  }

  void add(Doubt doubt, bool traced = false) {
    if (doubt.term.until == iouring::Instant{}) return;  // None comes.
    const bool witnessed = doubt.witness.connection != nullptr;
    const iouring::Instant end = witnessed ? iouring::Instant{} : latest(doubt.term);
    if (doubts_.size() < doubts_max || witnessed) {
      if (!traced) doubt.trace = note(doubt.range, doubt.content, doubt.acknowledged, end);
      doubts_.push_back(doubt);
      return;
    }
    all_until_ = std::max(all_until_, end);
    forget(std::exchange(all_trace_, note(whole_disc, 0, false, all_until_)));
  }
  template <class Function>
  bool drop_doubts(Function which) noexcept {
    return std::erase_if(doubts_, [&](const Doubt& doubt) {
             const bool drop = which(doubt);
             if (drop) forget(doubt.trace);
             return drop;
           }) != 0;
  }

  Traces::Record* note(Range range, std::uint64_t content, bool acknowledged,
                       iouring::Instant until = {}) noexcept {
    if (traces_ == nullptr) return nullptr;
    return traces_->note({.export_key = export_key_,
                          .range = range,
                          .content = content,
                          .until = until,
                          .acknowledged = acknowledged});
  }
  void forget(Traces::Record* trace) noexcept {
    if (traces_ != nullptr) traces_->forget(trace);
  }

  Traces* traces_;
  const std::uint64_t export_key_;
  std::vector<Change> changes_;  // In the order in which they began.
  std::vector<Doubt> doubts_;
  std::vector<Expected> expected_;
  std::size_t awaited_ = 0;  // Of `changes_`.
  iouring::Instant all_until_{};
  Traces::Record* all_trace_ = nullptr;
};

}  // namespace head::disc
