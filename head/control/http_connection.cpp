#include "head/control/http_connection.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>

namespace head::control {

namespace {

using namespace std::chrono_literals;

constexpr auto idle_max = 5s;      // A thread is kept that long for nothing.
constexpr auto request_max = 30s;  // From a request's first byte to its last.
constexpr auto write_max = 30s;    // Without any progress;
constexpr auto answer_max = 120s;  // for all of an answer that is not taken at once.
constexpr auto drain_max = 5s;
constexpr auto stall_max = 1s;  // In the middle of something, while others wait.

}  // namespace

bool HttpConnection::wait_for_request() {
  if (begin_ == end_ && !fill(Clock::now() + idle_max, 0s)) return false;
  under_way_ = true;
  deadline_ = Clock::now() + request_max;
  answer_until_.reset();
  allowance_ = headers_max;
  keep_ = false;
  return true;
}

void HttpConnection::drain() {
  if (given_up_) return;
  ::shutdown(socket_.fd(), SHUT_WR);
  const auto until = Clock::now() + drain_max;
  do begin_ = end_ = 0;
  while (Clock::now() < until && fill(until, stall_max));
}

bool HttpConnection::is_readable() const {
  return begin_ != end_ || lobby_.wait(socket_.fd(), POLLIN, Clock::now(), 0s, false);
}

ssize_t HttpConnection::read(char* into, std::size_t size) {
  if (allowance_ == 0) return -1;
  if (begin_ == end_ && !fill(deadline_, stall_max)) return -1;
  const std::size_t taken = std::min({size, end_ - begin_, allowance_});
  std::memcpy(into, buffer_.data() + begin_, taken);
  begin_ += taken;
  allowance_ -= taken;
  return static_cast<ssize_t>(taken);
}

ssize_t HttpConnection::write(const char* from, std::size_t size) {
  for (;;) {
    const ssize_t sent = ::send(socket_.fd(), from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    if (errno == EINTR) continue;
    const auto now = Clock::now();
    if (!answer_until_) answer_until_ = now + answer_max;
    if (errno != EAGAIN || !wait(POLLOUT, std::min(now + write_max, *answer_until_), stall_max))
      return -1;
  }
}

bool HttpConnection::fill(Clock::time_point until, Clock::duration patience) {
  for (;;) {
    const ssize_t got = ::recv(socket_.fd(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got > 0) {
      begin_ = 0;
      end_ = static_cast<std::size_t>(got);
      return true;
    }
    if (got == 0) return false;
    if (errno == EINTR) continue;
    if (errno != EAGAIN || !wait(POLLIN, until, patience)) return false;
  }
}

bool HttpConnection::wait(short events, Clock::time_point until, Clock::duration patience) {
  if (!given_up_) given_up_ = !lobby_.wait(socket_.fd(), events, until, patience, under_way_);
  return !given_up_;
}

}  // namespace head::control
