// The checkers of one disc of head-bench chaos (tests/check/), shared by all of its guests and told
// of the faults that concern it. It says first what was wrong. Every function is thread-safe.
#pragma once

#include "tests/check/errors.hpp"
#include "tests/check/progress.hpp"
#include "tests/check/values.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bench::chaos {

// By a disc's `durability`, as the API spells it.
check::Promise promise_of(std::string_view durability);

// So long after the end of the last fault everything that was asked must be answered.
constexpr std::chrono::seconds answer_limit{60};

// What a guest asks of its disc: a command of NBD.
struct Wish {
  std::uint16_t command = 0;
  bool fua = false;
  std::uint64_t first = 0, count = 0;  // Sectors.

  bool is_change() const;
  std::string text() const;
};

class Audit {
 public:
  // What was asked, until it is answered or given up; the number is the request's.
  using Number = check::Progress::Request;
  struct Asked {
    Number number = 0;
    check::Change change = 0;  // To fill the sectors of a write with.
  };
  struct Account {
    std::uint64_t writes = 0, zeroes = 0, trims = 0, reads = 0, flushes = 0;
    std::uint64_t failed = 0, given_up = 0, sessions_lost = 0;
    double longest_s = 0;  // An answer took.

    Account& operator+=(const Account& other);
  };

  Audit(std::uint32_t disc, std::uint64_t sectors, check::Promise promise);

  // Guests. Each session is one of its own: what was lost before it need not be told to it.
  std::uint64_t join();
  void leave(std::uint64_t session, bool allowed);
  Asked ask(std::uint64_t session, const Wish& wish);
  // It is asked again by another session, as the same request.
  void move(Number number, std::uint64_t session);
  void answer(Number number, std::uint32_t error, std::span<const std::byte> data);
  void give_up(Number number);  // Its session has ended, and nobody asks it again.
  void fail(const std::string& what);

  // Faults. What takes time is told when it begins and when it is over.
  void tail_crashes();
  void log_is_lost();
  void trouble(bool begins);
  // From now on FLUSH may fail; with `forgets`, and the tail forget what is dirty, until `false`.
  std::uint64_t flush_may_fail(bool forgets);
  void flush_is_well();
  // A tail has said that it lost data; `since` is what flush_may_fail() returned.
  void tail_told_loss(std::uint64_t since);
  // Requests of this command may fail, or wait for ever.
  void poison(std::uint16_t command);
  bool is_poisoned(const Wish& wish) const;
  void may_lose_session();  // Each guest one, from now on.

  std::string flaw() const;  // One sentence; none so far: empty.
  Account account() const;
  std::size_t waiting() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Open {
    std::uint64_t session = 0;
    Wish wish;
    check::Change change = 0;
    check::Values::Moment moment = 0;  // Of a read or a FLUSH.
    check::Errors::Moment asked = 0;
    Clock::time_point at{};
  };

  static std::chrono::nanoseconds now() { return Clock::now().time_since_epoch(); }
  std::string sentence(const check::Violation& violation) const;
  void note(const check::Violation& violation);
  void note_flaw(const std::string& what);
  void count(const Wish& wish);
  void settle(const Open& open, std::uint32_t error, std::span<const std::byte> data);
  void settle_error(Number number, const Open& open, std::uint32_t error);

  const std::uint32_t disc_;
  const check::Promise promise_;
  mutable std::mutex mutex_;  // For what is below.
  check::Values values_;
  check::Progress progress_{answer_limit};
  check::Errors errors_;
  std::map<Number, Open> open_;
  std::uint64_t sessions_ = 0, losses_allowed_before_ = 0;
  std::optional<std::uint16_t> poisoned_;
  bool flush_may_fail_ = false;
  Account account_;
  std::string flaw_;
};

std::string to_string(const Audit::Account& account);

}  // namespace bench::chaos
