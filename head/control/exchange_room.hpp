// Memory for what clients of the API send, or are sent: so much for all of them together. Whoever
// wants some while others have it waits, and is refused when that takes too long: a client that is
// slow to take its answer cannot have many more made meanwhile.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

namespace head::control {

class ExchangeRoom {
 public:
  using Share = std::shared_ptr<void>;  // Given back with its last copy.

  explicit ExchangeRoom(std::size_t bytes) noexcept : bytes_(bytes) {}
  ExchangeRoom(const ExchangeRoom&) = delete;
  ExchangeRoom& operator=(const ExchangeRoom&) = delete;

  // Null where there is no room for so long. What is larger than all of it has it alone. It
  // outlives its shares.
  Share take(std::size_t bytes, std::chrono::milliseconds patience) {
    const std::size_t share = bytes < bytes_ ? bytes : bytes_;
    {
      std::unique_lock lock(lock_);
      if (!given_back_.wait_for(lock, patience, [&] { return share <= bytes_ - taken_; }))
        return nullptr;
      taken_ += share;
    }
    return Share(static_cast<void*>(this), [this, share](void*) {
      {
        const std::lock_guard lock(lock_);
        taken_ -= share;
      }
      given_back_.notify_all();
    });
  }

 private:
  const std::size_t bytes_;
  std::mutex lock_;
  std::condition_variable given_back_;
  std::size_t taken_ = 0;
};

}  // namespace head::control
