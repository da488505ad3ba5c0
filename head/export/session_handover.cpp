// How a session ends in one process and goes on in another: handed.hpp.
#include "head/base/log.hpp"
#include "head/export/session.hpp"
#include "head/export/slot.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <limits>
#include <utility>

namespace head::exports {

namespace {

using nbd::Command;
namespace flag = nbd::transmission_flag;

void append(std::vector<std::byte>& bytes, std::span<const std::byte> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

void append(std::vector<std::byte>& bytes, const nbd::RequestHeader& header) {
  nbd::wire::Request request;
  request.flags = header.flags;
  request.type = header.type;
  request.cookie = header.cookie;
  request.offset = header.offset;
  request.length = header.length;
  append(bytes, nbd::wire::bytes_of(request));
}

void append(std::vector<std::byte>& bytes, std::span<const iovec> parts, std::size_t size) {
  for (const iovec& part : parts) {
    const std::size_t here = std::min(part.iov_len, size);
    append(bytes, {static_cast<const std::byte*>(part.iov_base), here});
    size -= here;
  }
}

// A write that is refused for the same reason, of whose payload so much is to come still: what was
// dropped of it before is not there to be said again.
nbd::RequestHeader refused_again(nbd::RequestHeader write, int error, std::uint64_t left) {
  write.length = static_cast<std::uint32_t>(left);
  if (error == ENOSPC)
    write.offset = std::numeric_limits<std::uint64_t>::max() - left;
  else if (error != EPERM)
    write.flags = too_long_flags;  // That are not offered.
  if (error == EOVERFLOW) write.offset = too_long_offset;
  return write;
}

}  // namespace

// ---- The end here -------------------------------------------------------------------------------

void Session::halt() noexcept {
  if (state_ == State::ending || state_ == State::over) return;
  halting_ = true;
  service_.io.disarm(patience_);
  service_.io.disarm(paused_long_);
  reader_.halt();
  header_waits_ |= waits();
  give_up();
  if (hangup_.pending()) service_.io.cancel(hangup_);
}

bool Session::quiet() const noexcept {
  return over() || (at_volume_ == 0 && writer_.idle() && !writer_.pending());
}

void Session::halt_answers() noexcept {
  if (state_ != State::ending && state_ != State::over) writer_.halt();
}

bool Session::still() const noexcept {
  if (state_ == State::ending) return false;
  return over() || (halting_ && at_volume_ == 0 && !reader_.pending() && !writer_.pending() &&
                    !hangup_.pending());
}

// From the oldest on; of the newest the payload may not have come whole.
std::vector<std::byte> Session::unanswered() const {
  std::vector<std::byte> said;
  const Slot* slot = slots_;
  while (slot != nullptr && slot->next != nullptr) slot = slot->next;
  for (; slot != nullptr; slot = slot->previous) {
    if (slot->answered || slot == receiving_) continue;
    append(said, {.flags = flags_for_volume(slot->command, slot->flags),
                  .type = static_cast<std::uint16_t>(slot->command),
                  .cookie = slot->cookie,
                  .offset = slot->offset,
                  .length = slot->length});
    if (slot->command == Command::write) append(said, slot->lease.parts, slot->length);
  }
  return said;
}

std::vector<std::byte> Session::handshake_bytes(nbd::Reader::Came came) const {
  std::vector<std::byte> said;
  const Greeting& greeting = *greeting_;
  if (greeting.split) append(said, std::span(greeting.pieces).first(greeting.have));
  if (!greeting.body.empty())
    append(said, std::span(greeting.body).first(greeting.body.size() - came.left));
  append(said, came.bytes);
  return said;
}

HandedSession Session::hand_over() {
  assert(still() && !over());
  HandedSession handed;
  handed.size = size_told_;
  handed.terms = terms_;
  nbd::Reader::Came came = reader_.came();
  if (state_ == State::handshake) {
    handed.handshake = greeting_->handshake.pause();
    if (handed.handshake->state == ServerHandshake::State::skipped)
      handed.handshake->length = static_cast<std::uint32_t>(came.left);
    handed.said = handshake_bytes(std::move(came));
  } else if (held_) {
    handed.said = std::move(inherited_->said);
  } else {
    handed.said = unanswered();
    if (state_ == State::leaving) {  // Its goodbye is the last that it has said.
      append(handed.said, {.type = static_cast<std::uint16_t>(Command::disconnect)});
      came = {};
    } else if (receiving_ != nullptr) {
      const nbd::RequestHeader write{.flags = flags_for_volume(Command::write, receiving_->flags),
                                     .type = header_.type,
                                     .cookie = receiving_->cookie,
                                     .offset = receiving_->offset,
                                     .length = receiving_->length};
      if (verdict_.error != 0) {
        append(handed.said, refused_again(write, verdict_.error, came.left));
      } else {
        append(handed.said, write);
        append(handed.said, receiving_->lease.parts, receiving_->length - came.left);
      }
    } else if (header_waits_) {
      append(handed.said, header_);
    }
    if (greeting_ != nullptr && state_ == State::transmission)
      append(handed.said, handshake_bytes(std::move(came)));
    else
      append(handed.said, came.bytes);
  }
  handed.unsent = writer_.unsent();
  handed.owes_flush_error = owes_flush_error();
  state_ = State::over;
  reader_.stop();
  writer_.stop();
  writer_.clear();
  receiving_ = nullptr;
  while (slots_ != nullptr) release(*slots_);
  return handed;
}

// ---- The beginning there ------------------------------------------------------------------------

void Session::go_on(HandedSession handed) {
  inherited_ = std::make_unique<Inherited>();
  Inherited& inherited = *inherited_;
  inherited.said = std::move(handed.said);
  inherited.unsent = std::move(handed.unsent);
  size_told_ = handed.size;
  if (handed.owes_flush_error) --flush_errors_told_;
  writer_.start(socket_);
  if (!inherited.unsent.empty()) {
    inherited.rest = {.iov_base = inherited.unsent.data(), .iov_len = inherited.unsent.size()};
    inherited.item.set({&inherited.rest, 1});
    inherited.sending = true;
    writer_.queue(inherited.item);
    watch_guest();
  }
  if (handed.handshake) {
    greeting_ = std::make_unique<Greeting>(service_.name, service_.volume);
    greeting_->listening = true;
    service_.io.arm(patience_, service_.io.now() + std::chrono::seconds(10));
    const auto step = greeting_->handshake.go_on(*handed.handshake);
    if (!step) return end();
    apply(*step);
    reader_.start_with(socket_, std::move(inherited.said));
    reader_.resume();
    if (state_ == State::handshake && greeting_->waits && service_.volume.info() != nullptr)
      on_info();
    return;
  }
  state_ = State::transmission;
  terms_ = handed.terms;
  held_ = true;
  service_.io.await_hangup(hangup_, socket_);
  begin_inherited();
}

// What speaks against going on with the volume as it is; null for nothing.
const char* Session::objection() const noexcept {
  constexpr unsigned used = flag::send_flush | flag::send_fua | flag::send_trim |
                            flag::send_write_zeroes | flag::send_cache | flag::send_fast_zero;
  const nbd::ExportInfo& info = *service_.volume.info();
  if (info.size < size_told_) return "the disc is smaller than it was";
  if (info.has(flag::read_only) && (terms_.flags & flag::read_only) == 0)
    return "the disc is read-only now";
  if ((terms_.flags & used & ~unsigned{info.flags}) != 0)
    return "the disc has fewer features than it had";
  if (terms_.base_allocation && !info.base_allocation)
    return "the disc no longer tells which blocks are allocated";
  return nullptr;
}

void Session::begin_inherited() noexcept {
  if (service_.volume.info() == nullptr) return;  // on_info() follows.
  if (const char* why = objection()) {
    static log::RateLimit limit;
    if (const auto pass = limit.pass(service_.io.now()))
      log::warning(
          "disc {}: a guest of before the restart is held: {}; give the disc back as it was, or "
          "detach it ({} more like it)",
          service_.name, why, pass->held);
    return;
  }
  held_ = false;
  reader_.expect_header(sizeof(nbd::wire::Request));
  reader_.start_with(socket_, std::exchange(inherited_->said, {}));
  reader_.resume();
}

}  // namespace head::exports
