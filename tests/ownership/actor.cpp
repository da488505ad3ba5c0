#include "tests/ownership/actor.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <poll.h>
#include <spawn.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace head::ownership {

namespace {

thread_local Actor* actor_here = nullptr;

}  // namespace

Actor::Actor(std::function<void()> body) {
  thread_ = std::thread([this, body = std::move(body)] {
    actor_here = this;
    body();
    const std::lock_guard lock(lock_);
    at_ = Stop::finished;
    changed_.notify_all();
  });
}

Actor::~Actor() {
  abandon();
  thread_.join();
}

Actor::Stop Actor::where() {
  std::unique_lock lock(lock_);
  changed_.wait_for(lock, std::chrono::seconds(10), [this] { return at_ != Stop::none; });
  return at_;
}

Actor::Stop Actor::where_now() {
  const std::lock_guard lock(lock_);
  return at_;
}

void Actor::go(Order order) {
  const std::lock_guard lock(lock_);
  if (at_ == Stop::finished) return;
  order_ = order;
  at_ = Stop::none;
  changed_.notify_all();
}

void Actor::abandon() {
  const std::lock_guard lock(lock_);
  abandoned_ = true;
  if (at_ != Stop::finished) at_ = Stop::none;
  changed_.notify_all();
}

bool Actor::is_abandoned() {
  const std::lock_guard lock(lock_);
  return abandoned_;
}

Actor::Order Actor::wait_at(Stop stop) {
  std::unique_lock lock(lock_);
  if (abandoned_) return Order::fail;
  at_ = stop;
  changed_.notify_all();
  changed_.wait(lock, [this] { return at_ == Stop::none; });
  return abandoned_ ? Order::fail : order_;
}

Actor::Order Actor::stop(Stop stop) {
  return actor_here != nullptr ? actor_here->wait_at(stop) : Order::go;
}

Actor* Actor::here() noexcept {
  return actor_here;
}

}  // namespace head::ownership

using head::ownership::Actor;

// The linker has `name` mean __wrap_name, and __real_name the library's.
extern "C" {

int __real_rename(const char* from, const char* to) noexcept;
int __real_poll(pollfd* fds, nfds_t count, int timeout_ms);
int __real_posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* files,
                       const posix_spawnattr_t* how, char* const* arguments,
                       char* const* variables);
ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
int __real_kill(pid_t pid, int signal) noexcept;
pid_t __real_waitpid(pid_t pid, int* status, int options);
int __real_nanosleep(const timespec* time, timespec* left);

int __wrap_rename(const char* from, const char* to) noexcept;
int __wrap_poll(pollfd* fds, nfds_t count, int timeout_ms);
int __wrap_posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* files,
                       const posix_spawnattr_t* how, char* const* arguments,
                       char* const* variables);
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags);
int __wrap_kill(pid_t pid, int signal) noexcept;
pid_t __wrap_waitpid(pid_t pid, int* status, int options);
int __wrap_nanosleep(const timespec* time, timespec* left);

int __wrap_rename(const char* from, const char* to) noexcept {
  if (Actor::stop(Actor::Stop::rename) == Actor::Order::go) return __real_rename(from, to);
  errno = EIO;
  return -1;
}

// Told to fail, it has waited in vain at once.
int __wrap_poll(pollfd* fds, nfds_t count, int timeout_ms) {
  if (Actor::stop(Actor::Stop::hear) == Actor::Order::fail) return 0;
  return __real_poll(fds, count, timeout_ms);
}

int __wrap_posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* files,
                       const posix_spawnattr_t* how, char* const* arguments,
                       char* const* variables) {
  if (Actor::stop(Actor::Stop::spawn) == Actor::Order::fail) return EAGAIN;
  return __real_posix_spawn(pid, path, files, how, arguments, variables);
}

// Told to fail, it finds nobody at the other end.
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  const std::string_view said(static_cast<const char*>(message->msg_iov->iov_base),
                              message->msg_iov->iov_len);
  if (said != "yours " || Actor::stop(Actor::Stop::say_yours) == Actor::Order::go)
    return __real_sendmsg(fd, message, flags);
  errno = EPIPE;
  return -1;
}

int __wrap_kill(pid_t pid, int signal) noexcept {
  if (Actor::here() != nullptr && pid == ::getpid()) {
    Actor::here()->note_sigterm();
    return 0;
  }
  Actor::stop(Actor::Stop::kill);
  return __real_kill(pid, signal);
}

pid_t __wrap_waitpid(pid_t pid, int* status, int options) {
  if ((options & WNOHANG) == 0) Actor::stop(Actor::Stop::buried);
  const pid_t ended = __real_waitpid(pid, status, options);
  if ((options & WNOHANG) != 0 && ended == pid) Actor::stop(Actor::Stop::buried);
  return ended;
}

// Nobody but NextHeadd sleeps on an actor's thread, until a process that is about to end has ended.
int __wrap_nanosleep(const timespec* time, timespec* left) {
  constexpr timespec shorter{.tv_sec = 0, .tv_nsec = 500'000};
  return __real_nanosleep(Actor::here() != nullptr ? &shorter : time, left);
}
}
