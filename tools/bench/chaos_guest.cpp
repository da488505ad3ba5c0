#include "tools/bench/chaos_guest.hpp"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>

namespace bench::chaos {
namespace {

using namespace nbd_bytes;
using namespace std::chrono_literals;

constexpr std::size_t depth = 16;
constexpr std::uint64_t count_max = 16, hot = 64, chunk = 128;  // Sectors.

}  // namespace

Guest::Guest(Setting setting)
    : setting_(std::move(setting)),
      random_(setting_.seed),
      asks_(depth),
      busy_(setting_.sectors),
      history_(setting_.disc, setting_.sectors, setting_.promise) {}

void Guest::run() {
  while (!stopped_ && !done_ && flaw().empty()) {
    if (state_ == State::away) connect();
    if (state_ == State::ready) ask_some();
    send();
    pollfd poll{fd_.fd(), static_cast<short>(POLLIN | (out_.empty() ? 0 : POLLOUT)), 0};
    ::poll(&poll, 1, 2);
    if (state_ != State::away) receive();
  }
}

void Guest::tail_crashes() {
  const std::lock_guard lock(mutex_);
  history_.tail_crashes();
}

void Guest::head_crashes() {
  const std::lock_guard lock(mutex_);
  history_.head_crashes();
}

void Guest::doubt_head(bool yes) {
  const std::lock_guard lock(mutex_);
  history_.doubt_head(yes);
}

void Guest::may_lose_session() {
  const std::lock_guard lock(mutex_);
  losses_allowed_ = account_.sessions_lost + 1;
}

Guest::Account Guest::account() const {
  const std::lock_guard lock(mutex_);
  return account_;
}

std::string Guest::flaw() const {
  const std::lock_guard lock(mutex_);
  return flaw_;
}

void Guest::connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  setting_.socket.string().copy(address.sun_path, sizeof address.sun_path - 1);
  fd_ = {iouring::adopt, ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (::connect(fd_.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fd_ = {};
    std::this_thread::sleep_for(5ms);
    return;
  }
  state_ = State::greeting;
}

void Guest::on_loss() {
  fd_ = {};
  in_.clear();
  out_.clear();
  const bool served = std::exchange(state_, State::away) == State::ready;
  if (!served) return;  // It was not taken in.
  const std::lock_guard lock(mutex_);
  if (++account_.sessions_lost > losses_allowed_)
    flaw_ = "disc " + std::to_string(setting_.disc) + ": headd ended the session of its guest";
  for (Ask& ask : asks_) {
    if (!ask.taken || ask.type != cmd_write || random_() % 2 == 0) continue;
    history_.abandon(ask.sequence);
    ++account_.given_up;
    ask.taken = false;
    mark(ask, false);
  }
}

void Guest::receive() {
  std::byte buffer[65536];
  for (;;) {
    const ssize_t size = ::recv(fd_.fd(), buffer, sizeof buffer, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (size <= 0) return on_loss();
    in_.insert(in_.end(), buffer, buffer + size);
  }
  std::size_t used = 0;
  while (const std::size_t more = parse(std::span(in_).subspan(used))) used += more;
  in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(used));
}

std::size_t Guest::parse(std::span<const std::byte> bytes) {
  switch (state_) {
    case State::away:
      return 0;
    case State::greeting:
      if (bytes.size() < greeting_size) return 0;
      put<std::uint32_t>(out_, 3);  // Fixed newstyle, no zeroes.
      put<std::uint64_t>(out_, option_magic);
      put<std::uint32_t>(out_, 1);  // NBD_OPT_EXPORT_NAME, the default export
      put<std::uint32_t>(out_, 0);
      state_ = State::size;
      return greeting_size;
    case State::size:
      if (bytes.size() < export_size) return 0;
      if (get<std::uint64_t>(bytes, 0) != setting_.sectors * sector_bytes)
        fail("has another size than its tail says");
      state_ = State::ready;
      for (const Ask& ask : asks_)
        if (ask.taken) send(ask);
      return export_size;
    case State::ready:
      return on_reply(bytes);
  }
  return 0;
}

std::size_t Guest::on_reply(std::span<const std::byte> bytes) {
  if (bytes.size() < reply_size) return 0;
  const auto error = get<std::uint32_t>(bytes, 4);
  const auto cookie = get<std::uint64_t>(bytes, 8);
  const auto found = std::find_if(asks_.begin(), asks_.end(), [&](const Ask& ask) {
    return ask.taken && ask.cookie == cookie;
  });
  if (get<std::uint32_t>(bytes, 0) != reply_magic || found == asks_.end()) {
    fail("has an answer to nothing that was asked");
    return 0;
  }
  if (error != 0) {
    fail("has answered with error " + std::to_string(error));
    return 0;
  }
  const std::size_t data = found->type == cmd_read ? found->count * sector_bytes : 0;
  if (bytes.size() < reply_size + data) return 0;
  found->taken = false;
  mark(*found, false);
  on_answer(*found, bytes.subspan(reply_size, data));
  return reply_size + data;
}

void Guest::on_answer(const Ask& ask, std::span<const std::byte> data) {
  const std::lock_guard lock(mutex_);
  const std::chrono::duration<double> took = Clock::now() - ask.at;
  account_.longest_s = std::max(account_.longest_s, took.count());
  if (ask.type == cmd_write) {
    ++account_.writes;
    history_.answer_write(ask.sequence);
  } else if (ask.type == cmd_flush) {
    ++account_.flushes;
    history_.answer_flush(ask.sequence);
  } else {
    ++account_.reads;
    const Verdict verdict = history_.check(ask.first, data);
    if (verdict.flaw != Flaw::none) flaw_ = verdict.said;
  }
}

void Guest::ask_some() {
  const std::chrono::duration<double> since = Clock::now() - begin_;
  const auto due = static_cast<std::uint64_t>(since.count() * setting_.rate);
  if (!finishing_ && asked_ + depth < due) asked_ = due - depth;  // What was missed is not made up.
  std::size_t taken = 0;
  for (Ask& ask : asks_) {
    if (!ask.taken && (finishing_ || asked_ < due) && choose(ask)) {
      ++asked_;
      take(ask);
    }
    taken += ask.taken ? 1 : 0;
  }
  if (finishing_ && taken == 0 && read_at_end_ >= setting_.sectors) done_ = true;
}

// What next; false when that has to wait. At the end it is all of the disc, once.
bool Guest::choose(Ask& ask) {
  ask = {};
  if (finishing_) {
    if (read_at_end_ >= setting_.sectors) return false;
    ask.type = cmd_read;
    ask.first = read_at_end_;
    ask.count = std::min(chunk, setting_.sectors - read_at_end_);
  } else {
    const auto what = random_() % 100;
    ask.type = what < 3 ? cmd_flush : what < 55 ? cmd_write : cmd_read;
    ask.fua = ask.type == cmd_write && random_() % 10 == 0;
    ask.count = ask.type == cmd_flush ? 0 : 1 + random_() % count_max;
    // Most of it near to each other, so that much is overwritten soon.
    const auto within = random_() % 2 == 0 ? hot : setting_.sectors;
    if (ask.count > 0) ask.first = std::min(random_() % within, setting_.sectors - count_max);
  }
  for (std::uint64_t i = ask.first; i < ask.first + ask.count; ++i)
    if (busy_[i]) return false;
  if (finishing_) read_at_end_ += ask.count;
  return true;
}

void Guest::take(Ask& ask) {
  ask.taken = true;
  ask.cookie = ++cookies_;
  ask.at = Clock::now();
  mark(ask, true);
  {
    const std::lock_guard lock(mutex_);
    if (ask.type == cmd_write) ask.sequence = history_.ask_write(ask.first, ask.count, ask.fua);
    if (ask.type == cmd_flush) ask.sequence = history_.ask_flush();
  }
  send(ask);
}

void Guest::mark(const Ask& ask, bool busy) {
  for (std::uint64_t i = ask.first; i < ask.first + ask.count; ++i) busy_[i] = busy;
}

void Guest::send(const Ask& ask) {
  put<std::uint32_t>(out_, request_magic);
  put<std::uint16_t>(out_, ask.fua ? flag_fua : 0);
  put<std::uint16_t>(out_, ask.type);
  put<std::uint64_t>(out_, ask.cookie);
  put<std::uint64_t>(out_, ask.first * sector_bytes);
  put<std::uint32_t>(out_, static_cast<std::uint32_t>(ask.count * sector_bytes));
  if (ask.type != cmd_write) return;
  for (std::uint64_t i = ask.first; i < ask.first + ask.count; ++i) {
    out_.resize(out_.size() + sector_bytes);
    stamp(std::span(out_).last<sector_bytes>(), {ask.sequence, setting_.disc, i});
  }
}

void Guest::send() {
  while (!out_.empty()) {
    const ssize_t size = ::send(fd_.fd(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (size <= 0) return;  // That the session has ended is seen when reading.
    out_.erase(out_.begin(), out_.begin() + size);
  }
}

void Guest::fail(const std::string& why) {
  const std::lock_guard lock(mutex_);
  flaw_ = "disc " + std::to_string(setting_.disc) + " " + why;
}

// How far it is, for one who waits for it.
std::string Guest::standing() const {
  const std::lock_guard lock(mutex_);
  return "disc " + std::to_string(setting_.disc) + " has answered " +
         std::to_string(account_.reads + account_.writes + account_.flushes) + " requests";
}

}  // namespace bench::chaos
