#include "head/disc/patience.hpp"

#include "head/disc/disc.hpp"

#include <algorithm>

namespace head::disc {

void Patience::watch(Disc& disc) {
  watched_.push_back({.disc = &disc, .next_look = {}, .interval = limit});
  if (!tick_.armed()) tick_again();
}

void Patience::forget(Disc& disc) noexcept {
  std::erase_if(watched_, [&](const Watched& watched) { return watched.disc == &disc; });
}

void Patience::tick_again() noexcept {
  const auto deadline = io_.now() + limit;
  io_.arm(tick_, deadline);
  hold_ups_.expect(deadline);
}

void Patience::on_tick() noexcept {
  hold_ups_.called(io_.now());
  for (std::size_t i = 0; i < watched_.size();) {
    if (visit(watched_[i])) {
      ++i;
      continue;
    }
    watched_[i].disc->no_longer_watched();
    watched_[i] = watched_.back();
    watched_.pop_back();
  }
  if (!watched_.empty()) tick_again();
}

// False when the disc has nothing outstanding any more.
bool Patience::visit(Watched& watched) noexcept {
  Disc& disc = *watched.disc;
  if (disc.outstanding() == 0) {
    disc.tell_waiting({});
    return false;
  }
  disc.look_at_network();
  disc.follow_way();
  disc.mind_grace();
  disc.mind_silence();
  const auto now = io_.now();
  if (now - disc.last_progress() < limit) {
    watched.interval = limit;
    watched.next_look = {};
    disc.tell_waiting({});
    return true;
  }
  if (now < watched.next_look) return true;
  watched.next_look = now + watched.interval;
  watched.interval = std::min<iouring::Duration>(watched.interval * 2, interval_max);
  disc.tell_waiting(disc.last_progress());
  owner_.on_waiting(disc);
  return true;
}

}  // namespace head::disc
