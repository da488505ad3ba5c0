// The time of a simulated world and everything that is yet to happen in it, in one order: by time,
// and at one time in the order in which it was arranged. The same arrangements give the same order.
#pragma once

#include "iouring/timer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace world {

using iouring::Duration;
using iouring::Instant;

class Clock {
 public:
  Instant now() const noexcept { return now_; }

  // Calls `what` then; it must be small and copied like bytes (a lambda over pointers and numbers).
  // What it points at must live for as long as the clock runs.
  template <class What>
  void at(Instant when, What what) {
    static_assert(std::is_trivially_copyable_v<What> && sizeof(What) <= room);
    Event event{.when = std::max(when, now_), .order = arranged_++, .run = &run<What>, .what = {}};
    new (event.what.data()) What(what);
    events_.push_back(event);
    std::push_heap(events_.begin(), events_.end(), later);
  }
  template <class What>
  void after(Duration wait, What what) {
    at(now_ + wait, what);
  }

  // Lets the next thing happen. False: nothing is to happen any more.
  bool step() {
    if (events_.empty()) return false;
    std::pop_heap(events_.begin(), events_.end(), later);
    Event event = events_.back();
    events_.pop_back();
    now_ = event.when;
    ++happened_;
    event.run(event.what.data());
    return true;
  }
  // How many things have happened: the boundaries between them are where faults can be placed.
  std::uint64_t happened() const noexcept { return happened_; }

 private:
  static constexpr std::size_t room = 48;
  struct Event {
    Instant when;
    std::uint64_t order;
    void (*run)(void*);
    alignas(std::max_align_t) std::array<std::byte, room> what;
  };

  template <class What>
  static void run(void* what) {
    (*static_cast<What*>(what))();
  }
  static bool later(const Event& one, const Event& other) noexcept {
    return one.when != other.when ? one.when > other.when : one.order > other.order;
  }

  Instant now_{std::chrono::hours(1)};
  std::uint64_t arranged_ = 0;
  std::uint64_t happened_ = 0;
  std::vector<Event> events_;
};

}  // namespace world
