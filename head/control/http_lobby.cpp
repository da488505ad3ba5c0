#include "head/control/http_lobby.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <system_error>
#include <utility>

namespace head::control {

namespace {

using iouring::adopt;
using iouring::UniqueFd;
using namespace std::chrono_literals;

// How long those wait to look again who are not the one to make way.
constexpr auto turn = 5ms;

}  // namespace

HttpLobby::HttpLobby(UniqueFd listener, unsigned threads)
    : listener_(std::move(listener)),
      stop_(adopt, ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      free_(threads) {
  if (!stop_) throw std::system_error(errno, std::generic_category(), "cannot make an eventfd");
  // Of the threads that poll() wakes for a client, one gets it.
  if (::fcntl(listener_.fd(), F_SETFL, O_NONBLOCK) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot make a listener non-blocking");
}

UniqueFd HttpLobby::next_client() {
  for (;;) {
    std::array<pollfd, 2> fds = {pollfd{listener_.fd(), POLLIN, 0}, pollfd{stop_.fd(), POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return {};
    if (fds[1].revents != 0) return {};
    UniqueFd client(adopt, ::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client) {
      const std::lock_guard lock(lock_);
      --free_;
      return client;
    }
    // Another thread was quicker, or descriptors have run out: then wait for some to come back.
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) ::poll(&fds[1], 1, 100);
  }
}

void HttpLobby::leave() {
  const std::lock_guard lock(lock_);
  ++free_;
  if (leaving_ != 0) --leaving_;
}

bool HttpLobby::wait(int client, short events, Clock::time_point until, Clock::duration patience,
                     bool under_way) {
  const auto since = Clock::now() + patience;
  Woken woken = poll(client, events, std::min(since, until), false);
  if (woken == Woken::ended && under_way) return waits_for_rest(client, events, until);
  if (woken != Woken::time || since >= until) return woken == Woken::client;

  std::list<Clock::time_point> mine = {since};
  const auto me = mine.begin();
  {
    const std::lock_guard lock(lock_);
    kept_.splice(kept_.end(), mine);
  }
  do {
    woken = poll(client, events, until, true);
    if (woken != Woken::listener || makes_way(since)) break;
    woken = poll(client, events, std::min(until, Clock::now() + turn), false);
  } while (woken == Woken::time && Clock::now() < until);
  {
    const std::lock_guard lock(lock_);
    kept_.erase(me);
  }
  if (woken == Woken::ended && under_way) return waits_for_rest(client, events, until);
  return woken == Woken::client;
}

bool HttpLobby::waits_for_rest(int client, short events, Clock::time_point until) const {
  const auto most = std::min(until, ended_at_.load() + finish_within);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(most - Clock::now()).count();
  pollfd rest{client, events, 0};
  return left > 0 && ::poll(&rest, 1, static_cast<int>(left)) > 0;
}

bool HttpLobby::makes_way(Clock::time_point since) {
  const std::lock_guard lock(lock_);
  if (free_ + leaving_ != 0 || *std::min_element(kept_.begin(), kept_.end()) != since) return false;
  if (!somebody_waits()) return false;
  ++leaving_;
  return true;
}

HttpLobby::Woken HttpLobby::poll(int client, short events, Clock::time_point until,
                                 bool listener_too) const {
  std::array<pollfd, 3> fds = {pollfd{client, events, 0}, pollfd{stop_.fd(), POLLIN, 0},
                               pollfd{listener_.fd(), POLLIN, 0}};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    const int ready =
        ::poll(fds.data(), listener_too ? 3 : 2, static_cast<int>(std::max<long>(left, 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0 || fds[1].revents != 0) return Woken::ended;
    if (ready == 0) return Woken::time;
    return fds[0].revents != 0 ? Woken::client : Woken::listener;
  }
}

bool HttpLobby::somebody_waits() const {
  pollfd listener{listener_.fd(), POLLIN, 0};
  return ::poll(&listener, 1, 0) > 0;
}

void HttpLobby::end() noexcept {
  ended_at_ = Clock::now();
  ::eventfd_write(stop_.fd(), 1);
}

}  // namespace head::control
