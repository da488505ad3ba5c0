// Requests that may be why the tail ends its connections are asked one by one, so that the others
// are not asked in vain for ever (isolation.hpp).
#include "head/disc/link.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace head::disc {

namespace flag = nbd::transmission_flag;
using Step = Isolation::Step;

namespace {

constexpr std::string_view name_of(nbd::Command command) noexcept {
  switch (command) {
    case nbd::Command::read:
      return "READ";
    case nbd::Command::write:
      return "WRITE";
    case nbd::Command::disconnect:
      return "DISC";
    case nbd::Command::flush:
      return "FLUSH";
    case nbd::Command::trim:
      return "TRIM";
    case nbd::Command::cache:
      return "CACHE";
    case nbd::Command::write_zeroes:
      return "WRITE_ZEROES";
    case nbd::Command::block_status:
      return "BLOCK_STATUS";
  }
  return "a request";
}

}  // namespace

void Disc::isolate() noexcept {
  while (nbd::Request* request = isolation_.condemned.pop()) condemn(*request);
  if (isolation_.step == Step::idle && isolation_.suspects.empty()) {
    if (extra_link_ != nullptr && isolation_.alone == nullptr) part_from(*extra_link_);
    return;
  }
  if (closing_ || course() != Course::send) return;
  const auto now = io_.now();
  if (isolation_.step == Step::idle) {
    if (now < isolation_.not_before) return io_.arm(isolated_long_, isolation_.not_before);
    alone_link_ = link_to_isolate_on();
    if (alone_link_ == nullptr) return;  // Whichever is opened comes by here.
    isolation_.step = Step::clearing;
    isolation_.since = now;
  }
  if (isolation_.step != Step::clearing) return;
  nbd::Connection& connection = alone_link_->connection;
  // It is about to be over.
  if (!connection.room() || alone_link_->proof != nullptr || may_lead_elsewhere(*alone_link_))
    return;
  const auto until = isolation_.since + Isolation::clearing_most;
  if (connection.in_flight() != 0 && now < until) return io_.arm(isolated_long_, until);
  isolation_.step = Step::asking;
  isolation_.question = std::make_unique<SmallRead>(now, tail_.block_minimum);
  if (isolation_.question->length > tail_.size) return ask_alone();  // There is nothing to be read.
  io_.arm(isolated_long_, now + Isolation::alone_most);
  connection.submit(*isolation_.question);
}

// One of its own where the tail allows for it; else the last there is, so that others have the
// rest.
Disc::Link* Disc::link_to_isolate_on() noexcept {
  if (guard_.replaying()) return nullptr;
  if (extra_link_ == nullptr && links_.size() == 1 && tail_.has(flag::can_multi_conn) &&
      !guard_.keeps() && patience_.has_spare_link()) {
    extra_link_ = &add_link();
    extra_link_->connect_after({});
    isolation_.since = io_.now();
  }
  if (extra_link_ != nullptr && extra_link_->connection.ready() &&
      !may_lead_elsewhere(*extra_link_))
    return extra_link_;
  const auto until = isolation_.since + Isolation::opening_most;
  if (extra_link_ != nullptr && io_.now() < until) return io_.arm(isolated_long_, until), nullptr;
  const auto found = std::find_if(links_.rbegin(), links_.rend(), [this](const auto& link) {
    return link->connection.room() && !link->superseded && !on_trial(*link) &&
           link->proof == nullptr && !may_lead_elsewhere(*link);
  });
  return found == links_.rend() ? nullptr : found->get();
}

// The tail has answered a read on that connection.
void Disc::ask_alone() noexcept {
  isolation_.question.reset();
  nbd::Request* const next = isolation_.suspects.pop();
  nbd::Connection& connection = alone_link_->connection;
  const bool may = !closing_ && course() == Course::send && connection.room() &&
                   !guard_.replaying() && !may_lead_elsewhere(*alone_link_);
  if (next != nullptr && !may) isolation_.suspects.push_front(*next);
  if (next == nullptr || !may || !guard_.admit(*next, whole_of(as_piece(*next), *next))) {
    end_isolation({});
    return pump();
  }
  isolation_.step = Step::alone;
  isolation_.alone = next;
  note_sent(*next);
  io_.arm(isolated_long_, io_.now() + Isolation::alone_most);
  connection.submit(*next);
}

void Disc::on_isolated_long() noexcept {
  if (isolation_.step == Step::alone && alone_link_ != extra_link_) {
    end_isolation({});  // The others have waited for long enough.
    return pump();
  }
  // mind_silence() looks at all connections but this one.
  const bool asks = isolation_.step == Step::asking && alone_link_ == extra_link_;
  if (isolation_.step != Step::alone && !asks) return isolate();
  if (!look_at(*alone_link_).is_silent())
    return io_.arm(isolated_long_, io_.now() + Isolation::alone_most);
  if (asks) return alone_link_->connection.fail("no answer to a read before what is asked alone");
  note_doubt(*isolation_.alone, true);
  alone_link_->connection.fail("no answer to a request that is asked alone");
}

void Disc::end_isolation(iouring::Duration wait) noexcept {
  isolation_.end();
  isolation_.since = io_.now();
  isolation_.not_before = isolation_.since + wait;
  alone_link_ = nullptr;
}

void Disc::condemn(nbd::Request& request) noexcept {
  static log::RateLimit limit;
  say(log::Level::warning, limit,
      fmt::format("the tail ends its connection on {} of {} bytes at {}, also when that is asked "
                  "alone ({} times); it fails with EIO",
                  name_of(request.command), request.length, request.offset,
                  request.deaths - Isolation::deaths_before));
  guard_.forget(request);
  request.forget_attempts();
  answered(request, EIO);
}

// What is acknowledged never fails.
void Disc::note_replay_death() noexcept {
  replay_deaths_ = std::min(replay_deaths_ + 1, 1000);
  if (replay_deaths_ < Isolation::deaths_before) return;
  constexpr auto problem =
      "the tail ends its connection whenever writes that it had acknowledged are written again; "
      "requests wait until it takes them";
  stats_->set_problem(problem);
  static log::RateLimit limit;
  if (replay_deaths_ == Isolation::deaths_before) say(log::Level::error, limit, problem);
}

}  // namespace head::disc
