// A connection's life: opening, the handshake, requests leaving, the end. What the tail answers is
// in connection_replies.cpp.
#include "head/nbd/connection.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

namespace head::nbd {
namespace {

constexpr std::chrono::seconds goodbye_timeout{1};
// Of looks at the network: when answers are late, and when they are not.
constexpr std::chrono::milliseconds answers_late{5};
constexpr std::chrono::milliseconds looks_apart{20};
constexpr std::chrono::seconds quiet_looks_apart{5};

}  // namespace

Connection::Connection(iouring::Io& io, Owner& owner, const ConnectionOptions& options) noexcept
    : io_(io), owner_(owner), options_(options) {}

Connection::~Connection() {
  assert(state_ == State::closed);
}

void Connection::open(const sockaddr_in6& to, const std::string& interface,
                      const std::string& export_name, iouring::Duration patience) {
  assert(state_ == State::closed);
  begin();
  to_ = to;
  handshake_ = std::make_unique<ClientHandshake>(export_name);
  socket_ = io_.open_tcp(options_.tcp, interface);
  state_ = State::connecting;
  if (!socket_ && errno == EMFILE)
    return fail("no socket for it: raise the limit of open files (ulimit -n, or LimitNOFILE=)");
  if (!socket_) return fail(std::string("no socket for it: ") + std::strerror(errno));
  io_.connect(connect_, socket_, to_);
  io_.arm(deadline_, io_.now() + patience);
}

// Nothing is known of it yet.
void Connection::begin() noexcept {
  problem_.clear();
  reset_ = ended_by_tail_ = unusable_ = false;
  end_ = End::given_up;
  saying_ = heard_all_ = false;
  refused_ = 0;
  health_ = {};
  round_trip_ = {};
}

void Connection::on_connect(iouring::Result result) noexcept {
  if (state_ != State::connecting) return finish_draining();
  if (result.res < 0) return fail(std::string("connecting: ") + std::strerror(-result.res));
  state_ = State::handshaking;
  io_.arm(deadline_, io_.now() + options_.handshake_timeout);
  phase_ = Phase::handshake;
  // A tail without TCP_NODELAY would cost each step of the handshake 40 ms.
  reader_.acknowledge_at_once(options_.quick_ack != QuickAck::off);
  writer_.start(socket_);
  follow(handshake_->start());
  if (state_ == State::handshaking) reader_.start(socket_);
}

void Connection::on_deadline() noexcept {
  switch (state_) {
    case State::connecting:
      return fail("no answer to the attempt to connect");
    case State::handshaking:
      return fail("no end of the handshake in time");
    case State::parting:
      return halt();
    default:
      return drain(false);
  }
}

void Connection::follow(ClientHandshake::Step step) noexcept {
  if (!step.send.empty()) {
    said_part_ = {.iov_base = const_cast<std::byte*>(step.send.data()),
                  .iov_len = step.send.size()};
    said_.set({&said_part_, 1});
    saying_ = true;
    writer_.queue(said_);
  }
  switch (step.what) {
    case ClientHandshake::Step::What::need:
      heard_.resize(step.expect);
      heard_part_ = {.iov_base = heard_.data(), .iov_len = heard_.size()};
      return reader_.expect_payload({&heard_part_, 1}, 0, step.expect);
    case ClientHandshake::Step::What::done:
      return agree();
    case ClientHandshake::Step::What::failed:
      problem_ = handshake_->problem();
      unusable_ = handshake_->failure() == HandshakeFailure::bad_size;
      if (!saying_) return drain(false);
      state_ = State::leaving;  // Until NBD_OPT_ABORT is out.
      io_.arm(deadline_, io_.now() + goodbye_timeout);
      return reader_.expect_nothing(UINT64_MAX);
  }
}

// The answer may be here before the completion of the send is: the handshake's bytes are the
// kernel's until then.
void Connection::step_handshake() noexcept {
  heard_all_ = saying_;
  if (saying_) return reader_.pause();
  follow(handshake_->step(heard_));
}

void Connection::agree() noexcept {
  info_ = handshake_->info();
  context_ = handshake_->context();
  note_ = handshake_->note();
  handshake_.reset();
  heard_ = {};
  io_.disarm(deadline_);
  become_ready();
  owner_.on_open();
}

void Connection::become_ready() noexcept {
  state_ = State::ready;
  quick_ack_ = quick_ack_ || options_.quick_ack == QuickAck::always;
  reader_.acknowledge_at_once(quick_ack_);
  last_reply_ = io_.now();
  departures_.start(socket_);
  io_.look_at(look_, socket_, seen_);
  expect_start();
}

void Connection::send(Request& request) noexcept {
  assert(ready());
  const std::size_t timed_most = departures_.due(slots_.size() == 0 && writer_.idle());
  if (timed_most != 0) writer_.time_next(timed_most);
  const std::uint64_t cookie = slots_.insert(request);
  request.slot_ = static_cast<std::uint32_t>(cookie);
  request.sent = request.moved_ = io_.now();
  if (request.first_sent == iouring::Instant()) request.first_sent = request.sent;
  request.extents_filled = 0;
  wire::Request header;
  header.flags = request.flags;
  header.type = static_cast<std::uint16_t>(request.command);
  header.cookie = cookie;
  header.offset = request.offset;
  header.length = request.length;
  request.outgoing_.set(
      header, request.command == Command::write ? request.memory : std::span<const iovec>());
  writer_.queue(request.outgoing_);
}

Connection::Orphan::Orphan(const Request& of) noexcept {
  command = of.command;
  flags = of.flags;
  offset = of.offset;
  length = of.length;
  arrived = of.arrived;
  sent = of.sent;
  doubts = of.doubts;
  overdues = of.overdues;
  excuses = of.excuses;
  end_ = of.end_;
  moved_ = of.moved_;
}

bool Connection::orphan(std::vector<Orphaned>& requests) {
  bool whole = ready() && phase_ != Phase::payload;
  slots_.for_each([&](Slot& slot) { whole = whole && slot.sent && !slot.answered; });
  if (!whole) return false;
  slots_.for_each([&](Slot& slot) {
    if (slot.orphan) return;
    requests.push_back({.request = slot.request, .cookie = slots_.cookie_of(slot)});
    orphans_.push_back(std::make_unique<Orphan>(*slot.request));
    slot.request = orphans_.back().get();
    slot.orphan = true;
  });
  std::sort(requests.begin(), requests.end(), [](const Orphaned& one, const Orphaned& other) {
    return one.request->arrived < other.request->arrived;
  });
  return true;
}

void Connection::on_sent(Writer::Item& item) noexcept {
  if (&item == &said_) {
    saying_ = false;
    if (state_ == State::leaving) return leave_if_answered();
    if (!std::exchange(heard_all_, false)) return;
    step_handshake();
    return reader_.resume();
  }
  Slot& slot = slots_.at(static_cast<Request::Outgoing&>(item).request.slot_);
  slot.sent = true;
  slot.request->end_ = writer_.gone();
  slot.request->moved_ = io_.now();
  if (slot.answered) hand_back(slot);
}

void Connection::on_send_failed(int error) noexcept {
  if (end_ == End::given_up && (error == ECONNRESET || error == EPIPE)) end_ = End::reset;
  ended_by_tail_ = ready();
  fail(std::string("sending: ") + std::strerror(error));
}

void Connection::on_end(int error) noexcept {
  if (error == 0 || error == ECONNRESET) end_ = error == 0 ? End::closed : End::reset;
  if (state_ == State::leaving) return drain(false);
  ended_by_tail_ = ready();
  fail(error == 0 ? "the tail closed the connection"
                  : std::string("receiving: ") + std::strerror(error));
}

void Connection::look_at_network() noexcept {
  if (!ready() || in_flight() == 0 || look_.pending()) return;
  const auto now = io_.now();
  const bool late = now - last_reply_ >= answers_late;
  if (now - health_.at < (late ? looks_apart : quiet_looks_apart)) return;
  io_.look_at(look_, socket_, seen_);
}

void Connection::on_health(iouring::Result result) noexcept {
  if (state_ == State::draining || state_ == State::parting) return on_drained();
  if (result.res < 0) return;
  const auto least = seen_.least_round_trip;
  if (least.count() != 0 && (round_trip_.count() == 0 || least < round_trip_)) round_trip_ = least;
  const Health now{.at = io_.now(), .tcp = seen_};
  if (const auto before = health_.tcp.acknowledged; seen_.acknowledged > before)
    slots_.for_each_owed([&](const Slot& slot) {
      if (!slot.sent || slot.request->end_ > before) slot.request->moved_ = now.at;
    });
  if (const auto at = packets_lost_at(std::exchange(health_, now), now)) {
    departures_.on_loss();
    owner_.on_packets_lost(*at);
  }
}

void Connection::leave() noexcept {
  if (state_ == State::closed || state_ == State::leaving || state_ == State::draining) return;
  if (state_ != State::ready) return drain(false);
  say_goodbye();
}

// A soft disconnect: what was sent before may still be answered.
void Connection::say_goodbye() noexcept {
  state_ = State::leaving;
  wire::Request header;
  header.type = static_cast<std::uint16_t>(Command::disconnect);
  said_.set(header, {});
  saying_ = true;
  writer_.queue(said_);
  io_.arm(deadline_, io_.now() + goodbye_timeout);
}

// Once the goodbye is out and nothing is owed to us; else the tail's hanging up, or the deadline,
// ends it. What the tail refused to do, shutting down, it does not owe.
void Connection::leave_if_answered() noexcept {
  if (!saying_ && slots_.size() == refused_) drain(false);
}

void Connection::fail(std::string problem) noexcept {
  if (state_ == State::closed || state_ == State::draining) return;
  if (problem_.empty()) problem_ = std::move(problem);
  drain(true);
}

void Connection::violate(const char* what) noexcept {
  ended_by_tail_ = ready();
  fail(std::string("the tail broke the protocol: ") + what);
}

void Connection::drain(bool reset) noexcept {
  state_ = State::draining;
  reset_ = reset;
  io_.disarm(deadline_);
  reader_.stop();
  writer_.stop();
  departures_.stop();
  if (connect_.pending()) io_.cancel(connect_);
  if (reader_.pending() || writer_.pending()) io_.shutdown(socket_);
  finish_draining();
}

// Until the kernel has let go of every buffer, no request may go elsewhere. The owner hears of it
// from the loop, never from inside a call of its own or of the reader's.
void Connection::finish_draining() noexcept {
  if (state_ != State::draining || over_.pending()) return;
  if (reader_.pending() || writer_.pending() || connect_.pending() || look_.pending()) return;
  if (departures_.pending() || halting_.pending() || duplicate_.pending()) return;
  io_.defer(over_);
}

void Connection::on_over(iouring::Result) noexcept {
  writer_.clear();
  coverage_.clear();
  handshake_.reset();
  heard_ = {};
  slot_ = nullptr;
  // What may go again must not arrive twice: a tail that is left politely would still take it.
  const bool under_way = slots_.size() != refused_;
  if (!under_way) end_ = End::nothing_under_way;
  RequestQueue unanswered;
  slots_.drain_into(unanswered);
  orphans_.clear();
  if (socket_) io_.close(std::exchange(socket_, {}), reset_ || under_way);
  state_ = State::closed;
  const std::string problem = std::exchange(problem_, {});
  owner_.on_closed(problem, unanswered);  // Last: it may open the connection again.
}

}  // namespace head::nbd
