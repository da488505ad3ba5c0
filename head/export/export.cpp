#include "head/export/export.hpp"

#include "head/base/log.hpp"
#include "iouring/socket.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace head::exports {

namespace {

// Mostly out of descriptors or memory: somebody else must give some back first.
constexpr std::chrono::milliseconds accept_pause{100};

// A guest's answers of 1 MiB leave in fewer pieces: 8 % more throughput than with 208 KiB.
constexpr int send_buffer = 256 << 10;

const char* advice_on(int error) noexcept {
  const bool used_up = error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
  return used_up ? "; raise LimitNOFILE, or end what uses up descriptors or memory" : "";
}

}  // namespace

Export::Export(iouring::Io& io, std::string name, nbd::Volume& volume, stats::DiscStats& stats,
               stats::Stalls& stalls, PayloadPool& pool, Owner& owner)
    : io_(io),
      name_(std::move(name)),
      stats_(stats),
      stalls_(stalls),
      volume_(volume),
      memory_(pool, &stats),
      owner_(owner) {
  volume_.watch(this);
}

Export::Export(iouring::Io& io, std::string name, nbd::Volume& volume, stats::DiscStats& stats,
               stats::Stalls& stalls, PayloadPool& pool, iouring::UniqueFd listener, Owner& owner)
    : Export(io, std::move(name), volume, stats, stalls, pool, owner) {
  listen(io_.adopt(std::move(listener)));
}

Export::~Export() {
  assert(closing_ && sessions_.empty() && !listener_);
  io_.disarm(nudge_);
  volume_.watch(nullptr);
}

void Export::listen(iouring::Socket listener) {
  listener_ = listener;
  io_.accept(accept_, listener_);
}

void Export::on_info() noexcept {
  tell_outdated();
  for (std::size_t i = 0; i < sessions_.size(); ++i) sessions_[i]->on_info();
}

