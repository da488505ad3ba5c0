// Keeps changes of a disc apart that must not pass each other: pure bookkeeping over ranges.
//
// Changes that overlap go one after the other, in the order in which they were asked. One that is
// sent again after its connection was lost goes before later ones of the same bytes, and reads of
// them wait until it is answered. What the tail got of it on that connection it may still carry
// out: a ghost. The range of a possible ghost is in doubt until the ghost is known to have been
// carried out or to come no more, or for a time that is safe; only the change itself, which writes
// the same, may go there meanwhile.
#pragma once

#include "head/disc/pieces.hpp"
#include "iouring/timer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
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
  };

  // A change is sent; or, `again`, it was sent before, on a connection that was lost, and has to be
  // once more.
  void begin(const void* who, Range range, bool again) {
    for (Change& change : changes_)
      if (change.who == who) {
        change.again |= again;
        change.under_way = !again;
        return;
      }
    changes_.push_back({.who = who, .range = range, .again = again, .under_way = !again});
  }
  // It is not with the tail for now, and keeps its turn.
  void rest(const void* who) noexcept {
    for (Change& change : changes_)
      if (change.who == who) change.under_way = false;
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
    changes_.erase(found);  // The others keep their order.
    return true;
  }

  // A ghost of it may come. `who` may be null; `content` is what it writes, 0 where that is not
  // known.
  void doubt(const void* who, Range range, const Term& term, std::uint64_t content = 0) {
    add({.who = who, .range = range, .term = term, .witness = {}, .content = content});
  }
  // Its ghosts write this.
  void tell_content(const void* who, std::uint64_t content) noexcept {
    for (Doubt& doubt : doubts_)
      if (doubt.who == who) doubt.content = content;
  }
  // The same, until it is answered where it was asked, or that connection is lost.
  void doubt(const void* who, Range range, Witness witness) {
    constexpr auto never = iouring::Instant::max();
    add({.who = who, .range = range, .term = {never, never}, .witness = witness, .content = 0});
  }
  // A ghost has been carried out, or never will be. False: it was none.
  bool settle(Witness witness) noexcept {
    return std::erase_if(doubts_, [&](const Doubt& doubt) {
             return doubt.witness.connection == witness.connection &&
                    doubt.witness.cookie == witness.cookie;
           }) != 0;
  }
  // Its answers will not come.
  void lose_witness(const void* connection, const Term& term) noexcept {
    for (Doubt& doubt : doubts_)
      if (doubt.witness.connection == connection) {
        doubt.term = term;
        doubt.witness = {};
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
  bool expects(Range range) const noexcept {
    return std::any_of(expected_.begin(), expected_.end(),
                       [&](const Expected& one) { return one.range == range; });
  }
  // If it is one of those, it is sent again, and their ghosts are its own.
  void arrive(const void* who, Range range, std::uint64_t content) {
    const auto found = std::find_if(expected_.begin(), expected_.end(), [&](const Expected& one) {
      return one.range == range && (one.content == 0 || one.content == content);
    });
    if (found == expected_.end()) return;
    expected_.erase(found);
    begin(who, range, true);
    for (Doubt& doubt : doubts_)
      if (doubt.who == nullptr && doubt.range == range && doubt.content == content) doubt.who = who;
  }
  // Was it with a tail, and is it unanswered?
  bool was_sent(const void* who) const noexcept {
    return std::any_of(changes_.begin(), changes_.end(),
                       [who](const Change& change) { return change.who == who; });
  }

  // May it not go now?
  bool holds(const void* who, Range range, bool change, iouring::Instant now) const noexcept {
    for (const Change& other : changes_) {
      if (other.who == who) break;  // Those behind it wait for it.
      if ((change || other.again) && other.range.overlaps(range)) return true;
    }
    if (std::any_of(expected_.begin(), expected_.end(), [&](const Expected& one) {
          return one.until > now && one.range.overlaps(range);
        }))
      return true;
    if (!change || (doubts_.empty() && all_until_ <= now)) return false;
    if (all_until_ > now) return true;
    return std::any_of(doubts_.begin(), doubts_.end(), [&](const Doubt& doubt) {
      return (doubt.who == nullptr || doubt.who != who) && doubt.term.until > now &&
             doubt.range.overlaps(range);
    });
  }

  // Forgets the doubts that have ended. When the next one ends; nothing where there is none.
  std::optional<iouring::Instant> expire(iouring::Instant now) noexcept {
    if (all_until_ <= now) all_until_ = {};
    std::erase_if(expected_, [now](const Expected& one) { return one.until <= now; });
    std::erase_if(doubts_, [now](const Doubt& doubt) { return doubt.term.until <= now; });
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
    if (all_until_ > now)
      function(Range{.offset = 0, .length = UINT64_MAX}, all_until_, std::uint64_t{0});
    for (const Doubt& doubt : doubts_)
      if (doubt.term.until > now) function(doubt.range, doubt.term.until, doubt.content);
  }

  bool idle() const noexcept {
    return changes_.empty() && doubts_.empty() && expected_.empty() &&
           all_until_ == iouring::Instant{};
  }

 private:
  struct Change {
    const void* who;
    Range range;
    bool again;
    bool under_way;
  };
  struct Doubt {
    const void* who;
    Range range;
    Term term;
    Witness witness;
    std::uint64_t content;
  };

  struct Expected {
    Range range;
    std::uint64_t content;
    iouring::Instant until;
  };

  void add(const Doubt& doubt) {
    if (doubt.term.until == iouring::Instant{}) return;  // None comes.
    if (doubts_.size() < doubts_max || doubt.witness.connection != nullptr)
      doubts_.push_back(doubt);
    else
      all_until_ = std::max(all_until_, std::max(doubt.term.until, doubt.term.if_moved));
  }

  std::vector<Change> changes_;  // In the order in which they began.
  std::vector<Doubt> doubts_;
  std::vector<Expected> expected_;
  iouring::Instant all_until_{};
};

}  // namespace head::disc
