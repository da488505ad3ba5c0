#include "tests/sim/sim_io.hpp"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <sys/eventfd.h>

namespace sim {

bool SimIo::step() {
  now_ += std::chrono::microseconds(1);
  timers_.fire(now_);
  // Deferred handlers run before anything from outside, in order.
  const auto deferred = std::find_if(pending_.begin(), pending_.end(),
                                     [](const Pending& op) { return op.kind == Kind::deferred; });
  if (deferred != pending_.end()) {
    iouring::Completion& completion = *deferred->completion;
    pending_.erase(deferred);
    finish(completion, {});
    return true;
  }
  std::vector<std::size_t> order(pending_.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random_);
  for (const std::size_t i : order) {
    const Pending op = pending_[i];
    if (!op.cancelled && chance(faults.stall)) continue;
    const auto result = op.cancelled ? iouring::Result{.res = -ECANCELED} : perform(op);
    if (!result) continue;
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
    finish(*op.completion, *result);
    return true;
  }
  // Was it only luck that nothing happened?
  return std::any_of(pending_.begin(), pending_.end(),
                     [this](const Pending& op) { return is_able(op); });
}

bool SimIo::is_able(const Pending& op) const {
  if (op.cancelled || op.kind == Kind::deferred) return true;
  if (op.kind == Kind::connect) return !faults.deaf;
  if (op.kind == Kind::accept) return !knocking_.empty();
  const Socket& socket = sockets_.at(op.socket);
  if (op.kind == Kind::take_departure || op.kind == Kind::duplicate) return true;
  if (socket.shut || socket.broken || socket.hung_up) return true;
  if (op.kind == Kind::hangup) return false;
  if (op.kind == Kind::await_departure)
    return !socket.departures.empty() && socket.departures.front().told <= now_;
  return op.kind == Kind::send ? socket.peer->room() > 0 : !socket.to_us.empty();
}

bool SimIo::step_or_wait() {
  if (step()) return true;
  const auto next = timers_.earliest();
  if (!next) return false;
  now_ = std::max(now_, *next);
  timers_.fire(now_);
  return true;
}

std::optional<iouring::Result> SimIo::perform(const Pending& op) {
  if (op.kind == Kind::accept) return perform_accept();
  Socket& socket = sockets_.at(op.socket);
  if (op.kind == Kind::connect) {
    if (faults.deaf) return std::nullopt;
    if (chance(faults.refuse)) return iouring::Result{.res = -ECONNREFUSED};
    socket.peer = make_peer_();
    socket.hung_up = !socket.peer->on_bytes(socket.from_us, socket.to_us);
    return iouring::Result{.res = 0};
  }
  if (op.kind == Kind::take_departure) return perform_take(op, socket);
  if (op.kind == Kind::duplicate) {
    const int error = duplicate_errors.empty() ? 0 : duplicate_errors.front();
    if (!duplicate_errors.empty()) duplicate_errors.pop_front();
    return error == 0 ? perform_duplicate(socket) : iouring::Result{.res = -error};
  }
  if (!socket.shut && chance(faults.reset)) {
    socket.broken = true;
    socket.to_us.clear();
    return iouring::Result{.res = -ECONNRESET};
  }
  if (op.kind == Kind::hangup || op.kind == Kind::await_departure)
    return is_able(op) ? std::optional(iouring::Result{}) : std::nullopt;
  if (op.kind != Kind::send) return perform_recv(op, socket);
  if (!is_able(op)) return std::nullopt;
  return perform_send(op, socket);
}

// As the kernel tells of it.
iouring::Result SimIo::perform_take(const Pending& op, Socket& socket) {
  auto& message = const_cast<msghdr&>(*op.message);
  if (socket.departures.empty() || socket.departures.front().told > now_) return {.res = -EAGAIN};
  const auto at = socket.departures.front().at.time_since_epoch();
  socket.departures.pop_front();
  scm_timestamping stamps{};
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(at);
  stamps.ts[0].tv_sec = whole.count();
  stamps.ts[0].tv_nsec = std::chrono::nanoseconds(at - whole).count();
  cmsghdr& header = *CMSG_FIRSTHDR(&message);
  header = {
      .cmsg_len = CMSG_LEN(sizeof stamps), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_TIMESTAMPING};
  std::memcpy(CMSG_DATA(&header), &stamps, sizeof stamps);
  message.msg_controllen = CMSG_SPACE(sizeof stamps);
  return {};
}

iouring::Result SimIo::perform_duplicate(Socket& socket) {
  const int fd = ::eventfd(0, EFD_CLOEXEC);
  if (fd < 0) std::abort();
  duplicated_[fd] = std::exchange(socket, {});
  return {.res = fd};
}

SimIo::~SimIo() {
  std::erase_if(duplicated_, [](const auto& one) { return ::fcntl(one.first, F_GETFD) < 0; });
}

std::optional<iouring::Result> SimIo::perform_accept() {
  if (knocking_.empty()) return std::nullopt;
  if (!accept_errors.empty()) {
    const int error = accept_errors.front();
    accept_errors.pop_front();
    return iouring::Result{.res = -error};
  }
  const int fd = ::eventfd(0, EFD_CLOEXEC);  // A descriptor like others: it can be closed.
  if (fd < 0) std::abort();
  if (accepted_.count(fd) != 0) ++turned_away_;
  accepted_[fd] = std::move(knocking_.front());
  knocking_.pop_front();
  return iouring::Result{.res = fd};
}

void SimIo::hang_up(const Peer& peer) {
  for (auto& [index, socket] : sockets_) socket.hung_up |= socket.peer.get() == &peer;
}

void SimIo::say(const Peer& peer, const Bytes& bytes) {
  for (auto& [index, socket] : sockets_)
    if (socket.peer.get() == &peer)
      socket.to_us.insert(socket.to_us.end(), bytes.begin(), bytes.end());
}

std::size_t SimIo::turned_away() const {
  std::size_t count = turned_away_;
  for (const auto& [fd, guest] : accepted_) count += ::fcntl(fd, F_GETFD) < 0 ? 1 : 0;
  return count;
}

std::optional<iouring::Result> SimIo::perform_recv(const Pending& op, Socket& socket) {
  if (socket.shut) return iouring::Result{.res = 0};
  if (socket.broken) return iouring::Result{.res = -ECONNRESET};
  if (socket.to_us.empty()) {
    if (!socket.hung_up) return std::nullopt;
    return iouring::Result{.res = socket.peer->resets() ? -ECONNRESET : 0};
  }
  if (op.kind == Kind::recv_pooled) {
    const std::size_t size = some_of(std::min(op.at_most, socket.to_us.size()));
    lent_.assign(socket.to_us.begin(), socket.to_us.begin() + static_cast<std::ptrdiff_t>(size));
    socket.to_us.erase(socket.to_us.begin(),
                       socket.to_us.begin() + static_cast<std::ptrdiff_t>(size));
    return iouring::Result{
        .res = static_cast<int>(size), .bytes = lent_, .more_waiting = !socket.to_us.empty()};
  }
  std::size_t room = 0;
  for (std::size_t i = 0; i < op.message->msg_iovlen; ++i) room += op.message->msg_iov[i].iov_len;
  const std::size_t size = some_of(std::min(room, socket.to_us.size()));
  std::size_t copied = 0;
  for (std::size_t i = 0; copied < size; ++i) {
    const iovec& part = op.message->msg_iov[i];
    const std::size_t here = std::min(part.iov_len, size - copied);
    std::memcpy(part.iov_base, socket.to_us.data() + copied, here);
    copied += here;
  }
  socket.to_us.erase(socket.to_us.begin(),
                     socket.to_us.begin() + static_cast<std::ptrdiff_t>(size));
  return iouring::Result{.res = static_cast<int>(size)};
}

iouring::Result SimIo::perform_send(const Pending& op, Socket& socket) {
  if (socket.shut || socket.broken || socket.hung_up) return {.res = -EPIPE};
  Bytes all(op.from.begin(), op.from.end());
  for (std::size_t i = 0; op.message != nullptr && i < op.message->msg_iovlen; ++i) {
    const auto* base = static_cast<const std::byte*>(op.message->msg_iov[i].iov_base);
    all.insert(all.end(), base, base + op.message->msg_iov[i].iov_len);
  }
  const std::size_t size = some_of(std::min(all.size(), socket.peer->room()));
  socket.from_us.insert(socket.from_us.end(), all.begin(),
                        all.begin() + static_cast<std::ptrdiff_t>(size));
  socket.hung_up = !socket.peer->on_bytes(socket.from_us, socket.to_us);
  if (op.message != nullptr && op.message->msg_controllen != 0) {
    ++departures;
    socket.departures.push_back({now_ + parked, iouring::wall_now() + parked});
  }
  return {.res = static_cast<int>(size)};
}

}  // namespace sim
