// How a disc stands: what an operator wants of it, whether there is a tail, and how long guests
// have waited for one.
#include "head/disc/link.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace head::disc {

using stats::DiscState;

DiscState Disc::state() const noexcept {
  if (closing_) return DiscState::detaching;
  if (awaits_) return DiscState::connecting;
  if (!known_) return last_objection_ != nullptr ? DiscState::held : DiscState::connecting;
  switch (course()) {
    case Course::refuse:
      return DiscState::failing;
    case Course::keep:
      return DiscState::held;
    case Course::send:
      break;
  }
  if (replay_deaths_ >= Isolation::deaths_before) return DiscState::held;
  if (!cut_off_since_) return DiscState::ready;
  return last_objection_ != nullptr ? DiscState::held : DiscState::reconnecting;
}

void Disc::tell_state() noexcept {
  const DiscState now = state(), before = stats_->state.load(std::memory_order_relaxed);
  if (now == before && stats_->state_since_ns.load(std::memory_order_relaxed) != 0) return;
  stats_->enter(now, io_.now());
  tell_service_changed();
}

// One was opened or has ended.
void Disc::note_connections() noexcept {
  if (awaits_) return tell_state();
  const auto usable = static_cast<std::uint32_t>(
      std::count_if(links_.begin(), links_.end(), [this](const auto& link) {
        return link->connection.ready() && !on_trial(*link) && link->proof == nullptr &&
               !link->witness && link.get() != extra_link_;
      }));
  stats_->connections.store(usable, std::memory_order_relaxed);
  if (usable != 0) {
    cut_off_since_.reset();
    io_.disarm(cut_off_long_);
    gave_up_ = false;
  } else if (known_ && !cut_off_since_) {
    cut_off_since_ = io_.now();
    if (standing_.grace.count() != 0) io_.arm(cut_off_long_, *cut_off_since_ + standing_.grace);
  }
  tell_state();
}

// As far as grace goes.
iouring::Duration Disc::cut_off_for() const noexcept {
  if (!cut_off_since_) return {};
  return io_.now() - std::max(*cut_off_since_, grace_from_);
}

void Disc::set(const Standing& standing) noexcept {
  const bool hastened = standing_.order != Order::serve && standing.order == Order::serve;
  // While it was held nobody waited for the tail.
  if (standing_.order == Order::hold && standing.order != Order::hold) grace_from_ = io_.now();
  const bool other_grace = standing.grace != standing_.grace;
  standing_ = standing;
  io_.disarm(cut_off_long_);
  gave_up_ = gave_up_ && grace_is_over(standing_, cut_off_for());
  // The next connection tells whether it is. An order changes nothing about that.
  if (!gave_up_ && other_grace) guard_.set_grace_over(false);
  if (cut_off_since_ && standing_.grace.count() != 0)
    io_.arm(cut_off_long_,
            io_.now() + std::max(standing_.grace - cut_off_for(), iouring::Duration()));
  tell_state();
  if (course() == Course::refuse) refuse_all();
  if (closing_ || !known_ || course() != Course::send) return;
  if (hastened && cut_off_since_) relocate();  // At once, not when the back-off is over.
  pump();
}

void Disc::on_cut_off_long() noexcept {
  if (cut_off_since_ && grace_is_over(standing_, cut_off_for())) give_up();
}

void Disc::mind_grace() noexcept {
  if (gave_up_ || standing_.grace.count() == 0) return;
  // What waits in here, for a quarantine say, is not the tail's.
  // It is so from its first sending on, without the time in which its bytes move now.
  iouring::Instant silent_since = owed_since_.value_or(iouring::Instant::max());
  for (const auto& link : links_)
    link->connection.for_each_unanswered([&](const nbd::Request& request, iouring::Instant moved) {
      if (&request != link->probe.get() && &request != link->last_flush.get())
        silent_since = std::min(silent_since, request.first_sent + (moved - request.sent));
    });
  if (silent_since == iouring::Instant::max()) return;
  if (grace_is_over(standing_, io_.now() - std::max({last_progress_, silent_since, grace_from_})))
    give_up();
}

void Disc::give_up() noexcept {
  if (gave_up_ || closing_) return;
  gave_up_ = true;
  guard_.set_grace_over(true);
  owed_since_.reset();
  static log::RateLimit limit;
  say(log::Level::warning, limit,
      fmt::format("no answer within its grace time of {} s; requests fail with EIO until the tail "
                  "is back",
                  std::chrono::duration_cast<std::chrono::seconds>(standing_.grace).count()));
  tell_state();
  refuse_all();
}

// What a connection has comes back first: until then it may write into a guest's memory.
void Disc::refuse_all() noexcept {
  for (std::size_t i = 0, before = links_.size(); i < before; ++i) {
    Link& link = *links_[i];
    if (link.connection.in_flight() == 0 || link.witness) continue;
    // A tail that did not answer in time is back when it answers on a new connection; nor is it
    // known of another whether the connection serves still.
    if (!gave_up_ && link.proof == nullptr && orphan(link))
      relocate(link);
    else
      link.connection.fail("its requests are failed with EIO");
  }
  if (!refusal_.pending()) io_.defer(refusal_);
}

void Disc::on_refusal(iouring::Result) noexcept {
  if (course() == Course::refuse) abandon_all(EIO);
}

}  // namespace head::disc
