#include "head/nbd/departures.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace head::nbd {

std::optional<iouring::Duration> parked_for(const TimedSend& send,
                                            iouring::WallInstant departed) noexcept {
  if (departed < send.begun) return std::nullopt;
  if (!send.done || departed <= *send.done) return iouring::Duration{};
  return departed - send.begun;
}

void Departures::start(iouring::Socket socket) noexcept {
  assert(!pending());
  socket_ = socket;
  stopped_ = false;
  until_next_ = 0;
  last_ = io_.now();
  lost_at_.reset();
  send_.reset();
}

void Departures::stop() noexcept {
  stopped_ = true;
  if (wait_.pending()) io_.cancel(wait_);
}

std::size_t Departures::due(bool alone) noexcept {
  const auto now = io_.now();
  const auto last = std::exchange(last_, now);
  const bool rested = now - last >= rest;
  if (until_next_ != 0) --until_next_;
  if (!alone || stopped_ || (until_next_ != 0 && !rested)) return 0;
  if (owner_.interface_was_away(last)) return size_max_after_outage;
  const bool lost = lost_at_ && now - *lost_at_ < loss_remembered;
  return lost ? size_max_after_loss : size_max;
}

void Departures::on_send() noexcept {
  until_next_ = one_in;
  begun_ = io_.now();
  send_ = {.begun = iouring::wall_now()};
  // It stays: TCP sends again what was lost, and each time tells of it.
  if (!stopped_ && !pending()) io_.await_departure(wait_, socket_);
}

void Departures::on_sent() noexcept {
  if (send_) send_->done = iouring::wall_now();
}

void Departures::on_waited(iouring::Result result) noexcept {
  if (stopped_) return owner_.on_departures_drained();
  if (result.res < 0) return stop();
  io_.take_departure(take_, socket_, departure_);
}

void Departures::on_taken(iouring::Result result) noexcept {
  if (stopped_) return owner_.on_departures_drained();
  if (result.res < 0) return stop();  // The connection is over; its reader says why.
  const auto at = departure_.at();
  if (const auto parked = send_ && at ? parked_for(*send_, *at) : std::nullopt) {
    send_.reset();
    // The other clock may have been set meanwhile.
    owner_.on_parked(begun_, std::min<iouring::Duration>(*parked, io_.now() - begun_));
  }
  if (!stopped_) io_.await_departure(wait_, socket_);
}

}  // namespace head::nbd