// What each guest believes, the smallest first.
std::vector<std::uint64_t> Export::sizes_told() const {
  std::vector<std::uint64_t> sizes;
  for (const auto& session : sessions_)
    if (session->live() && session->size_told() != 0) sizes.push_back(session->size_told());
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

// Guests that were told a smaller disc than there is: the protocol has no way to tell them.
void Export::tell_outdated() const noexcept {
  if (volume_.info() == nullptr) return;
  const std::uint64_t size = volume_.info()->size;
  auto sizes = sizes_told();
  std::erase_if(sizes, [&](std::uint64_t told) { return told >= size; });
  if (sizes.empty()) return;
  const std::size_t guests = sizes.size();
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  static log::RateLimit limit;
  if (const auto pass = limit.pass(io_.now()))
    log::warning(
        "disc {}: it has {} bytes, but {} connected {} told {} when connecting and cannot use more "
        "before connecting again ({} more like it)",
        name_, size, guests, guests == 1 ? "guest was" : "guests were", fmt::join(sizes, " or "),
        pass->held);
}

void Export::on_accept(iouring::Result result) noexcept {
  iouring::UniqueFd guest(iouring::adopt, std::max(result.res, -1));
  if (closing_) return tidy_later();
  if (handing_ != Handing::no) {  // One may have come just before: it goes along with the others.
    if (guest && may_take_in()) take_in(adopt(std::move(guest)), nullptr);
    return on_nudge();
  }
  // A guest that gave up before it was let in is no trouble of ours.
  if (!guest && result.res != -ECONNABORTED && result.res != -EINTR)
    return pause(-result.res, "waits to be let in");
  if (guest && may_take_in()) {
    // In a direct place it gives its number back at once, which may be one of those that are kept.
    const bool reserved = iouring::is_reserved(guest.fd());
    const iouring::Socket socket = adopt(std::move(guest));
    if (reserved && !socket.direct) {
      io_.close(socket, false);
      return pause(EMFILE, "was turned away");
    }
    take_in(socket, nullptr);
  }
  io_.accept(accept_, listener_);
}

void Export::pause(int error, const char* what) noexcept {
  static log::RateLimit limit;
  if (const auto pass = limit.pass(io_.now()))
    log::warning("disc {}: a guest {}: {}{} ({} more like it)", name_, what, std::strerror(error),
                 advice_on(error), pass->held);
  io_.arm(accept_again_, io_.now() + accept_pause);
}

void Export::on_accept_again() noexcept {
  if (!closing_ && handing_ == Handing::no) io_.accept(accept_, listener_);
}

bool Export::may_take_in() noexcept {
  const std::size_t live = guests();
  const std::size_t lingering = sessions_.size() - live;
  const bool full = memory_.full();
  if (live < guests_max && lingering < lingering_max && !full) return true;
  static log::RateLimit limit;
  if (const auto pass = limit.pass(io_.now())) {
    if (full)
      log::warning(
          "disc {}: a guest was turned away: as many as data.guests_max allows on one data thread "
          "are there; raise it ({} more like it)",
          name_, pass->held);
    else if (live == guests_max)
      log::warning(
          "disc {}: a guest was turned away: {} are connected, the most that a disc serves; "
          "disconnect one ({} more like it)",
          name_, live, pass->held);
    else
      log::warning(
          "disc {}: a guest was turned away: requests of {} that are gone still wait for "
          "the tail; bring it back ({} more like it)",
          name_, lingering, pass->held);
  }
  return false;
}

iouring::Socket Export::adopt(iouring::UniqueFd guest) {
  iouring::widen_send_buffer(guest.fd(), send_buffer);
  return io_.adopt(std::move(guest));
}

void Export::take_in(iouring::Socket guest, std::unique_ptr<HandedSession> handed) {
  const Service service{.io = io_,
                        .name = name_,
                        .volume = volume_,
                        .stats = stats_,
                        .stalls = stalls_,
                        .memory = memory_};
  Session::Owner& owner = *this;
  sessions_.push_back(std::make_unique<Session>(service, owner, guest));
  handed ? sessions_.back()->go_on(std::move(*handed)) : sessions_.back()->start();
  count_guests();
}

void Export::tidy_later() noexcept {
  if (!tidy_.pending()) io_.defer(tidy_);
}

void Export::on_tidy(iouring::Result) noexcept {
  if (handing_ == Handing::sockets || handing_ == Handing::done) return;
  const bool had_some = !sessions_.empty();
  // One dies when the others are in their places: who waits for memory may be served then, leave
  // at once, and be counted.
  for (std::size_t i = 0; i < sessions_.size();) {
    if (!sessions_[i]->over()) {
      ++i;
      continue;
    }
    const std::unique_ptr<Session> dead = std::move(sessions_[i]);
    sessions_.erase(sessions_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  if (handing_ != Handing::no) return on_halting();
  if (!closing_ && had_some && sessions_.empty()) owner_.on_export_empty(*this);
  if (!closing_ || !sessions_.empty() || accept_.pending()) return;
  if (listener_) io_.close(std::exchange(listener_, {}), false);
  owner_.on_export_closed(*this);
}

std::size_t Export::guests() const noexcept {
  return static_cast<std::size_t>(std::count_if(
      sessions_.begin(), sessions_.end(), [](const auto& session) { return session->live(); }));
}

void Export::count_guests() noexcept {
  stats_.guests.store(static_cast<std::uint32_t>(guests()), std::memory_order_relaxed);
  stats_.set_guest_sizes(sizes_told());
  if (!closing_ && handing_ == Handing::no) owner_.on_export_attended(*this, guests() != 0);
}

void Export::close() noexcept {
  assert(!closing_);
  closing_ = true;
  io_.disarm(accept_again_);
  if (accept_.pending()) io_.cancel(accept_);
  for (std::size_t i = 0; i < sessions_.size(); ++i) sessions_[i]->end();
  tidy_later();
}

}  // namespace head::exports
