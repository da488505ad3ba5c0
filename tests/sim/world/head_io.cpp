#include "tests/sim/world/head_io.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <utility>

namespace world {

// ---- Descriptors --------------------------------------------------------------------------------

Descriptors::~Descriptors() = default;

namespace {

int new_descriptor() {
  const int fd = ::eventfd(0, EFD_CLOEXEC);
  if (fd < 0) std::abort();
  return fd;
}

}  // namespace

void Descriptors::let_go(Entry& entry) {
  if (entry.stream != nullptr && --entry.stream->holders == 0)
    entry.stream->close(!entry.stream->lingers);
  if (entry.listener != nullptr) --entry.listener->holders;
  entry = {};
}

iouring::UniqueFd Descriptors::open(Stream& stream) {
  reap();
  const int fd = new_descriptor();
  entries_[fd] = {.stream = &stream};
  ++stream.holders;
  return {iouring::adopt, fd};
}

iouring::UniqueFd Descriptors::open(Listener& listener) {
  reap();
  const int fd = new_descriptor();
  entries_[fd] = {.listener = &listener};
  ++listener.holders;
  return {iouring::adopt, fd};
}

Stream* Descriptors::take_stream(int fd) {
  const auto found = entries_.find(fd);
  if (found == entries_.end() || found->second.stream == nullptr) return nullptr;
  Stream* const stream = found->second.stream;
  entries_.erase(found);
  return stream;
}

Listener* Descriptors::take_listener(int fd) {
  const auto found = entries_.find(fd);
  if (found == entries_.end() || found->second.listener == nullptr) return nullptr;
  Listener* const listener = found->second.listener;
  entries_.erase(found);
  return listener;
}

void Descriptors::reap() {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (::fcntl(entry->first, F_GETFD) >= 0) {
      ++entry;
      continue;
    }
    let_go(entry->second);
    entry = entries_.erase(entry);
  }
}

// ---- HeadIo: the world's side -------------------------------------------------------------------

HeadIo::HeadIo(Clock& clock, Dice& dice, Connector& connector, Descriptors& descriptors)
    : clock_(clock), dice_(dice), connector_(connector), descriptors_(descriptors) {}

HeadIo::~HeadIo() = default;

void HeadIo::connected(int number, Stream* stream, int error) {
  const auto found = sockets_.find(number);
  if (killed_ || found == sockets_.end() || !found->second->attempting) {
    if (stream != nullptr) stream->close(true);
    return;
  }
  Socket& socket = *found->second;
  socket.attempting = false;
  const auto waits =
      std::find_if(socket.waiting.begin(), socket.waiting.end(),
                   [](const Operation& operation) { return operation.kind == Kind::connect; });
  if (waits == socket.waiting.end()) {
    if (stream != nullptr) stream->close(true);
    return;
  }
  iouring::Completion& completion = *waits->completion;
  socket.waiting.erase(waits);
  if (stream != nullptr) {
    socket.stream = stream;
    ++stream->holders;
    stream->watch(&socket);
  }
  end(completion, {.res = -error});
}

void HeadIo::on_knock(Listener& listener) {
  for (const auto& [number, socket] : sockets_)
    if (socket->listener == &listener) return look(*socket);
}

void HeadIo::kill() {
  killed_ = true;
  own_now_ = clock_.now();
  for (const auto& [number, socket] : sockets_) {
    let_go(*socket, true);
    for (const Operation& operation : std::exchange(socket->waiting, {}))
      end(*operation.completion, {.res = -ECONNRESET});
  }
}

bool HeadIo::drain_step() {
  if (!ended_.empty() || !deferred_.empty()) {
    run_one();
    return true;
  }
  const auto next = timers_.earliest();
  if (!next) return false;
  own_now_ = std::max(own_now_, *next);
  timers_.fire(own_now_);
  return true;
}

void HeadIo::stop(bool yes) {
  stopped_ = yes;
  if (yes || killed_) return;
  run_soon();
  on_wake();
}

// ---- HeadIo: operations -------------------------------------------------------------------------

