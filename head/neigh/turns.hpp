// Whose turn is next, of many whose turn is at some time: the soonest first. A turn that is given
// up stays until it comes up, or until most are such, so that giving one up costs nothing; whoever
// asks says which are still valid. Empty, it takes no memory. Pure.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

namespace head::neigh {

template <class Key>
class Turns {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  using Turn = std::pair<Instant, Key>;

  // `valid(turn)` is false for those that were given up, or taken already.
  template <class Valid>
  void put(Instant at, const Key& key, const Valid& valid) {
    if (turns_.size() >= 2 * live_ + slack) drop_stale(valid);
    turns_.emplace_back(at, key);
    std::push_heap(turns_.begin(), turns_.end(), std::greater<>());
    ++live_;
  }
  // One that was put is valid no longer.
  void gave_up() noexcept { --live_; }

  // The soonest valid one, or nullptr.
  template <class Valid>
  const Turn* first(const Valid& valid) {
    while (!turns_.empty() && !valid(turns_.front())) drop_first();
    return turns_.empty() ? nullptr : &turns_.front();
  }
  // The first one is taken.
  void pop() {
    drop_first();
    --live_;
  }

  // Given up ones too.
  std::size_t size() const noexcept { return turns_.size(); }

 private:
  static constexpr std::size_t slack = 64;

  void drop_first() {
    std::pop_heap(turns_.begin(), turns_.end(), std::greater<>());
    turns_.pop_back();
    if (turns_.empty()) std::vector<Turn>().swap(turns_);  // To assign {} would keep the memory.
  }
  template <class Valid>
  void drop_stale(const Valid& valid) {
    std::erase_if(turns_, [&](const Turn& turn) { return !valid(turn); });
    std::make_heap(turns_.begin(), turns_.end(), std::greater<>());
  }

  std::vector<Turn> turns_;
  std::size_t live_ = 0;
};

}  // namespace head::neigh
