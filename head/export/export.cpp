#include "head/export/export.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <utility>

namespace head::exports {

namespace {

// Out of descriptors or memory: somebody else must give some back first.
constexpr std::chrono::milliseconds accept_pause{100};

}  // namespace

Export::Export(iouring::Io& io, std::string name, nbd::Volume& volume, stats::DiscStats& stats,
               iouring::Duration stall_threshold, PayloadPool& pool, iouring::UniqueFd listener,
               Owner& owner)
    : io_(io),
      name_(std::move(name)),
      stats_(stats),
      stall_threshold_(stall_threshold),
      volume_(volume),
      memory_(pool),
      owner_(owner),
      listener_(io.adopt(std::move(listener))) {
  volume_.watch(this);
  io_.accept(accept_, listener_);
}

Export::~Export() {
  assert(closing_ && sessions_.empty() && !listener_);
  volume_.watch(nullptr);
}

void Export::on_info() noexcept {
  for (std::size_t i = 0; i < sessions_.size(); ++i) sessions_[i]->on_info();
}

void Export::on_accept(iouring::Result result) noexcept {
  iouring::UniqueFd guest(iouring::adopt, std::max(result.res, -1));
  if (closing_) return tidy_later();
  if (result.res == -EMFILE || result.res == -ENFILE || result.res == -ENOMEM ||
      result.res == -ENOBUFS)
    return io_.arm(accept_again_, io_.now() + accept_pause);

  if (guest && sessions_.size() < sessions_max) take_in(std::move(guest));
  io_.accept(accept_, listener_);
}

void Export::on_accept_again() noexcept {
  if (!closing_) io_.accept(accept_, listener_);
}

void Export::take_in(iouring::UniqueFd guest) {
  const Service service{.io = io_,
                        .name = name_,
                        .volume = volume_,
                        .stats = stats_,
                        .stall_threshold = stall_threshold_,
                        .memory = memory_};
  Session::Owner& owner = *this;
  sessions_.push_back(std::make_unique<Session>(service, owner, io_.adopt(std::move(guest))));
  count_guests();
  sessions_.back()->start();
}

void Export::on_session_over(Session&) noexcept {
  tidy_later();
}

void Export::tidy_later() noexcept {
  if (!tidy_.pending()) io_.defer(tidy_);
}

void Export::on_tidy(iouring::Result) noexcept {
  std::erase_if(sessions_, [](const auto& session) { return session->over(); });
  count_guests();
  if (!closing_ || !sessions_.empty() || accept_.pending()) return;
  io_.close(std::exchange(listener_, {}), false);
  owner_.on_export_closed(*this);
}

void Export::count_guests() noexcept {
  stats_.guests.store(static_cast<std::uint32_t>(sessions_.size()), std::memory_order_relaxed);
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