iouring::Socket HeadIo::open_tcp(const iouring::TcpOptions&, const std::string&) {
  const int number = next_socket_++;
  sockets_[number] = std::make_unique<Socket>(*this);
  return {.index = number, .direct = true};
}

iouring::Socket HeadIo::adopt(iouring::UniqueFd fd) {
  const iouring::Socket made = open_tcp({}, {});
  Socket& socket = at(made);
  socket.listener = descriptors_.take_listener(fd.fd());
  if (socket.listener != nullptr) {
    socket.listener->owner = this;
    return made;
  }
  socket.stream = descriptors_.take_stream(fd.fd());
  if (socket.stream != nullptr) socket.stream->watch(&socket);
  return made;
}

HeadIo::Socket& HeadIo::at(iouring::Socket socket) {
  return *sockets_.at(socket.index);
}

void HeadIo::start(iouring::Socket number, Operation operation) {
  begin(*operation.completion);
  Socket& socket = at(number);
  if (killed_) return end(*operation.completion, {.res = -ECONNRESET});
  if (!attempt(socket, operation)) socket.waiting.push_back(operation);
  if (socket.departures != 0) look(socket);
}

void HeadIo::connect(iouring::Completion& completion, iouring::Socket socket,
                     const sockaddr_in6& to) {
  start(socket, {.completion = &completion, .kind = Kind::connect});
  if (killed_) return;
  at(socket).attempting = true;
  connector_.connect(*this, socket.index, to);
}

void HeadIo::accept(iouring::Completion& completion, iouring::Socket listener) {
  start(listener, {.completion = &completion, .kind = Kind::accept});
}

void HeadIo::recv(iouring::Completion& completion, iouring::Socket socket, const msghdr& into) {
  start(socket, {.completion = &completion, .kind = Kind::recv, .message = &into});
}

void HeadIo::recv_pooled(iouring::Completion& completion, iouring::Socket socket,
                         std::size_t at_most, bool) {
  start(socket, {.completion = &completion,
                 .kind = Kind::recv,
                 .at_most = at_most == 0 ? std::size_t{16} << 10 : at_most});
}

void HeadIo::send(iouring::Completion& completion, iouring::Socket socket,
                  std::span<const std::byte> from) {
  start(socket, {.completion = &completion, .kind = Kind::send, .from = from});
}

void HeadIo::send(iouring::Completion& completion, iouring::Socket socket, const msghdr& from) {
  start(socket, {.completion = &completion, .kind = Kind::send, .message = &from});
}

void HeadIo::await_hangup(iouring::Completion& completion, iouring::Socket socket) {
  start(socket, {.completion = &completion, .kind = Kind::hangup});
}

void HeadIo::await_departure(iouring::Completion& completion, iouring::Socket socket) {
  start(socket, {.completion = &completion, .kind = Kind::departure});
}

// At once, as far as departures go: who waits for neighbours is not this world's subject.
void HeadIo::take_departure(iouring::Completion& completion, iouring::Socket number,
                            iouring::Departure& into) {
  into.clear();
  begin(completion);
  Socket& socket = at(number);
  if (socket.departures == 0) return end(completion, {.res = -EAGAIN});
  --socket.departures;
  into.message.msg_controllen = 0;  // It tells of no time: the time here is not the kernel's.
  end(completion, {});
}

void HeadIo::cancel(iouring::Completion& completion) noexcept {
  for (const auto& [number, socket] : sockets_) {
    const auto found = std::find_if(
        socket->waiting.begin(), socket->waiting.end(),
        [&](const Operation& operation) { return operation.completion == &completion; });
    if (found == socket->waiting.end()) continue;
    socket->waiting.erase(found);
    return end(completion, {.res = -ECANCELED});
  }
}

void HeadIo::shutdown(iouring::Socket number) noexcept {
  Socket& socket = at(number);
  socket.shut = true;
  socket.attempting = false;
  // It is the socket's end, not the descriptor's.
  if (socket.stream != nullptr && socket.stream->holders > 1)
    socket.stream->break_head(ECONNABORTED);
  look(socket);
}

