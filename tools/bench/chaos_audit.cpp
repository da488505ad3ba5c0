#include "tools/bench/chaos_audit.hpp"

#include "tools/bench/nbd_bytes.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace bench::chaos {

using namespace nbd_bytes;

check::Promise promise_of(std::string_view durability) {
  if (durability == "replay") return check::Promise::replay;
  return durability == "writeback" ? check::Promise::writeback : check::Promise::writethrough;
}

Audit::Account& Audit::Account::operator+=(const Account& other) {
  writes += other.writes;
  zeroes += other.zeroes;
  trims += other.trims;
  reads += other.reads;
  flushes += other.flushes;
  failed += other.failed;
  given_up += other.given_up;
  sessions_lost += other.sessions_lost;
  longest_s = std::max(longest_s, other.longest_s);
  return *this;
}

std::string to_string(const Audit::Account& account) {
  return fmt::format(
      "{} writes, {} zeroings, {} trims, {} reads, {} flushes, {} of them failed, {} changes given "
      "up, {} sessions lost, at most {:.1f} s for an answer",
      account.writes, account.zeroes, account.trims, account.reads, account.flushes, account.failed,
      account.given_up, account.sessions_lost, account.longest_s);
}

bool Wish::is_change() const {
  return command == cmd_write || command == cmd_zero || command == cmd_trim;
}

std::string Wish::text() const {
  const char* const name = command == cmd_read    ? "READ"
                           : command == cmd_write ? "WRITE"
                           : command == cmd_zero  ? "WRITE_ZEROES"
                           : command == cmd_trim  ? "TRIM"
                                                  : "FLUSH";
  if (command == cmd_flush) return name;
  return std::string(name) + (fua ? " with FUA" : "") + " of sectors " + std::to_string(first) +
         "-" + std::to_string(first + count - 1);
}

Audit::Audit(std::uint32_t disc, std::uint64_t sectors, check::Promise promise)
    : disc_(disc), promise_(promise), values_(disc, sectors, promise, check::Tearing::in_flight) {}

std::uint64_t Audit::join() {
  const std::lock_guard lock(mutex_);
  errors_.join(++sessions_);
  return sessions_;
}

void Audit::leave(std::uint64_t session, bool allowed) {
  const std::lock_guard lock(mutex_);
  errors_.leave(session);
  ++account_.sessions_lost;
  if (!allowed && session > losses_allowed_before_)
    note_flaw("lost the session of a guest, which headd ended");
}

Audit::Asked Audit::ask(std::uint64_t session, const Wish& wish) {
  const std::lock_guard lock(mutex_);
  Open open{.session = session, .wish = wish, .at = Clock::now()};
  const bool sync = wish.command == cmd_flush || wish.fua;
  open.asked = sync ? errors_.ask_sync() : errors_.ask();
  if (wish.is_change()) {
    const auto kind = wish.command == cmd_write  ? check::Kind::write
                      : wish.command == cmd_zero ? check::Kind::zero
                                                 : check::Kind::trim;
    open.change = values_.ask_change(kind, wish.first, wish.count, wish.fua);
  } else {
    open.moment = wish.command == cmd_flush ? values_.ask_flush() : values_.ask_read();
  }
  const Asked asked{.number = progress_.ask(now(), wish.text()), .change = open.change};
  if (poisoned_ == wish.command) progress_.excuse(asked.number);
  open_.emplace(asked.number, std::move(open));
  return asked;
}

void Audit::move(Number number, std::uint64_t session) {
  const std::lock_guard lock(mutex_);
  open_.at(number).session = session;
}

void Audit::answer(Number number, std::uint32_t error, std::span<const std::byte> data) {
  const std::lock_guard lock(mutex_);
  note(progress_.answer(number, now()));
  const auto found = open_.find(number);
  if (found == open_.end()) return;
  const Open open = std::move(found->second);
  open_.erase(found);
  const std::chrono::duration<double> took = Clock::now() - open.at;
  account_.longest_s = std::max(account_.longest_s, took.count());
  if (error != 0) settle_error(number, open, error);
  settle(open, error, data);
}

