// Rung at every change of anything that somebody may wait for. Ringing is quick and waits for
// nobody: data threads do it. Those who wait look again for themselves.
#pragma once

#include "head/stats/disc_stats.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace head::control {

class Bell final : public stats::DiscStats::Watcher {
 public:
  void ring() noexcept {
    {
      const std::lock_guard lock(lock_);
      ++rung_;
    }
    changed_.notify_all();
  }

  void on_state(stats::DiscState) noexcept override { ring(); }

  // To be asked before looking; what is rung after that ends the wait.
  std::uint64_t rung() const noexcept {
    const std::lock_guard lock(lock_);
    return rung_;
  }

  // False when `until` came first.
  bool wait(std::uint64_t seen, std::chrono::steady_clock::time_point until) const {
    std::unique_lock lock(lock_);
    return changed_.wait_until(lock, until, [&] { return rung_ != seen; });
  }

 private:
  mutable std::mutex lock_;
  mutable std::condition_variable changed_;
  std::uint64_t rung_ = 0;
};

}  // namespace head::control
