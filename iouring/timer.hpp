// Deadlines on a loop. A timer is embedded in its owner; all timers of a loop share one kernel
// timeout. Arming, disarming and firing cost O(log n) in the number of armed timers and allocate
// only when a loop has never had so many.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

namespace iouring {

using Instant = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

class Timer {
 public:
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const noexcept { return place_ != idle; }
  Instant deadline() const noexcept { return deadline_; }

 protected:
  using Handler = void (*)(Timer&) noexcept;

  explicit Timer(Handler handler) noexcept : handler_(handler) {}
  ~Timer();  // Asserts that it is not armed.

 private:
  friend class Timers;
  static constexpr std::size_t idle = static_cast<std::size_t>(-1);

  Handler handler_;
  Instant deadline_{};
  std::size_t place_ = idle;  // Where in the heap.
};

// A timer that calls a member function of its owner: Alarm<&Disc::on_retry> retry_{*this};
template <auto Method>
class Alarm;

template <class Owner, void (Owner::*Method)() noexcept>
class Alarm<Method> final : public Timer {
 public:
  explicit Alarm(Owner& owner) noexcept : Timer(&Alarm::dispatch), owner_(owner) {}

 private:
  static void dispatch(Timer& self) noexcept { (static_cast<Alarm&>(self).owner_.*Method)(); }

  Owner& owner_;
};

// The timers of one loop: a binary heap, earliest first.
class Timers {
 public:
  void arm(Timer& timer, Instant deadline);  // Moves it when it is armed already.
  void disarm(Timer& timer) noexcept;        // Nothing to do when it is not armed.

  std::optional<Instant> earliest() const noexcept;

  // Runs the handlers of every timer due at `now`, at most those armed when the call began.
  // A handler may arm and disarm any timer, its own included.
  void fire(Instant now) noexcept;

 private:
  void place(std::size_t at, Timer& timer) noexcept;
  void sift_up(std::size_t at) noexcept;
  void sift_down(std::size_t at) noexcept;

  std::vector<Timer*> heap_;
};

}  // namespace iouring
