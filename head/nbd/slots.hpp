// Requests that await a reply on one connection, found by cookie without a map.
//
// A cookie is a slot's index and generation, so a reply that is late, repeated or invented by the
// server names a generation that has passed, and is recognised as such. Generations go on when the
// connection is opened again: a reply of an old connection answers nothing on a new one. They go on
// as well where another headd takes the connection up.
#pragma once

#include "head/nbd/request.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>

namespace head::nbd {

// One request on its way.
struct Slot {
  Request* request = nullptr;
  std::uint32_t generation = 0;
  std::uint32_t next_free = 0;
  std::uint32_t brought = 0;  // READ: bytes of content that came;
  std::uint32_t covered = 0;  // those of them from the start on, without a gap.
  int untracked = 0;      // too_scattered or crowded_out, and `covered` does not count any more.
  int error = 0;          // The first error that a chunk brought.
  bool sent = false;      // All of it has left; its memory is not being read any more.
  bool answered = false;  // The reply is whole, and waits for `sent`.
  bool orphan = false;    // Whoever asked has taken it back; only its reply is waited for.
};

class Slots {
 public:
  static constexpr std::uint32_t capacity = 128;
  static constexpr std::uint32_t places = capacity + 1;  // One is for a question to the connection.

  Slots() noexcept {
    for (std::uint32_t i = 0; i < places; ++i) slots_[i].next_free = i + 1;
  }

  bool full() const noexcept { return size_ >= capacity; }
  std::uint32_t size() const noexcept { return size_; }

  std::uint64_t insert(Request& request) noexcept {
    assert(size_ < places);
    const std::uint32_t index = first_free_;
    Slot& slot = slots_[index];
    first_free_ = slot.next_free;
    const std::uint32_t generation = slot.generation + 1;
    slot = {};
    slot.request = &request;
    slot.generation = generation;
    ++size_;
    return cookie_of(slot);
  }

  // Null when no request has that cookie.
  Slot* find(std::uint64_t cookie) noexcept {
    const auto index = static_cast<std::uint32_t>(cookie);
    if (index >= places) return nullptr;
    Slot& slot = slots_[index];
    return slot.request != nullptr && slot.generation == cookie >> 32 ? &slot : nullptr;
  }

  Request& remove(Slot& slot) noexcept {
    Request& request = *slot.request;
    slot.request = nullptr;
    slot.next_free = first_free_;
    first_free_ = index_of(slot);
    --size_;
    return request;
  }

  // The newest there has been.
  std::uint32_t generation() const noexcept {
    std::uint32_t newest = 0;
    for (const Slot& slot : slots_) newest = std::max(newest, slot.generation);
    return newest;
  }
  // Those up to it were used by another.
  void begin_after(std::uint32_t generation) noexcept {
    for (Slot& slot : slots_) slot.generation = std::max(slot.generation, generation);
  }

  std::uint32_t index_of(const Slot& slot) const noexcept {
    return static_cast<std::uint32_t>(&slot - slots_.data());
  }
  std::uint64_t cookie_of(const Slot& slot) const noexcept {
    return std::uint64_t{slot.generation} << 32 | index_of(slot);
  }

  // The slot of a request that is on this connection.
  Slot& at(std::uint32_t index) noexcept {
    assert(index < places && slots_[index].request != nullptr);
    return slots_[index];
  }

  // Those that have no answer yet.
  template <class Function>
  void for_each_owed(Function function) const {
    for (const Slot& slot : slots_)
      if (slot.request != nullptr && !slot.answered) function(slot);
  }

  // Calls it with each that is in use.
  template <class Function>
  void for_each(Function function) noexcept {
    for (Slot& slot : slots_)
      if (slot.request != nullptr) function(slot);
  }

  // Removes all of them, orphans apart oldest first into `queue`.
  void drain_into(RequestQueue& queue) noexcept {
    std::array<Request*, places> requests;
    std::size_t count = 0;
    for_each([&](Slot& slot) {
      const bool orphan = slot.orphan;
      Request& request = remove(slot);
      if (!orphan) requests[count++] = &request;
    });
    std::sort(requests.begin(), requests.begin() + static_cast<std::ptrdiff_t>(count),
              [](const Request* a, const Request* b) { return a->arrived < b->arrived; });
    for (std::size_t i = 0; i < count; ++i) queue.push(*requests[i]);
  }

 private:
  std::array<Slot, places> slots_{};
  std::uint32_t first_free_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace head::nbd
