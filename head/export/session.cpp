#include "head/export/session.hpp"

#include "head/base/log.hpp"
#include "head/export/slot.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <new>
#include <utility>

namespace head::exports {
namespace {

constexpr std::chrono::seconds handshake_patience{10};
// For one byte of a request or payload to arrive, or of an answer to leave. (What has moved of a
// transfer that has not ended is known only when it is interrupted: its first bytes may win the
// guest as much again.)
constexpr std::chrono::seconds patience{30};
// Until it is asked whether a guest that is not read from is still there.
constexpr std::chrono::milliseconds long_pause{500};

}  // namespace

using nbd::Command;

Session::Session(const Service& service, Owner& owner, iouring::Socket socket)
    : PayloadPool::Lessee(service.memory),
      service_(service),
      owner_(owner),
      socket_(socket),
      reader_(service.io, *this),
      writer_(service.io, *this),
      flush_errors_told_(service.volume.flush_errors().told) {
  if (!is_far_reader()) reader_.receive_at_most(PayloadPool::near);
}

Session::~Session() {
  assert(over() && in_flight_ == 0);
}

void Session::start() {
  greeting_ = std::make_unique<Greeting>(service_.name, service_.volume);
  writer_.start(socket_);
  service_.io.arm(patience_, service_.io.now() + handshake_patience);
  apply(greeting_->handshake.start());
}

// ---- Handshake ----------------------------------------------------------------------------------

void Session::on_info() noexcept {
  if (halting_) return;
  if (held_) return begin_inherited();
  if (state_ != State::handshake || !greeting_->waits) return;
  apply(greeting_->handshake.resume());
}

void Session::negotiate(std::span<const std::byte> bytes) noexcept {
  apply(greeting_->handshake.step(bytes));
}

void Session::apply(ServerHandshake::Step step) noexcept {
  using What = ServerHandshake::Step::What;
  Greeting& greeting = *greeting_;
  const bool waited = std::exchange(greeting.waits, false);
  greeting.body.clear();
  switch (step.what) {
    case What::need:
      if (waited) service_.io.arm(patience_, service_.io.now() + handshake_patience);
      waited ? greeting.split_next(step.expect) : expect(step.expect);
      break;
    case What::skip:
      reader_.expect_nothing(step.expect);
      break;
    case What::wait:
      greeting.waits = true;  // For us, that is: as long as it takes.
      service_.io.disarm(patience_);
      reader_.expect_header(1);
      break;
    case What::transmit:
      state_ = State::transmission;
      service_.io.disarm(patience_);
      terms_ = greeting.handshake.terms();
      size_told_ = service_.volume.info()->size;
      owner_.on_guest_greeted(*this);
      waited ? greeting.split_next(sizeof(nbd::wire::Request)) : expect(sizeof(nbd::wire::Request));
      break;
    case What::close:
      depart();
      break;
  }
  if (step.send.empty()) {
    if (step.what == What::close) end();
    return;
  }
  greeting.send(step.send);
  writer_.queue(greeting.item);
  watch_guest();
  // Nothing more is read until it is sent: it lives in the handshake until the next step.
  if (greeting.listening && !waited) reader_.pause();
}

void Session::expect(std::size_t size) noexcept {
  if (size <= nbd::Reader::header_max) return reader_.expect_header(size);
  if (!take_option(size)) return hang_up("too many guests say long options at once");
  Greeting& greeting = *greeting_;
  greeting.body.resize(size);
  greeting.into = {.iov_base = greeting.body.data(), .iov_len = size};
  reader_.expect_payload({&greeting.into, 1}, 0, size);
}

void Session::on_greeting_sent() noexcept {
  greeting_->sending = false;
  if (state_ == State::leaving) return end();
  if (halting_) return;
  const bool listening = std::exchange(greeting_->listening, true);
  if (state_ == State::transmission && !greeting_->split) {
    greeting_.reset();
    give_back_option();
  }
  listening ? reader_.resume() : reader_.start(socket_);
}

// ---- The stream ---------------------------------------------------------------------------------

void Session::on_header(std::span<const std::byte> header) noexcept {
  if (greeting_ != nullptr) {
    if (greeting_->waits) return end();  // It was to wait for an answer.
    if (greeting_->split) {
      header = greeting_->join(header);
      if (header.empty()) {
        reader_.expect_header(greeting_->missing());
        watch_guest();
        if (greeting_->sending) reader_.pause();
        return;
      }
    }
  }
  state_ == State::transmission ? on_request(header) : negotiate(header);
}

void Session::on_payload() noexcept {
  if (state_ == State::handshake) return negotiate(greeting_->body);

  Slot& slot = *std::exchange(receiving_, nullptr);
  slot.receiving = service_.io.now() - admitted_;
  reader_.expect_header(sizeof(nbd::wire::Request));
  verdict_.error != 0 ? answer(slot, verdict_.error, verdict_.message) : submit(slot);
  stalled_ = must_stall();
  if (stalled_) pause();
}

void Session::on_end(int error) noexcept {
  if (error != ECANCELED) return end();
  hang_up(receiving_ != nullptr ? "it stopped in the middle of a write"
                                : "it stopped in the middle of a request");
}

void Session::on_request(std::span<const std::byte> bytes) noexcept {
  const auto request = nbd::decode_request(bytes.first<sizeof(nbd::wire::Request)>());
  if (!request) return end();
  if (request->type == static_cast<std::uint16_t>(Command::disconnect)) return leave();

  header_ = *request;
  arrived_ = reader_.came_at();
  verdict_ = validate(header_, terms_, service_.volume.info()->size);
  const std::uint32_t payload = payload_of(header_, verdict_);
  PayloadPool::Lease lease;
  if (!take(payload, lease)) {
    wait(payload);
    return pause();
  }
  admit(lease);
  stalled_ = receiving_ == nullptr && must_stall();
  if (stalled_) pause();
}

void Session::on_memory(const PayloadPool::Lease& lease) noexcept {
  admit(lease);
  stalled_ = receiving_ == nullptr && must_stall();
  if (!stalled_) reader_.resume();
}

// ---- A request ----------------------------------------------------------------------------------

std::uint32_t Session::payload_of(const nbd::RequestHeader& request, Verdict verdict) noexcept {
  if (verdict.error != 0) return 0;
  const auto command = static_cast<Command>(request.type);
  if (command == Command::read || command == Command::write) return request.length;
  return command == Command::block_status ? PayloadPool::block_size : 0;
}

void Session::admit(const PayloadPool::Lease& lease) noexcept {
  static_assert(sizeof(Slot) <= PayloadPool::cell_room);
  Slot& slot = *new (lease.cell) Slot(*this, lease);
  slot.next = slots_;
  if (slots_ != nullptr) slots_->previous = &slot;
  slots_ = &slot;
  ++in_flight_;
  auto& counter = service_.stats.in_flight;
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);

