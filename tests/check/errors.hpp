// Errors go where they belong: one that a tail told once, about what was acknowledged before,
// reaches every guest that was connected then, at its next FLUSH or FUA; and no guest is told one
// that no tail has told and no order asked for.
#pragma once

#include "tests/check/violation.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace check {

class Errors {
 public:
  using Guest = std::uint64_t;
  using Request = std::uint64_t;  // As Progress counts them.
  // Moments in the order of calls.
  using Moment = std::uint64_t;

  void join(Guest guest) { guests_[guest]; }
  void leave(Guest guest) { guests_.erase(guest); }

  // A tail has failed to make stable what was acknowledged before, and says it this once. Where
  // it is known only later, `since` is a moment before it: who has been told since then knows.
  void tail_lost_data() { tail_lost_data(++now_); }
  void tail_lost_data(Moment since);
  // Nobody will ever hear of the loss that came next after this moment.
  void forgive(Moment since);
  // That data is on the tail again: nobody need be told.
  void repaired() { ++now_, repaired_ = now_; }

  // A FLUSH, or a change with FUA. One that fails is to be given to fail() as well, unless its
  // guest is to be told of a loss.
  Moment ask_sync() { return ++now_; }
  Violation answer_sync(Guest guest, Moment asked, bool success);
  bool owes(Guest guest) const;

  // This request may fail: a tail has refused it.
  void excuse(Request request) { excused_.insert(request); }
  // All may, from now on; or none any more that is asked from now on.
  void allow(bool yes);
  Moment ask() { return ++now_; }
  Violation fail(Request request, Moment asked, const std::string& what);

 private:
  struct Debt {
    Moment loss = 0;  // The oldest that it is to be told; 0: none.
    Moment told = 0;  // When it was told last.
  };

  Moment now_ = 0;
  Moment repaired_ = 0;
  std::map<Guest, Debt> guests_;
  std::set<Request> excused_;
  bool allowed_ = false;
  Moment allowed_until_ = 0;
};

}  // namespace check
