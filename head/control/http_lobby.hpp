// Who is served by the HTTP server's threads, of which each serves one client at a time. A client
// that keeps its thread waiting goes as soon as another one is waiting and no thread is free; of
// several that do, the one that has done so the longest. So silent clients lock nobody out.
// Internal to the HTTP server.
#pragma once

#include "iouring/unique_fd.hpp"

#include <atomic>
#include <chrono>
#include <list>
#include <mutex>

namespace head::control {

class HttpLobby {
 public:
  using Clock = std::chrono::steady_clock;

  // `listener` is non-blocking. Throws std::system_error.
  HttpLobby(iouring::UniqueFd listener, unsigned threads);

  // For a thread that is free: its next client, or nothing when the server is to end.
  iouring::UniqueFd next_client();
  // The client of this thread is gone: the thread is free again.
  void leave();

  // For a thread that serves: waits for its client, for poll(2)'s `events`. False when `until` has
  // come, when the server is to end, or when this client makes way for another one, which it does
  // not before it has been waited for `patience` long. `under_way`: what it is waited for has
  // begun, and goes on for `finish_within` when the server is to end.
  static constexpr std::chrono::milliseconds finish_within{500};
  bool wait(int client, short events, Clock::time_point until, Clock::duration patience,
            bool under_way);

  // Somebody is not served yet: there may be no thread but those that clients keep.
  bool somebody_waits() const;
  // Ends every wait, for ever.
  void end() noexcept;
  bool is_ending() const noexcept { return ended_at_.load() != Clock::time_point(); }

 private:
  enum class Woken { client, ended, listener, time };

  Woken poll(int client, short events, Clock::time_point until, bool listener_too) const;
  bool waits_for_rest(int client, short events, Clock::time_point until) const;
  bool makes_way(Clock::time_point since);

  const iouring::UniqueFd listener_;
  const iouring::UniqueFd stop_;  // An eventfd: readable for ever once it is time to end.
  std::atomic<Clock::time_point> ended_at_{};

  std::mutex lock_;
  unsigned free_;                      // Threads that wait for a client.
  unsigned leaving_ = 0;               // Threads whose client makes way just now.
  std::list<Clock::time_point> kept_;  // Since when, of each thread that waits past its patience.
};

}  // namespace head::control
