// How a disc's guests are handed to another export of it, and taken from one.
#include "head/base/log.hpp"
#include "head/export/export.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace head::exports {

namespace {

// A cancellation can miss an operation that begins just then: it is asked for again.
constexpr std::chrono::milliseconds nudges_apart{5};

}  // namespace

void Export::take_up(iouring::UniqueFd listener, std::vector<HandedSession> sessions,
                     iouring::Socket stays) {
  assert(!listener_ && !closing_);
  for (HandedSession& session : sessions) {
    if (!session.socket && !session.stays) continue;
    if (memory_.full()) tell_inherited_beyond();
    const auto guest = session.stays ? session.stays : adopt(std::move(session.socket));
    take_in(guest, std::make_unique<HandedSession>(std::move(session)));
  }
  tell_outdated();
  if (listener) stays = io_.adopt(std::move(listener));
  if (stays) listen(stays);
}

// They run, and are not turned away because data.guests_max is less than it was.
void Export::tell_inherited_beyond() const noexcept {
  static log::RateLimit limit;
  if (const auto pass = limit.pass(io_.now()))
    log::warning(
        "disc {}: goes on with a guest beyond data.guests_max; no other comes in until enough have "
        "gone: raise it ({} more like it)",
        name_, pass->held);
}

void Export::hand_over() noexcept {
  assert(!closing_ && handing_ == Handing::no);
  handing_ = Handing::answers;
  quiet_until_ = io_.now() + quiet_within;
  handed_.name = name_;
  io_.disarm(accept_again_);
  on_nudge();
  tidy_later();
}

void Export::on_nudge() noexcept {
  if (handing_ != Handing::answers && handing_ != Handing::drain) return;
  if (accept_.pending()) io_.cancel(accept_);
  for (std::size_t i = 0; i < sessions_.size(); ++i) {
    sessions_[i]->halt();
    if (handing_ == Handing::drain) sessions_[i]->halt_answers();
  }
  io_.arm(nudge_, io_.now() + nudges_apart);
  tidy_later();
}

void Export::on_halting() noexcept {
  const auto all = [this](auto holds) {
    return std::all_of(sessions_.begin(), sessions_.end(),
                       [&](const auto& session) { return ((*session).*holds)(); });
  };
  if (handing_ == Handing::answers) {
    const bool quiet = !accept_.pending() && all(&Session::quiet);
    if (!quiet && io_.now() < quiet_until_) return;
    handing_ = Handing::drain;
    on_nudge();
    return owner_.on_export_quiet(*this);
  }
  if (handing_ != Handing::drain || accept_.pending() || !all(&Session::still)) return;
  handing_ = Handing::sockets;
  io_.disarm(nudge_);
  handed_.sessions.resize(sessions_.size());
  for (std::size_t i = 0; i < sessions_.size(); ++i)
    if (!sessions_[i]->over()) handed_.sessions[i] = sessions_[i]->hand_over();
  duplicate_next();
}

// The listener's first, then those of the sessions, from the last on.
void Export::duplicate_next() noexcept {
  if (listener_) return io_.duplicate(duplicate_, listener_);
  if (!sessions_.empty()) return io_.duplicate(duplicate_, sessions_.back()->socket());
  handing_ = Handing::done;
  closing_ = true;
  stats_.guests.store(0, std::memory_order_relaxed);
  stats_.set_guest_sizes({});
  owner_.on_export_handed(*this, std::move(handed_));
}

void Export::on_duplicate(iouring::Result result) noexcept {
  iouring::UniqueFd fd(iouring::adopt, std::max(result.res, -1));
  if (listener_) {
    handed_.listener_stays = let_go(std::exchange(listener_, {}), static_cast<bool>(fd));
    handed_.listener = std::move(fd);
  } else {
    HandedSession& handed = handed_.sessions[sessions_.size() - 1];
    handed.stays = let_go(sessions_.back()->socket(), static_cast<bool>(fd));
    handed.socket = std::move(fd);
    const std::unique_ptr<Session> dead = std::move(sessions_.back());
    sessions_.pop_back();
  }
  duplicate_next();
}

// What stays of it.
iouring::Socket Export::let_go(iouring::Socket socket, bool duplicated) noexcept {
  if (!duplicated) return socket;
  io_.close(socket, false);
  return {};
}

}  // namespace head::exports
