// The checkers of one world, told of everything that its guests and its tail see. Keeps the first
// violation: what follows from it is of no interest.
#pragma once

#include "tests/check/errors.hpp"
#include "tests/check/progress.hpp"
#include "tests/check/values.hpp"
#include "tests/sim/world/clock.hpp"
#include "tests/sim/world/observer.hpp"

#include <cstdint>
#include <list>
#include <span>
#include <string>

namespace world {

// What a guest asks, in sectors.
struct Ask {
  head::nbd::Command command = head::nbd::Command::read;
  std::uint64_t first = 0, count = 0;
  bool fua = false;
  // Of a READ: so many bytes of its first sector are not asked for.
  std::uint32_t skew = 0;
  bool beyond = false;  // The end of the disc: it is to be refused, and changes nothing.

  std::uint64_t offset() const { return first * check::sector_bytes + skew; }
  std::uint64_t bytes() const { return count * check::sector_bytes - skew; }
};
std::string to_string(const Ask& ask);

class Audit final : public Observer {
 public:
  // A request as the checkers know it, from its asking to its answer.
  struct Request {
    Ask ask;
    unsigned guest = 0;
    check::Change change = 0;  // Of a write, a zeroing, a trim.
    check::Values::Moment read = 0, flush = 0;
    check::Progress::Request progress = 0;
    check::Errors::Moment asked = 0, sync = 0;
  };

  // What headd has answered its guests have heard after `answers_take`.
  Audit(const Clock& clock, check::Promise promise, std::uint64_t sectors, Duration limit,
        check::Tearing tearing, Duration answers_take)
      : clock_(clock),
        promise_(promise),
        answers_take_(answers_take),
        values_(0, sectors, promise, tearing),
        progress_(limit) {}

  // ---- Guests ----
  void join(unsigned guest) { errors_.join(guest); }
  void leave(unsigned guest) { errors_.leave(guest); }
  Request& ask(unsigned guest, const Ask& ask);
  // `data`: of a read that succeeded. `extents`: what BLOCK_STATUS said. The request is over.
  void answer(Request& request, int error, std::span<const std::byte> data,
              std::span<const head::nbd::Extent> extents);
  void abandon(Request& request);
  std::size_t open_requests() const noexcept { return open_.size(); }
  std::size_t waiting() const { return progress_.waiting(); }

  // ---- The world ----
  void on_trouble(bool begins) override;
  void on_refusal(const head::nbd::RequestHeader& refused) override;
  void on_refusal_heard(const head::nbd::RequestHeader& refused) override;
  std::uint64_t on_data_lost(bool of_others) override;
  void on_loss_heard() override;
  void on_loss_kept(std::uint64_t loss) override;
  void on_fate(const head::nbd::RequestHeader& header, Fate fate) override;
  void on_complaint(const char* what) override;
  // Tells everything that it is told of as it comes.
  void trace(bool yes) noexcept { traces_ = yes; }
  void tell(const std::string& what) const;
  void tail_crashed() { values_.tail_crashed(); }
  void log_lost() { values_.log_lost(); }
  // headd was told to fail requests, or may.
  void allow_errors(bool yes) { errors_.allow(yes); }
  // Requests of this kind kill whoever serves them: they need not be answered, and may fail.
  void poisoned(head::nbd::Command command, std::uint64_t from) {
    poison_ = command;
    poison_from_ = from;
  }
  // A FLUSH that covers all that was acknowledged when it was asked.
  check::Values::Moment ask_flush() { return values_.ask_flush(); }
  void answer_flush(check::Values::Moment asked, bool success) {
    values_.answer_flush(asked, success);
  }

  void note(check::Violation violation);
  void look() { note(progress_.look(now())); }
  const check::Violation& violation() const noexcept { return violation_; }
  check::Values& values() noexcept { return values_; }

 private:
  static constexpr std::chrono::seconds sync_errors_for{15};

  check::Progress::Time now() const { return clock_.now().time_since_epoch(); }
  check::Violation check_read(const Request& request, std::span<const std::byte> data);
  check::Violation check_status(const Request& request, std::span<const head::nbd::Extent> extents);
  void forget(const Request& request);
  static std::string describe(const Request& request);
  static bool is_change(head::nbd::Command command);
  bool is_sync(const Ask& ask) const;
  bool may_concern_others(const head::nbd::RequestHeader& refused) const;
  void expect_sync_errors();
  bool had_company(const head::nbd::RequestHeader& refused) const;
  bool may_be_told_yet(const Request& request) const;
  void hear_losses();

  const Clock& clock_;
  const Instant begun_ = clock_.now();
  const check::Promise promise_;
  const Duration answers_take_;
  check::Values values_;
  check::Progress progress_;
  check::Errors errors_;
  check::Violation violation_;
  std::list<Request> open_;
  std::list<Request> spare_;
  bool traces_ = false;
  check::Errors::Moment flush_refused_at_ = 0, sync_answered_at_ = 0;
  unsigned losses_untold_ = 0;
  Instant losses_heard_at_{};
  bool losses_unheard_of_ = false;  // By Values.
  Instant sync_errors_until_{};     // A FLUSH has been refused lately.
  std::optional<head::nbd::Command> poison_;
  std::uint64_t poison_from_ = 0;
};

}  // namespace world