void Audit::settle(const Open& open, std::uint32_t error, std::span<const std::byte> data) {
  const bool success = error == 0;
  if (success) count(open.wish);
  if (open.wish.is_change())
    values_.answer_change(open.change, success);
  else if (open.wish.command == cmd_flush)
    values_.answer_flush(open.moment, success);
  else if (success)
    note(values_.answer_read(open.moment, open.wish.first, data));
  else
    values_.drop_read(open.moment);
  if (open.wish.command == cmd_flush || open.wish.fua)
    note(errors_.answer_sync(open.session, open.asked, success));
}

void Audit::settle_error(Number number, const Open& open, std::uint32_t error) {
  ++account_.failed;
  const bool flush = open.wish.command == cmd_flush || open.wish.fua;
  if (flush && (flush_may_fail_ || errors_.owes(open.session))) return;
  if (poisoned_ == open.wish.command) return;
  note(errors_.fail(number, open.asked,
                    open.wish.text() + " (error " + std::to_string(error) + ")"));
}

void Audit::count(const Wish& wish) {
  account_.reads += wish.command == cmd_read ? 1 : 0;
  account_.writes += wish.command == cmd_write ? 1 : 0;
  account_.zeroes += wish.command == cmd_zero ? 1 : 0;
  account_.trims += wish.command == cmd_trim ? 1 : 0;
  account_.flushes += wish.command == cmd_flush ? 1 : 0;
}

void Audit::give_up(Number number) {
  const std::lock_guard lock(mutex_);
  const auto found = open_.find(number);
  if (found == open_.end()) return;
  if (found->second.wish.is_change())
    values_.abandon(found->second.change);
  else if (found->second.wish.command == cmd_read)
    values_.drop_read(found->second.moment);
  progress_.excuse(number);
  open_.erase(found);
  ++account_.given_up;
}

void Audit::fail(const std::string& what) {
  const std::lock_guard lock(mutex_);
  note_flaw(what);
}

void Audit::tail_crashes() {
  const std::lock_guard lock(mutex_);
  values_.tail_crashed();
}

void Audit::log_is_lost() {
  const std::lock_guard lock(mutex_);
  values_.log_lost();
}

void Audit::trouble(bool begins) {
  const std::lock_guard lock(mutex_);
  begins ? progress_.trouble_begins(now()) : progress_.trouble_ends(now());
}

std::uint64_t Audit::flush_may_fail(bool forgets) {
  const std::lock_guard lock(mutex_);
  flush_may_fail_ = true;
  if (forgets) values_.may_forget(true);
  return errors_.ask();
}

void Audit::flush_is_well() {
  const std::lock_guard lock(mutex_);
  values_.may_forget(false);
}

// In mode replay it is repaired, in mode writethrough nothing was lost.
void Audit::tail_told_loss(std::uint64_t since) {
  const std::lock_guard lock(mutex_);
  if (promise_ == check::Promise::writeback) errors_.tail_lost_data(since);
}

void Audit::poison(std::uint16_t command) {
  const std::lock_guard lock(mutex_);
  poisoned_ = command;
  for (const auto& [number, open] : open_)
    if (open.wish.command == command) progress_.excuse(number);
}

bool Audit::is_poisoned(const Wish& wish) const {
  const std::lock_guard lock(mutex_);
  return poisoned_ == wish.command;
}

void Audit::may_lose_session() {
  const std::lock_guard lock(mutex_);
  losses_allowed_before_ = sessions_;
}

std::string Audit::flaw() const {
  const std::lock_guard lock(mutex_);
  if (!flaw_.empty()) return flaw_;
  const check::Violation stuck = progress_.look(now());
  return stuck ? sentence(stuck) : "";
}

Audit::Account Audit::account() const {
  const std::lock_guard lock(mutex_);
  return account_;
}

std::size_t Audit::waiting() const {
  const std::lock_guard lock(mutex_);
  return progress_.waiting();
}

std::string Audit::sentence(const check::Violation& violation) const {
  return "disc " + std::to_string(disc_) + ": " + std::string(check::to_string(violation.rule)) +
         ": " + violation.sentence;
}

void Audit::note(const check::Violation& violation) {
  if (violation && flaw_.empty()) flaw_ = sentence(violation);
}

void Audit::note_flaw(const std::string& what) {
  if (flaw_.empty()) flaw_ = "disc " + std::to_string(disc_) + " " + what;
}

}  // namespace bench::chaos