void HeadIo::close(iouring::Socket number, bool reset) noexcept {
  Socket& socket = at(number);
  if (!socket.waiting.empty()) std::abort();  // It was not drained.
  let_go(socket, reset);
  sockets_.erase(number.index);
}

void HeadIo::let_go(Socket& socket, bool reset) {
  if (Stream* const stream = std::exchange(socket.stream, nullptr)) {
    stream->watch(nullptr);
    if (--stream->holders == 0) stream->close(reset);
  }
  if (Listener* const listener = std::exchange(socket.listener, nullptr)) {
    if (listener->owner == this) listener->owner = nullptr;
    --listener->holders;
  }
}

void HeadIo::look_at(iouring::Completion& completion, iouring::Socket number,
                     iouring::TcpHealth& into) {
  begin(completion);
  const Stream* const stream = at(number).stream;
  into = {};
  if (stream == nullptr) return end(completion, {.res = -ENOTCONN});
  into.acknowledged = stream->acknowledged();
  into.round_trip = into.least_round_trip = std::chrono::microseconds(60);
  if (stream->unacknowledged() != Duration{}) {
    into.unacknowledged = 1;
    into.retransmitted = 1;
  }
  end(completion, {});
}

void HeadIo::duplicate(iouring::Completion& completion, iouring::Socket number) {
  begin(completion);
  if (killed_) return end(completion, {.res = -EBADF});
  Socket& socket = at(number);
  int fd = -1;
  if (socket.stream != nullptr)
    fd = descriptors_.open(*socket.stream).release();
  else if (socket.listener != nullptr)
    fd = descriptors_.open(*socket.listener).release();
  end(completion, {.res = fd < 0 ? -EBADF : fd});
}

void HeadIo::defer(iouring::Completion& completion) {
  begin(completion);
  deferred_.push_back(&completion);
  run_soon();
}

void HeadIo::arm(iouring::Timer& timer, Instant deadline) {
  timers_.arm(timer, deadline);
  wake_at(deadline);
}

// ---- HeadIo: how operations end -----------------------------------------------------------------

void HeadIo::look(Socket& socket) noexcept {
  for (std::size_t i = 0; i < socket.waiting.size();) {
    const Operation operation = socket.waiting[i];
    const unsigned departures = socket.departures;
    if (attempt(socket, operation)) {
      socket.waiting.erase(socket.waiting.begin() + static_cast<std::ptrdiff_t>(i));
      if (socket.departures != departures) i = 0;
    } else {
      ++i;
    }
  }
}

bool HeadIo::attempt(Socket& socket, const Operation& operation) {
  iouring::Completion& completion = *operation.completion;
  switch (operation.kind) {
    case Kind::connect:
      if (!socket.shut) return false;
      end(completion, {.res = -ECONNABORTED});
      return true;
    case Kind::accept:
      return attempt_accept(socket, operation);
    case Kind::recv:
      return attempt_recv(socket, operation);
    case Kind::send:
      return attempt_send(socket, operation);
    case Kind::hangup:
      if (!socket.shut && socket.stream != nullptr && !socket.stream->hung_up()) return false;
      end(completion, {});
      return true;
    case Kind::departure:
      if (socket.departures == 0 && !socket.shut && socket.stream != nullptr &&
          !socket.stream->broken() && socket.stream->end() == 0)
        return false;
      end(completion, {});
      return true;
    case Kind::other:
      break;
  }
  std::abort();
}

bool HeadIo::attempt_accept(Socket& socket, const Operation& operation) {
  Listener* const listener = socket.listener;
  if (listener == nullptr || listener->queue.empty()) return false;
  Stream* const guest = listener->queue.front();
  listener->queue.pop_front();
  const int fd = descriptors_.open(*guest).release();
  end(*operation.completion, {.res = fd});
  ended_.back().accepted = fd;
  return true;
}

