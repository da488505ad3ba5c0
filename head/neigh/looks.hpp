// A bounded queue from the data threads to the keeper: many may push, one pops. Pushing takes no
// lock and allocates nothing; when the queue is full it says so. (Vyukov's bounded queue.)
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace head::neigh {

template <class T, std::size_t Capacity>
class Looks {
  static_assert((Capacity & (Capacity - 1)) == 0);

 public:
  Looks() noexcept {
    for (std::size_t i = 0; i < Capacity; ++i) slots_[i].turn.store(i, std::memory_order_relaxed);
  }

  bool push(const std::shared_ptr<T>& value) noexcept {
    std::size_t place = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Slot& slot = slots_[place % Capacity];
      const std::size_t turn = slot.turn.load(std::memory_order_acquire);
      if (turn < place) return false;  // Full: what was pushed a round ago is still there.
      if (turn == place &&
          tail_.compare_exchange_weak(place, place + 1, std::memory_order_relaxed)) {
        slot.value = value;
        slot.turn.store(place + 1, std::memory_order_release);
        return true;
      }
      if (turn > place) place = tail_.load(std::memory_order_relaxed);
    }
  }

  // nullptr when there is nothing.
  std::shared_ptr<T> pop() noexcept {
    Slot& slot = slots_[head_ % Capacity];
    if (slot.turn.load(std::memory_order_acquire) != head_ + 1) return nullptr;
    std::shared_ptr<T> value = std::move(slot.value);
    slot.value = nullptr;
    slot.turn.store(head_ + Capacity, std::memory_order_release);
    ++head_;
    return value;
  }

 private:
  struct Slot {
    std::atomic<std::size_t> turn;  // place: free for that push; place + 1: filled by it.
    std::shared_ptr<T> value;
  };

  std::array<Slot, Capacity> slots_;
  alignas(64) std::atomic<std::size_t> tail_{0};
  alignas(64) std::size_t head_ = 0;
};

}  // namespace head::neigh
