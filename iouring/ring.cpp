#include "iouring/ring.hpp"

#include "iouring/socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <system_error>
#include <utility>

namespace iouring {
namespace {

// Newer than Debian 12's headers; the numbers are the kernel's ABI (include/uapi/linux/io_uring.h).
constexpr unsigned socket_op_setsockopt = 3;      // SOCKET_URING_OP_SETSOCKOPT, 6.7
constexpr std::uint8_t op_fixed_fd_install = 54;  // IORING_OP_FIXED_FD_INSTALL, 6.8
constexpr std::size_t batch_max = 256;

[[noreturn]] void fail(int error, const char* what) {
  throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

Ring::~Ring() {
  // Closing the ring cancels the read of the eventfd, the one operation that we own; every other
  // owner has drained before.
  closing_ = true;
  cancel(wake_);
  while (wake_.pending()) {
    wake();
    submit_and_wait();
    std::array<Ready, batch_max> ready;
    const unsigned count = take(ready);
    for (unsigned i = 0; i < count; ++i) {
      if (ready[i].completion == &wake_) finish(wake_, {.res = -ECANCELED});
    }
  }
  pool_.reset();
  io_uring_queue_exit(&ring_);
}

Socket Ring::open_tcp(const TcpOptions& options, const std::string& interface) {
  UniqueFd made = tcp_socket(options, interface, features_.direct_sockets && !free_places_.empty());
  if (!made) return {};
  return adopt(std::move(made));
}

Socket Ring::adopt(UniqueFd fd) {
  if (features_.direct_sockets && !free_places_.empty()) {
    const int place = free_places_.back();
    const int number = fd.fd();
    if (io_uring_register_files_update(&ring_, static_cast<unsigned>(place), &number, 1) == 1) {
      free_places_.pop_back();
      return {.index = place, .direct = true};
    }
  }
  return {.index = fd.release(), .direct = false};
}

io_uring_sqe& Ring::next_sqe() noexcept {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    // Full: hand over what we have. The ring is sized to make this rare.
    if (io_uring_submit(&ring_) < 0) sched_yield();
    sqe = io_uring_get_sqe(&ring_);
  }
  return *sqe;
}

void Ring::start(Completion& completion, io_uring_sqe& sqe) noexcept {
  begin(completion);
  completion.pooled_ = false;
  io_uring_sqe_set_data(&sqe, &completion);
}

void Ring::forget(io_uring_sqe& sqe) noexcept {
  io_uring_sqe_set_data(&sqe, nullptr);
  if (features_.skip_success) sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
}

void Ring::aim(io_uring_sqe& sqe, Socket socket) noexcept {
  if (socket.direct) sqe.flags |= IOSQE_FIXED_FILE;
}

void Ring::connect(Completion& completion, Socket socket, const sockaddr_in6& to) {
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_connect(&sqe, socket.index, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  aim(sqe, socket);
  start(completion, sqe);
}

void Ring::accept(Completion& completion, Socket listener) {
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_accept(&sqe, listener.index, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  aim(sqe, listener);
  start(completion, sqe);
}

void Ring::recv(Completion& completion, Socket socket, const msghdr& into) {
  io_uring_sqe& sqe = next_sqe();
  if (into.msg_iovlen == 1)
    io_uring_prep_recv(&sqe, socket.index, into.msg_iov->iov_base, into.msg_iov->iov_len,
                       MSG_WAITALL);
  else
    io_uring_prep_recvmsg(&sqe, socket.index, const_cast<msghdr*>(&into), MSG_WAITALL);
  aim(sqe, socket);
  start(completion, sqe);
}

void Ring::recv_pooled(Completion& completion, Socket socket, std::size_t at_most,
                       bool expect_empty) {
  io_uring_sqe& sqe = next_sqe();
  const std::size_t length = at_most == 0 ? pool_->buffer_size() : at_most;
  if (features_.buffer_ring) {
    io_uring_prep_recv(&sqe, socket.index, nullptr, std::min(length, pool_->buffer_size()), 0);
    if (expect_empty) sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe.flags |= IOSQE_BUFFER_SELECT;
    sqe.buf_group = ReceivePool::group;
  } else {
    io_uring_prep_poll_add(&sqe, socket.index, POLLIN);
  }
  aim(sqe, socket);
  start(completion, sqe);
  completion.pooled_ = true;
  completion.direct_ = socket.direct;
  completion.socket_ = socket.index;
  completion.at_most_ = static_cast<std::uint32_t>(at_most);
}

// The receive itself, where the kernel only said that the socket can be read.
void Ring::receive_now(Completion& completion, int polled) noexcept {
  if (polled < 0) return finish(completion, {.res = polled});
  const std::size_t most = completion.at_most_ == 0 ? pool_->buffer_size() : completion.at_most_;
  const auto into = pool_->scratch().first(std::min(most, pool_->buffer_size()));
  const ssize_t got = ::recv(completion.socket_, into.data(), into.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return starved_.push(completion);
  Result result{.res = got < 0 ? -errno : static_cast<int>(got)};
  if (got > 0) result.bytes = into.first(static_cast<std::size_t>(got));
  finish(completion, result);
}

void Ring::send(Completion& completion, Socket socket, std::span<const std::byte> from) {
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_send(&sqe, socket.index, from.data(), from.size(), MSG_NOSIGNAL | MSG_WAITALL);
  aim(sqe, socket);
  start(completion, sqe);
}

void Ring::send(Completion& completion, Socket socket, const msghdr& from) {
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_sendmsg(&sqe, socket.index, &from, MSG_NOSIGNAL | MSG_WAITALL);
  aim(sqe, socket);
  start(completion, sqe);
}

void Ring::await_hangup(Completion& completion, Socket socket) {
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_poll_add(&sqe, socket.index, POLLHUP);
  aim(sqe, socket);
  start(completion, sqe);
}

// A poll rather than a receive that waits: that would be tried again and again once the peer has
// hung up, and a socket with an error has departures no more.
void Ring::await_departure(Completion& completion, Socket socket) {
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_poll_add(&sqe, socket.index, POLLERR);
  aim(sqe, socket);
  start(completion, sqe);
}

void Ring::take_departure(Completion& completion, Socket socket, Departure& into) {
  into.clear();
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_recvmsg(&sqe, socket.index, &into.message, MSG_ERRQUEUE | MSG_DONTWAIT);
  aim(sqe, socket);
  start(completion, sqe);
}

void Ring::cancel(Completion& completion) noexcept {
  if (!completion.pending()) return;
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_cancel(&sqe, &completion, 0);
  forget(sqe);
}

// The kernel does this on a thread of its own, and looks a direct socket up only there (io_uring's
// FORCE_ASYNC requests): perhaps after close(), when the place would have its next socket.
void Ring::shutdown(Socket socket) noexcept {
  if (!socket.direct) {
    ::shutdown(socket.index, SHUT_RDWR);
    return;
  }
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_shutdown(&sqe, socket.index, SHUT_RDWR);
  aim(sqe, socket);
  const auto place = static_cast<std::size_t>(socket.index);
  io_uring_sqe_set_data64(&sqe, place << 1 | shutdown_mark);
  ++places_[place].shutdowns;
}

void Ring::on_shut_down(std::size_t place) noexcept {
  if (--places_[place].shutdowns == 0 && std::exchange(places_[place].closed, false))
    free_places_.push_back(static_cast<int>(place));
}

void Ring::set_option(Socket socket, int level, int name, const void* value,
                      unsigned size) noexcept {
  if (socket.direct)
    forget(set_option_sqe(socket, level, name, value, size));
  else
    setsockopt(socket.index, level, name, value, size);
}

io_uring_sqe& Ring::set_option_sqe(Socket socket, int level, int name, const void* value,
                                   unsigned size) noexcept {
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_rw(IORING_OP_URING_CMD, &sqe, socket.index, nullptr, 0, socket_op_setsockopt);
  // struct { __u32 level; __u32 optname; }, optval and optlen, in the places of older fields.
  sqe.addr =
      static_cast<std::uint64_t>(static_cast<unsigned>(name)) << 32 | static_cast<unsigned>(level);
  sqe.addr3 = reinterpret_cast<std::uint64_t>(value);
  sqe.file_index = size;
  aim(sqe, socket);
  return sqe;
}

void Ring::quick_ack(Socket socket) noexcept {
  static constexpr int on = 1;
  set_option(socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

// Of a direct descriptor the kernel tells only what the socket level knows (io_uring_cmd_sock), so
// it gets a number for as long as it takes to ask.
void Ring::look_at(Completion& completion, Socket socket, TcpHealth& into) {
  if (!socket.direct) {
    tcp_health(socket.index, into);  // A TCP socket has it.
    return defer(completion);
  }
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_rw(op_fixed_fd_install, &sqe, socket.index, nullptr, 0, 0);
  aim(sqe, socket);
  start(completion, sqe);
  completion.health_ = &into;
}

void Ring::look_now(Completion& completion, int installed) noexcept {
  TcpHealth& into = *std::exchange(completion.health_, nullptr);
  if (installed < 0) return finish(completion, {.res = installed});
  const UniqueFd fd(iouring::adopt, installed);
  finish(completion, {.res = -tcp_health(fd.fd(), into)});
}

void Ring::close(Socket socket, bool reset) noexcept {
  static constexpr linger at_once{.l_onoff = 1, .l_linger = 0};
  static constexpr linger orderly{};
  set_option(socket, SOL_SOCKET, SO_LINGER, reset ? &at_once : &orderly, sizeof(linger));
  // Whatever is queued for this place must not meet the next socket that gets it.
  io_uring_submit(&ring_);
  if (!socket.direct) {
    ::close(socket.index);
    return;
  }
  const int none = -1;
  io_uring_register_files_update(&ring_, static_cast<unsigned>(socket.index), &none, 1);
  Place& place = places_[static_cast<std::size_t>(socket.index)];
  place.closed = place.shutdowns != 0;
  if (!place.closed) free_places_.push_back(socket.index);
}

void Ring::duplicate(Completion& completion, Socket socket) {
  if (!socket.direct) {
    const int fd = fcntl(socket.index, F_DUPFD_CLOEXEC, 0);
    completion.deferred_ = fd < 0 ? -errno : fd;
    return defer(completion);
  }
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_rw(op_fixed_fd_install, &sqe, socket.index, nullptr, 0, 0);
  aim(sqe, socket);
  start(completion, sqe);
}

void Ring::defer(Completion& completion) {
  begin(completion);
  deferred_.push(completion);
}

void Ring::wake() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_fd_.fd(), &one, sizeof one);
}

void Ring::on_wake(Result) noexcept {
  if (closing_) return;
  io_uring_sqe& sqe = next_sqe();
  io_uring_prep_read(&sqe, wake_fd_.fd(), &wake_count_, sizeof wake_count_, 0);
  start(wake_, sqe);
}

void Ring::run_once() {
  run_deferred();
  submit_and_wait();
  now_ = std::chrono::steady_clock::now();

  // Copied out before any handler runs: handlers submit, and a submit that has to enter the kernel
  // must not find the completion queue half consumed.
  std::array<Ready, batch_max> ready;
  const unsigned count = take(ready);
  for (unsigned i = 0; i < count; ++i) finish_one(ready[i]);
  restart_starved();
  timers_.fire(now_);
}

void Ring::run_deferred() noexcept {
  while (Completion* completion = deferred_.pop())
    finish(*completion, {.res = std::exchange(completion->deferred_, 0)});
}

void Ring::submit_and_wait() {
  __kernel_timespec limit{.tv_sec = 3600, .tv_nsec = 0};
  if (const auto next = timers_.earliest()) {
    const auto left =
        std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::nanoseconds>(
                                      *next - std::chrono::steady_clock::now())
                                      .count());
    limit = {.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
  }
  io_uring_cqe* first = nullptr;
  const int rc = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &limit, nullptr);
  if (rc < 0 && rc != -ETIME && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY)
    fail(-rc, "io_uring_enter");
}

unsigned Ring::take(std::span<Ready> ready) noexcept {
  std::array<io_uring_cqe*, batch_max> cqes;
  const unsigned count =
      io_uring_peek_batch_cqe(&ring_, cqes.data(), static_cast<unsigned>(ready.size()));
  for (unsigned i = 0; i < count; ++i)
    ready[i] = {.completion = static_cast<Completion*>(io_uring_cqe_get_data(cqes[i])),
                .res = cqes[i]->res,
                .flags = cqes[i]->flags};
  io_uring_cq_advance(&ring_, count);
  return count;
}

void Ring::finish_one(const Ready& ready) noexcept {
  if (ready.completion == nullptr) return;  // Something that nobody waits for.
  const auto mark = reinterpret_cast<std::uintptr_t>(ready.completion);
  if ((mark & shutdown_mark) != 0) return on_shut_down(mark >> 1);
  Completion& completion = *ready.completion;
  Result result{.res = ready.res,
                .bytes = {},
                .more_waiting = (ready.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0};
  if (completion.health_ != nullptr) return look_now(completion, ready.res);
  if (!completion.pooled_) return finish(completion, result);
  if (!features_.buffer_ring) return receive_now(completion, ready.res);
  if (ready.res == -ENOBUFS) return starved_.push(completion);
  const bool lent = (ready.flags & IORING_CQE_F_BUFFER) != 0;
  const auto id = static_cast<std::uint16_t>(ready.flags >> IORING_CQE_BUFFER_SHIFT);
  if (lent && ready.res > 0) result.bytes = pool_->bytes(id, static_cast<std::size_t>(ready.res));
  finish(completion, result);
  if (lent) pool_->give_back(id);
}

// By now the buffers of this batch are back.
void Ring::restart_starved() noexcept {
  while (Completion* completion = starved_.pop()) {
    completion->pending_ = false;
    recv_pooled(*completion, {.index = completion->socket_, .direct = completion->direct_},
                completion->at_most_, false);
  }
}

}  // namespace iouring
