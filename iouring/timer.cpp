#include "iouring/timer.hpp"

#include <cassert>

namespace iouring {

Timer::~Timer() {
  assert(!armed());
}

void Timers::arm(Timer& timer, Instant deadline) {
  if (!timer.armed()) {
    heap_.push_back(&timer);
    timer.place_ = heap_.size() - 1;
    timer.deadline_ = deadline;
    return sift_up(timer.place_);
  }
  const bool sooner = deadline < timer.deadline_;
  timer.deadline_ = deadline;
  return sooner ? sift_up(timer.place_) : sift_down(timer.place_);
}

void Timers::disarm(Timer& timer) noexcept {
  if (!timer.armed()) return;
  const std::size_t hole = timer.place_;
  timer.place_ = Timer::idle;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == &timer) return;
  place(hole, *last);
  sift_up(hole);
  sift_down(last->place_);
}

std::optional<Instant> Timers::earliest() const noexcept {
  if (heap_.empty()) return std::nullopt;
  return heap_.front()->deadline_;
}

void Timers::fire(Instant now) noexcept {
  for (std::size_t left = heap_.size(); left > 0 && !heap_.empty(); --left) {
    Timer& due = *heap_.front();
    if (due.deadline_ > now) return;
    disarm(due);
    due.handler_(due);
  }
}

void Timers::place(std::size_t at, Timer& timer) noexcept {
  heap_[at] = &timer;
  timer.place_ = at;
}

void Timers::sift_up(std::size_t at) noexcept {
  Timer& rising = *heap_[at];
  while (at > 0) {
    const std::size_t parent = (at - 1) / 2;
    if (heap_[parent]->deadline_ <= rising.deadline_) break;
    place(at, *heap_[parent]);
    at = parent;
  }
  place(at, rising);
}

void Timers::sift_down(std::size_t at) noexcept {
  Timer& sinking = *heap_[at];
  for (;;) {
    std::size_t child = 2 * at + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->deadline_ < heap_[child]->deadline_) ++child;
    if (sinking.deadline_ <= heap_[child]->deadline_) break;
    place(at, *heap_[child]);
    at = child;
  }
  place(at, sinking);
}

}  // namespace iouring