  slot.cookie = header_.cookie;
  slot.command = static_cast<Command>(header_.type);
  slot.offset = header_.offset;
  slot.length = header_.length;
  slot.arrived = arrived_;
  slot.flags = flags_for_volume(slot.command, header_.flags);

  if (slot.command == Command::write) {
    receiving_ = &slot;
    admitted_ = service_.io.now();
    watch_guest();
    if (verdict_.error != 0) return reader_.expect_nothing(header_.length);
    return reader_.expect_payload(lease.parts, 0, header_.length);
  }
  reader_.expect_header(sizeof(nbd::wire::Request));
  verdict_.error != 0 ? answer(slot, verdict_.error, verdict_.message) : submit(slot);
}

// Of the guest's flags, those that change what the volume does. FUA means nothing where nothing is
// written, and DF nothing to a volume.
std::uint16_t Session::flags_for_volume(Command command, std::uint16_t flags) noexcept {
  namespace flag = nbd::command_flag;
  switch (command) {
    case Command::write:
    case Command::trim:
      return flags & flag::fua;
    case Command::write_zeroes:
      return flags & (flag::fua | flag::no_hole | flag::fast_zero);
    case Command::block_status:
      return flags & flag::req_one;
    default:
      return 0;
  }
}

void Session::submit(Slot& slot) noexcept {
  if (slot.command == Command::read || slot.command == Command::write)
    slot.memory = slot.lease.parts;
  if (slot.command == Command::block_status) {
    const bool one = (slot.flags & nbd::command_flag::req_one) != 0;
    auto* extents = static_cast<nbd::Extent*>(slot.lease.parts[0].iov_base);
    slot.extents = {extents, one ? 1 : PayloadPool::block_size / sizeof(nbd::Extent)};
  }
  slot.at_volume = true;
  ++at_volume_;
  service_.volume.submit(slot);
}

void Session::on_answer(Slot& slot, int error) noexcept {
  slot.at_volume = false;
  --at_volume_;
  if (state_ == State::ending) {
    release(slot);
    return finish_if_drained();
  }
  if (halting_ && error == ESHUTDOWN) return owner_.on_session_halting(*this);
  answer(slot, with_flush_errors(slot, error), nullptr);
  if (halting_) owner_.on_session_halting(*this);
}

// As the kernel tells each file descriptor once (errseq_t): what others' FLUSHes, or the volume's
// own, have failed to make stable may be this guest's.
int Session::with_flush_errors(const Slot& slot, int error) noexcept {
  if (!nbd::is_sync(slot)) return error;
  const bool tells =
      slot.command == Command::flush || error == 0 || nbd::may_have_failed_to_flush(slot, error);
  if (!owes_flush_error() || !tells) return error;
  auto& errors = service_.volume.flush_errors();
  errors.told = flush_errors_told_ = errors.met;
  return error != 0 ? error : EIO;
}

