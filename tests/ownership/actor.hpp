// A thread that runs production code and stops before every step that the model knows of, until a
// test lets it go on. The stops are calls of the system that the linker leads here (--wrap, in
// CMakeLists.txt): rename(2), poll(2), posix_spawn(3), kill(2), waitpid(2), and sendmsg(2) where it
// says "yours". It sleeps for less than it was told, too. On every other thread these do what they
// always do.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

namespace head::ownership {

class Actor {
 public:
  enum class Stop : std::uint8_t {
    none,    // It runs.
    put,     // Before the state directory is written.
    rename,  // Before discs.json.new takes the place of discs.json.
    spawn,   // Before a new headd is started.
    hear,    // Before it waits for a message of the other headd.
    say_yours,
    kill,      // Before the new headd is killed.
    buried,    // After that, or after the new headd was seen to have ended.
    open_api,  // These two are called by name, in heads.cpp.
    say_serving,
    finished
  };
  enum class Order : std::uint8_t { go, fail };

  explicit Actor(std::function<void()> body);
  ~Actor();  // Lets it fail at every stop that is left.
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  // Waits until it stops, ten seconds at most: `none` then.
  Stop where();
  Stop where_now();
  void go(Order order = Order::go);
  // From now on it fails at every stop.
  void abandon();
  bool is_abandoned();
  // It has sent SIGTERM to this process, which was kept from it.
  bool sent_sigterm() const noexcept { return sent_sigterm_; }

  // On a thread that is no actor's: go.
  static Order stop(Stop stop);
  static Actor* here() noexcept;
  void note_sigterm() noexcept { sent_sigterm_ = true; }

 private:
  Order wait_at(Stop stop);

  std::mutex lock_;
  std::condition_variable changed_;
  Stop at_ = Stop::none;
  Order order_ = Order::go;
  bool abandoned_ = false;
  std::atomic<bool> sent_sigterm_{false};
  std::thread thread_;
};

}  // namespace head::ownership