bool HeadIo::attempt_recv(Socket& socket, const Operation& operation) {
  iouring::Completion& completion = *operation.completion;
  if (socket.shut || socket.stream == nullptr) {
    end(completion, {.res = 0});
    return true;
  }
  Stream& stream = *socket.stream;
  const auto arrived = stream.arrived();
  if (arrived.empty()) {
    const int over = stream.end();
    if (over == 0) return false;
    end(completion, {.res = over > 0 ? 0 : over});
    return true;
  }
  if (operation.message == nullptr) {
    const std::size_t size = std::min(operation.at_most, arrived.size());
    Bytes lent;
    if (!spare_.empty()) {
      lent = std::move(spare_.back());
      spare_.pop_back();
    }
    lent.assign(arrived.begin(), arrived.begin() + static_cast<std::ptrdiff_t>(size));
    const bool more = size < arrived.size();
    stream.take(size);
    end(completion, {.res = static_cast<int>(size), .more_waiting = more}, std::move(lent));
    return true;
  }
  std::size_t copied = 0;
  for (std::size_t i = 0; i < operation.message->msg_iovlen && copied < arrived.size(); ++i) {
    const iovec& part = operation.message->msg_iov[i];
    const std::size_t here = std::min(part.iov_len, arrived.size() - copied);
    std::memcpy(part.iov_base, arrived.data() + copied, here);
    copied += here;
  }
  const bool more = copied < arrived.size();
  stream.take(copied);
  end(completion, {.res = static_cast<int>(copied), .more_waiting = more});
  return true;
}

bool HeadIo::attempt_send(Socket& socket, const Operation& operation) {
  iouring::Completion& completion = *operation.completion;
  if (socket.shut || socket.stream == nullptr || socket.stream->hung_up()) {
    end(completion, {.res = -EPIPE});
    return true;
  }
  Stream& stream = *socket.stream;
  std::size_t room = stream.room();
  if (room == 0) return false;
  if (dice_.chance(0.02)) room = 1 + dice_.pick(room);  // Sends are short now and then.
  std::size_t sent = std::min(room, operation.from.size());
  if (operation.message == nullptr) {
    stream.write(operation.from.first(sent));
  } else {
    for (std::size_t i = 0; i < operation.message->msg_iovlen && sent < room; ++i) {
      const iovec& part = operation.message->msg_iov[i];
      const std::size_t here = std::min(part.iov_len, room - sent);
      if (here != 0) stream.write({static_cast<const std::byte*>(part.iov_base), here});
      sent += here;
    }
    if (operation.message->msg_controllen != 0) ++socket.departures;
  }
  end(completion, {.res = static_cast<int>(sent)});
  return true;
}

void HeadIo::end(iouring::Completion& completion, iouring::Result result, Bytes lent) {
  ended_.push_back({.completion = &completion, .result = result, .lent = std::move(lent)});
  run_soon();
}

void HeadIo::run_soon() {
  if (killed_ || stopped_ || std::exchange(scheduled_, true)) return;
  clock_.after(std::chrono::microseconds(dice_.between(1, 4)), [this] { run_handlers(); });
}

// One handler for each event of the world: between any two of them anything may happen.
void HeadIo::run_handlers() {
  scheduled_ = false;
  if (killed_ || stopped_) return;
  if (!ended_.empty() || !deferred_.empty()) run_one();
  if (!ended_.empty() || !deferred_.empty()) run_soon();
}

void HeadIo::run_one() {
  if (!deferred_.empty()) {
    iouring::Completion& completion = *deferred_.front();
    deferred_.pop_front();
    return finish(completion, {});
  }
  Ended ended = std::move(ended_.front());
  ended_.pop_front();
  ended.result.bytes = ended.lent;
  finish(*ended.completion, ended.result);
  if (ended.lent.capacity() != 0) spare_.push_back(std::move(ended.lent));
  if (ended.accepted >= 0) descriptors_.reap();
}

void HeadIo::wake_at(Instant when) {
  if (killed_ || when >= wake_) return;
  wake_ = std::max(when, clock_.now());
  clock_.at(wake_, [this, when = wake_] {
    if (wake_ == when) on_wake();
  });
}

void HeadIo::on_wake() {
  wake_ = Instant::max();
  if (killed_ || stopped_) return;
  timers_.fire(clock_.now());
  if (const auto next = timers_.earliest()) wake_at(*next);
}

}  // namespace world