void Session::on_sent(nbd::Writer::Item& item) noexcept {
  if (greeting_ != nullptr && &item == &greeting_->item) return on_greeting_sent();
  if (inherited_ != nullptr && &item == &inherited_->item)
    inherited_->sending = false;
  else
    release(static_cast<Slot&>(item));
  if (state_ == State::leaving) {
    if (all_said()) end();
  } else if (halting_) {
    owner_.on_session_halting(*this);
  } else if (state_ == State::transmission && stalled_ && !must_stall()) {
    stalled_ = false;
    reader_.resume();
  }
}

void Session::release(Slot& slot) noexcept {
  (slot.previous == nullptr ? slots_ : slot.previous->next) = slot.next;
  if (slot.next != nullptr) slot.next->previous = slot.previous;
  --in_flight_;
  auto& counter = service_.stats.in_flight;
  counter.store(counter.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);

  const PayloadPool::Lease lease = slot.lease;
  slot.~Slot();
  give_back(lease);  // Who waits for it may be served now; this session as well.
}

bool Session::must_stall() const noexcept {
  return in_flight_ >= in_flight_max;
}

// ---- The end ------------------------------------------------------------------------------------

void Session::pause() noexcept {
  reader_.pause();
  if (!paused_long_.armed()) service_.io.arm(paused_long_, service_.io.now() + long_pause);
}

// Armed at the first pause, not anew for each: when it fires, one may last or not.
void Session::on_paused_long() noexcept {
  if (paused() && !hangup_.pending()) service_.io.await_hangup(hangup_, socket_);
}

// What such a guest has said and we have not read is lost, a goodbye included.
void Session::on_hangup(iouring::Result result) noexcept {
  if (state_ == State::ending || halting_) return on_drained();
  if (state_ != State::transmission || result.res < 0) return;
  if (paused()) end();  // Else the reader comes to it.
}

// It has begun to say a request, and the rest of its header or payload is to come.
bool Session::within_request() const noexcept {
  const bool has_part = greeting_ != nullptr && greeting_->split && greeting_->have > 0;
  return receiving_ != nullptr || reader_.within_header() || has_part;
}

void Session::watch_guest() noexcept {
  if (!halting_ && !patience_.armed()) service_.io.arm(patience_, service_.io.now() + patience);
}

void Session::on_out_of_patience() noexcept {
  if (state_ == State::handshake) return hang_up("its handshake took too long");
  const auto now = service_.io.now();
  auto since = now;  // Then the guest's turn began.
  const auto watch = [&](auto& half) {
    const auto progress = half.last_progress();
    if (progress + patience > now)
      since = std::min(since, progress);
    else
      half.interrupt();  // Ends us, if not one byte has moved.
  };
  const bool sending = !writer_.idle();
  if (sending) watch(writer_);
  const bool receiving = within_request();
  if (receiving) watch(reader_);
  if (sending || receiving) service_.io.arm(patience_, since + patience);
}

void Session::on_send_failed(int error) noexcept {
  error == ECANCELED ? hang_up("it takes no answers") : end();
}

void Session::hang_up(const char* why) noexcept {
  static log::RateLimit limit;
  if (const auto pass = limit.pass(service_.io.now()))
    log::warning("disc {}: a guest was hung up on: {}; see what holds it up ({} more like it)",
                 service_.name, why, pass->held);
  end();
}

void Session::leave() noexcept {
  depart();
  reader_.pause();
  if (all_said()) end();
}

bool Session::all_said() const noexcept {
  return in_flight_ == 0 && (inherited_ == nullptr || !inherited_->sending);
}

void Session::depart() noexcept {
  state_ = State::leaving;
  owner_.on_guest_gone(*this);
}

void Session::end() noexcept {
  if (state_ == State::ending || state_ == State::over) return;
  const bool was_live = live();
  state_ = State::ending;
  if (was_live) owner_.on_guest_gone(*this);
  service_.io.disarm(patience_);
  service_.io.disarm(paused_long_);
  give_up();
  reader_.stop();
  writer_.stop();
  service_.io.shutdown(socket_);  // Ends what is pending.
  // A guest that said goodbye still wants done what it asked for before.
  if (was_live) withdraw();
  finish_if_drained();
}

void Session::withdraw() noexcept {
  for (Slot* at = slots_; at != nullptr;) {
    Slot& slot = *std::exchange(at, at->next);
    if (!slot.at_volume || !service_.volume.withdraw(slot)) continue;
    --at_volume_;
    release(slot);
  }
}

void Session::on_drained() noexcept {
  if (state_ == State::ending) return finish_if_drained();
  if (halting_) owner_.on_session_halting(*this);
}

void Session::finish_if_drained() noexcept {
  if (state_ != State::ending || at_volume_ != 0) return;
  if (reader_.pending() || writer_.pending() || hangup_.pending()) return;
  state_ = State::over;
  writer_.clear();
  receiving_ = nullptr;
  while (slots_ != nullptr) release(*slots_);
  service_.io.close(socket_, false);
  owner_.on_session_over(*this);
}

}  // namespace head::exports
