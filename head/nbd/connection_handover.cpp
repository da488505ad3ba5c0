// How a connection is handed to another headd, and taken up from one.
#include "head/nbd/connection.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace head::nbd {
namespace {

// A cancellation can miss an operation that begins just then: it is asked for again.
constexpr std::chrono::milliseconds nudges_apart{5};

}  // namespace

void Connection::hand_over() noexcept {
  assert(ready() && in_flight() == 0);
  state_ = State::parting;
  halt();
}

void Connection::halt() noexcept {
  reader_.halt();
  writer_.halt();
  departures_.stop();
  io_.arm(deadline_, io_.now() + nudges_apart);
  on_halting();
}

// Whether all has ended is found out later: this may be inside a call of the reader's.
void Connection::on_halting() noexcept {
  if (!halting_.pending()) io_.defer(halting_);
}

void Connection::on_halted(iouring::Result) noexcept {
  if (state_ == State::draining) return finish_draining();
  if (reader_.pending() || writer_.pending() || departures_.pending()) return;
  if (look_.pending() || duplicate_.pending()) return;
  if (!reader_.came().bytes.empty()) return violate("bytes that nobody asked for");
  io_.disarm(deadline_);
  io_.duplicate(duplicate_, socket_);
}

void Connection::on_duplicate(iouring::Result result) noexcept {
  iouring::UniqueFd fd(iouring::adopt, std::max(result.res, -1));
  if (state_ == State::draining) return finish_draining();
  if (!fd) {
    writer_.start(socket_, writer_.gone());
    return say_goodbye();
  }
  HandedConnection handed{.socket = std::move(fd),
                          .info = info_,
                          .context = context_,
                          .note = note_,
                          .acknowledges_at_once = quick_ack_,
                          .round_trip = round_trip_,
                          .sent = writer_.gone(),
                          .generation = slots_.generation()};
  // The descriptor keeps the socket open. It stays one that is reset when its last process ends.
  io_.close(std::exchange(socket_, {}), true);
  state_ = State::closed;
  owner_.on_handed_over(std::move(handed));  // Last: it may open the connection again.
}

void Connection::take_up(HandedConnection handed) {
  assert(state_ == State::closed && handed.socket);
  begin();
  info_ = handed.info;
  context_ = handed.context;
  note_ = std::move(handed.note);
  quick_ack_ = handed.acknowledges_at_once && options_.quick_ack != QuickAck::off;
  round_trip_ = handed.round_trip;
  slots_.begin_after(handed.generation);
  socket_ = io_.adopt(std::move(handed.socket));
  writer_.start(socket_, handed.sent);
  become_ready();
  reader_.start(socket_);
}

}  // namespace head::nbd
