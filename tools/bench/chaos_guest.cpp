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
constexpr std::uint64_t hot = 64, chunk = 128;  // Sectors.

}  // namespace

Guest::Guest(Setting setting, Audit& audit)
    : setting_(std::move(setting)), audit_(audit), random_(setting_.seed), asks_(depth) {}

void Guest::run() {
  while (!stopped_ && !done_ && audit_.flaw().empty()) {
    if (vanishing_.exchange(false) && state_ == State::ready) on_loss(true);
    if (state_ == State::away) connect();
    if (state_ == State::ready) ask_some();
    send();
    pollfd poll{fd_.fd(), static_cast<short>(POLLIN | (out_.empty() ? 0 : POLLOUT)), 0};
    ::poll(&poll, 1, 2);
    if (state_ != State::away) receive();
  }
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

void Guest::on_loss(bool allowed) {
  fd_ = {};
  in_.clear();
  out_.clear();
  const bool served = std::exchange(state_, State::away) == State::ready;
  if (!served) return;  // It was not taken in.
  audit_.leave(session_, allowed);
  for (Ask& ask : asks_) {
    if (!ask.taken || !ask.wish.is_change() || random_() % 2 == 0) continue;
    audit_.give_up(ask.asked.number);
    ask.taken = false;
  }
}

void Guest::receive() {
  std::byte buffer[65536];
  for (;;) {
    const ssize_t size = ::recv(fd_.fd(), buffer, sizeof buffer, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (size <= 0) return on_loss(false);
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
      return on_export(bytes);
    case State::ready:
      return on_reply(bytes);
  }
  return 0;
}

std::size_t Guest::on_export(std::span<const std::byte> bytes) {
  if (bytes.size() < export_size) return 0;
  if (get<std::uint64_t>(bytes, 0) != setting_.sectors * check::sector_bytes)
    audit_.fail("has another size than its tail says");
  state_ = State::ready;
  session_ = audit_.join();
  for (const Ask& ask : asks_) {
    if (!ask.taken) continue;
    audit_.move(ask.asked.number, session_);
    send(ask);
  }
  return export_size;
}

std::size_t Guest::on_reply(std::span<const std::byte> bytes) {
  if (bytes.size() < reply_size) return 0;
  const auto error = get<std::uint32_t>(bytes, 4);
  const auto cookie = get<std::uint64_t>(bytes, 8);
  const auto found = std::find_if(asks_.begin(), asks_.end(), [&](const Ask& ask) {
    return ask.taken && ask.cookie == cookie;
  });
  if (get<std::uint32_t>(bytes, 0) != reply_magic || found == asks_.end()) {
    audit_.fail("has an answer to nothing that was asked");
    return 0;
  }
  const bool has_data = found->wish.command == cmd_read && error == 0;
  const std::size_t data = has_data ? found->wish.count * check::sector_bytes : 0;
  if (bytes.size() < reply_size + data) return 0;
  found->taken = false;
  audit_.answer(found->asked.number, error, bytes.subspan(reply_size, data));
  return reply_size + data;
}

void Guest::ask_some() {
  const std::chrono::duration<double> since = Clock::now() - begin_;
  const auto due = static_cast<std::uint64_t>(since.count() * setting_.rate);
  if (!finishing_ && asked_ + depth < due) asked_ = due - depth;  // What was missed is not made up.
  bool waits = false;
  for (Ask& ask : asks_) {
    Wish wish;
    if (!ask.taken && (finishing_ || asked_ < due) && choose(wish)) {
      ++asked_;
      take(ask, wish);
    }
    waits |= ask.taken && !audit_.is_poisoned(ask.wish);
  }
  if (finishing_ && !waits && read_at_end_ >= setting_.sectors) done_ = true;
}

// What next; false when there is nothing more. At the end it is all of the disc, once.
bool Guest::choose(Wish& wish) {
  if (!finishing_) {
    wish = any_wish();
    return true;
  }
  if (read_at_end_ >= setting_.sectors) return false;
  wish = {.command = cmd_read,
          .first = read_at_end_,
          .count = std::min(chunk, setting_.sectors - read_at_end_)};
  read_at_end_ += wish.count;
  return true;
}

Wish Guest::any_wish() {
  const auto what = random_() % 100;
  Wish wish{.command = what < 3    ? cmd_flush
                       : what < 43 ? cmd_write
                       : what < 50 ? cmd_zero
                       : what < 54 ? cmd_trim
                                   : cmd_read};
  if (wish.command == cmd_flush) return wish;
  wish.fua = wish.is_change() && random_() % 10 == 0;
  // A fourth of it exactly where something else is under way, most of the rest near to each other,
  // so that much is overwritten soon.
  const Ask& other = asks_[random_() % depth];
  if (random_() % 4 == 0 && other.taken && other.wish.command != cmd_flush) {
    wish.first = other.wish.first;
    wish.count = other.wish.count;
    return wish;
  }
  wish.count = 1 + random_() % setting_.count_max;
  const auto within = random_() % 2 == 0 ? hot : setting_.sectors;
  wish.first = std::min(random_() % within, setting_.sectors - setting_.count_max);
  return wish;
}

void Guest::take(Ask& ask, const Wish& wish) {
  ask = {.taken = true, .wish = wish, .asked = audit_.ask(session_, wish), .cookie = ++cookies_};
  send(ask);
}

void Guest::send(const Ask& ask) {
  const Wish& wish = ask.wish;
  put<std::uint32_t>(out_, request_magic);
  put<std::uint16_t>(out_, wish.fua ? flag_fua : 0);
  put<std::uint16_t>(out_, wish.command);
  put<std::uint64_t>(out_, ask.cookie);
  put<std::uint64_t>(out_, wish.first * check::sector_bytes);
  put<std::uint32_t>(out_, static_cast<std::uint32_t>(wish.count * check::sector_bytes));
  if (wish.command != cmd_write) return;
  const std::size_t bytes = wish.count * check::sector_bytes;
  out_.resize(out_.size() + bytes);
  check::fill(std::span(out_).last(bytes), ask.asked.change, setting_.disc, wish.first);
}

void Guest::send() {
  while (!out_.empty()) {
    const ssize_t size = ::send(fd_.fd(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (size <= 0) return;  // That the session has ended is seen when reading.
    out_.erase(out_.begin(), out_.begin() + size);
  }
}

}  // namespace bench::chaos
