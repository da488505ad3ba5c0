// A disc's requests: who may start, what goes to which connection, who is answered.
#include "head/disc/link.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

namespace head::disc {

namespace {

// Behind the last of those that were awaited, where it was too; else behind all.
void hold(nbd::RequestQueue& held, nbd::Request& request, const Guard& guard) noexcept {
  if (!guard.was_awaited(request)) return held.push(request);
  nbd::RequestQueue later = std::exchange(held, {});
  while (!later.empty() && guard.was_awaited(*later.front())) held.push(*later.pop());
  held.push(request);
  while (nbd::Request* other = later.pop()) held.push(*other);
}

}  // namespace

void Disc::submit(nbd::Request& request) noexcept {
  assert(known_);
  if (outstanding_++ == 0) {
    last_progress_ = io_.now();
    if (!watched_) patience_.watch(*this);
    watched_ = true;
  }
  if (closing_ || course() == Course::refuse) return answer_later(refused_, request);
  // Changes start in the order in which they came, once one of them has had to wait; but what
  // guests ask again goes before what they ask for the first time.
  const bool change = changes(request.command);
  const bool awaited = change && guard_.arrive(request);
  if (must_wait(request) || (change && !awaited && !held_.empty()))
    return hold(held_, request, guard_);
  start(request);
}

bool Disc::withdraw(nbd::Request& request) noexcept {
  const auto reshape = std::find_if(reshapes_.begin(), reshapes_.end(),
                                    [&](const auto& one) { return &one->whole() == &request; });
  nbd::Request& piece = reshape == reshapes_.end() ? request : **reshape;
  request.unwanted = piece.unwanted = true;
  const bool waits = reshape != reshapes_.end() && (*reshape)->waits();
  if (waits || waiting_.remove(piece) || held_.remove(piece) || isolation_.suspects.remove(piece) ||
      isolation_.condemned.remove(piece))
    guard_.forget(piece);
  else if (!guard_.withdraw(piece))
    return false;
  // Others may have ended meanwhile.
  std::erase_if(reshapes_, [&](const auto& one) { return &one->whole() == &request; });
  settle(request);
  return true;
}

bool Disc::must_wait(const nbd::Request& request) const noexcept {
  // Reads that have all the places may wait for a change that was awaited.
  const bool full = reshapes_.size() >= reshapes_max && !guard_.was_awaited(request);
  if (full && !fits(request, tail_)) return true;
  if (!changes(request.command)) return false;
  const Range blocks = around(range_of(request), tail_.block_minimum);
  return (!locks_.idle() && locks_.is_held(blocks)) ||
         (tail_.block_minimum > 1 && guard_.awaits_other(request, blocks));
}

void Disc::start(nbd::Request& request) noexcept {
  const bool may_share_a_block = tail_.block_minimum > 1 && changes(request.command);
  if (may_share_a_block) locks_.begin_change(&request, range_of(request));
  if (!fits(request, tail_)) return start_reshaped(request);
  waiting_.push(request);
  pump();
}

void Disc::start_reshaped(nbd::Request& request) noexcept {
  if (!next_piece(request, 0, tail_, UINT64_MAX))
    return answer_later(nothing_to_do_, request);  // A TRIM within one block.
  const std::uint64_t block = tail_.block_minimum;
  const Range range = range_of(request);
  if (changes(request.command) && request.command != nbd::Command::trim) {
    if (range.offset % block != 0)
      locks_.hold(&request, around({.offset = range.offset, .length = 1}, block));
    if (range.end() % block != 0)
      locks_.hold(&request, around({.offset = range.end() - 1, .length = 1}, block));
  }
  reshape(request, UINT64_MAX);
}

void Disc::reshape(nbd::Request& request, std::uint64_t most) noexcept {
  Reshape::Owner& self = *this;
  reshapes_.push_back(std::make_unique<Reshape>(self, tail_, request, most));
  reshapes_.back()->advance();
}

void Disc::start_held() noexcept {
  while (!held_.empty() && !must_wait(*held_.front())) start(*held_.pop());
}

void Disc::pump() noexcept {
  send_waiting();
  isolate();
}

void Disc::send_waiting() noexcept {
  if (course() != Course::send) return;
  guard_.send_own();
  while (!waiting_.empty() && !guard_.replaying()) {
    nbd::Connection* const connection = free_connection();
    if (connection == nullptr) return;
    nbd::Request& next = *waiting_.pop();
    if (Isolation::is_suspect(next)) {
      isolation_.suspects.push(next);
      continue;
    }
    if (!guard_.admit(next, whole_of(as_piece(next), next))) continue;
    if (changes(next.command))
      for (const auto& reshape : reshapes_)
        if (reshape.get() != &next) reshape->pass(range_of(next));
    note_sent(next);
    connection->submit(next);
  }
}

bool Disc::send_own(nbd::Request& request) noexcept {
  nbd::Connection* const connection = course() == Course::send ? free_connection() : nullptr;
  if (connection == nullptr) return false;
  if (first_block_) first_block_->sent(request);
  // What is written again is what was written last.
  if (last_writes_ && !changes(request.command)) last_writes_->sent(request);
  connection->submit(request);
  return true;
}

void Disc::go_on(nbd::RequestQueue requests) noexcept {
  while (nbd::Request* request = waiting_.pop()) requests.push(*request);
  waiting_ = requests;
  start_held();
  pump();
}

void Disc::on_sync_answered(const nbd::Request& request, int error) noexcept {
  const bool repaired = guard_.on_sync_answered(request, error);
  if (repaired && error != 0 && guard_.replaying()) read_anew();
  if (!repaired) on_sync_failed(request.command, error);
  guard_.believe();
}

void Disc::on_sync_failed(nbd::Command sync, int error) noexcept {
  ++flush_errors().met;
  for (const auto& reshape : reshapes_) reshape->doubt(error);
  if (first_block_) first_block_->doubt();
  static log::RateLimit limit;
  say(log::Level::warning, limit,
      fmt::format("the tail has failed {} ({}): what it had acknowledged before may be lost; each "
                  "guest is told at its next FLUSH or change with FUA",
                  sync == nbd::Command::flush ? "a FLUSH" : "a change with FUA",
                  std::strerror(error)));
}

void Disc::on_flush_unknown() noexcept {
  if (last_writes_) last_writes_->flush_is_unknown();
  static log::RateLimit limit;
  say(log::Level::warning, limit,
      "the tail offers FLUSH and does not know it: nothing says when what it has acknowledged is "
      "stable");
}

// The next connection says why; so does one that is only being asked whether it leads to the disc.
void Disc::on_abandoned() noexcept {
  for (const auto& link : links_)
    if (link->connection.ready() && link->proof == nullptr)
      link->connection.fail("what is kept is not to be written again");
}

void Disc::on_replay_refused(int error) noexcept {
  for (const auto& link : links_)
    link->connection.fail(
        fmt::format("it does not take again what it had acknowledged ({}); requests wait",
                    std::strerror(error)));
}

// None while one is being given up: what it leaves unanswered goes before whatever overlaps it.
nbd::Connection* Disc::free_connection() noexcept {
  if (succeeding_) return nullptr;
  if (closing_) return nullptr;
  for (const auto& link : links_)
    if (link->connection.in_flight() != 0 &&
        link->connection.state() == nbd::Connection::State::draining)
      return nullptr;
  for (std::size_t tried = 0; tried < links_.size(); ++tried) {
    next_link_ = next_link_ + 1 < links_.size() ? next_link_ + 1 : 0;
    Link& link = *links_[next_link_];
    if (&link == alone_link_ || &link == extra_link_ || link.witness) continue;
    if (may_lead_elsewhere(link)) continue;
    if (link.connection.room() && !on_trial(link) && link.proof == nullptr) return &link.connection;
  }
  return nullptr;
}

// Null for a guest's request that goes as it is.
Reshape* Disc::as_piece(const nbd::Request& request) noexcept {
  const auto found = std::find_if(reshapes_.begin(), reshapes_.end(),
                                  [&](const auto& reshape) { return reshape.get() == &request; });
  return found == reshapes_.end() ? nullptr : found->get();
}

void Disc::on_answer(Link& link, nbd::Request& request, int error) noexcept {
  note_answered(request, error);
  if (nbd::is_sync(request)) {
    const bool again = ask_again(request, error, tail_) != Again::no;
    on_sync_answered(request, again ? 0 : error);
  }
  if (&request == link.last_flush.get()) {
    link.last_flush.reset();
    guard_.settle_ghost(link.flush_witness());
    if (link.connection.in_flight() == 0) link.connection.leave();
    return;
  }
  if (is_trial(request)) return end_trial();  // Well or not: the tail does answer there.
  if (&request == link.probe.get()) return link.probe.reset();
  if (&request == isolation_.question.get()) return ask_alone();
  if (is_look(request)) return on_look(request, error);
  suspicion_.note(request, io_.now());
  answered_at_ = io_.now();
  owed_since_.reset();
  if (replay_deaths_ != 0 && !guard_.replaying()) {
    replay_deaths_ = 0;
    tell_state();
  }
  if (&request == isolation_.alone) end_isolation({});
  conclude(request, error);
  isolate();
}

// It is answered by the tail, or not to be asked any more.
void Disc::conclude(nbd::Request& request, int error) noexcept {
  last_progress_ = io_.now();
  request.forget_attempts();
  const bool now = guard_.settle(request, error);
  note_kept();
  if (now) answered(request, error);
}

void Disc::on_settled(nbd::Request& request, int error) noexcept {
  note_kept();
  const bool flushed = request.command == nbd::Command::flush && error == 0;
  if (flushed && last_writes_ && !guard_.flush_in_doubt())
    last_writes_->answered(request, 0, 0, io_.now());
  answered(request, error);
}

void Disc::note_kept() noexcept {
  if (!guard_.keeps()) return;
  stats_->kept_bytes.store(static_cast<std::uint32_t>(guard_.kept_bytes()),
                           std::memory_order_relaxed);
}

void Disc::answered(nbd::Request& request, int error) noexcept {
  if (error != 0 && asked_again(request, error)) return;
  if (error == nbd::too_scattered) error = give_up_on_pieces();
  if (as_piece(request) == nullptr) return complete(request, error);
  if (!waiting_.empty()) pump();
  request.repeats = 0;
  request.on_done(error);
}

int Disc::give_up_on_pieces() noexcept {
  constexpr auto problem = "the tail answers reads in too many pieces, and cannot be told not to";
  stats_->set_problem(problem);
  static log::RateLimit limit;
  if (!std::exchange(pieces_told_, true))
    say(log::Level::warning, limit, fmt::format("{}; such reads fail with EIO", problem));
  return EIO;
}

bool Disc::asked_again(nbd::Request& request, int error) noexcept {
  switch (ask_again(request, error, tail_)) {
    case Again::no:
      return false;
    case Again::unfragmented:
      request.flags |= nbd::command_flag::df;
      [[fallthrough]];
    case Again::unchanged:
      waiting_.push(request);
      pump();
      return true;
    case Again::shorter:
      // What went as it was is aligned: it needs no copy of a block, and no place among those.
      if (Reshape* piece = as_piece(request))
        piece->go_on_in_halves();
      else
        reshape(request, half_of(request, tail_));
      return true;
  }
  return false;
}

void Disc::complete(nbd::Request& request, int error) noexcept {
  request.forget_attempts();
  request.repeats = 0;
  settle(request);
  request.on_done(answer_of(request.command, error));  // Last: it may be submitted again.
}

// It is not outstanding any more; others may go on.
void Disc::settle(nbd::Request& request) noexcept {
  if (--outstanding_ == 0) owed_since_.reset();
  if (guard_.was_awaited(request)) guard_.forget(request);
  if (!locks_.idle()) {
    locks_.end_change(&request);
    locks_.release(&request);
    for (const auto& reshape : reshapes_)
      if (reshape->waits()) reshape->advance();
  }
  if (!held_.empty()) start_held();
  if (!waiting_.empty()) pump();
}

void Disc::answer_later(nbd::RequestQueue& with, nbd::Request& request) noexcept {
  with.push(request);
  if (!answers_due_.pending()) io_.defer(answers_due_);
}

void Disc::on_answers_due(iouring::Result) noexcept {
  // Whoever is answered may ask again: that is for the next time.
  nbd::RequestQueue nothing = std::exchange(nothing_to_do_, {});
  nbd::RequestQueue refused = std::exchange(refused_, {});
  while (nbd::Request* request = nothing.pop()) complete(*request, closing_ ? ESHUTDOWN : 0);
  while (nbd::Request* request = refused.pop()) complete(*request, closing_ ? ESHUTDOWN : EIO);
}

// Of those that no connection has.
void Disc::abandon_all(int error) noexcept {
  while (outstanding_ != 0) {
    if (nbd::Request* request = waiting_.pop()) {
      if (closing_) guard_.leave_behind(*request, whole_of(as_piece(*request), *request));
      conclude(*request, error);
    } else if (nbd::Request* suspect = isolation_.suspects.pop()) {
      if (closing_) guard_.leave_behind(*suspect, whole_of(as_piece(*suspect), *suspect));
      conclude(*suspect, error);
    } else if (nbd::Request* condemned = isolation_.condemned.pop()) {
      conclude(*condemned, error);
    } else if (nbd::Request* held = held_.pop()) {
      if (closing_) guard_.leave_behind(*held, *held);
      complete(*held, error);
    } else if (nbd::Request* guarded = guard_.pop()) {
      if (closing_) guard_.leave_behind(*guarded, whole_of(as_piece(*guarded), *guarded));
      conclude(*guarded, error);
    } else {
      break;
    }
  }
}

void Disc::send_piece(Reshape& reshape) noexcept {
  waiting_.push(reshape);
  pump();
}

bool Disc::may_change(const Reshape& reshape, Range block) noexcept {
  return !locks_.others_change(&reshape.whole(), block);
}

void Disc::on_reshaped(Reshape& reshape, int error) noexcept {
  const auto found = std::find_if(reshapes_.begin(), reshapes_.end(),
                                  [&](const auto& other) { return other.get() == &reshape; });
  const std::unique_ptr<Reshape> keep = std::move(*found);
  *found = std::move(reshapes_.back());
  reshapes_.pop_back();
  guard_.forget(*keep);
  if ((keep->flags & nbd::command_flag::fua) != 0)  // Its success says as much.
    keep->whole().flags |= nbd::command_flag::fua;
  complete(keep->whole(), error);
}

}  // namespace head::disc
