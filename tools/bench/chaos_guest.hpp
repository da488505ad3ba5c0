// A guest of one disc: it writes, zeroes, trims, flushes and reads, some of it where others of its
// requests, or of the disc's other guests, are under way. What it asks and is answered it tells the
// disc's Audit. When its session ends it begins another, asks again for half of what was not
// answered and gives up the rest. Thread-safe where it says so.
#pragma once

#include "iouring/unique_fd.hpp"
#include "tools/bench/chaos_audit.hpp"
#include "tools/bench/nbd_bytes.hpp"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

namespace bench::chaos {

class Guest {
 public:
  struct Setting {
    std::uint32_t disc;
    std::filesystem::path socket;
    std::uint64_t sectors;
    std::uint64_t seed;
    unsigned rate;                 // Requests per second.
    std::uint64_t count_max = 16;  // Sectors of one; at least 1.
  };

  Guest(Setting setting, Audit& audit);

  // Until finish() has been said and all that was asked is answered and all sectors are read; or
  // until something is wrong, or `stop`. For a thread of its own.
  void run();

  // These from any thread.
  void finish() { finishing_ = true; }
  void stop() { stopped_ = true; }
  bool done() const { return done_; }
  void vanish() { vanishing_ = true; }  // Its session ends at once, whatever is under way.

 private:
  using Clock = std::chrono::steady_clock;
  enum class State : std::uint8_t { away, greeting, size, ready };
  struct Ask {
    bool taken = false;
    Wish wish;
    Audit::Asked asked;
    std::uint64_t cookie = 0;
  };

  void connect();
  void on_loss(bool allowed);
  void receive();
  std::size_t parse(std::span<const std::byte> bytes);
  std::size_t on_export(std::span<const std::byte> bytes);
  std::size_t on_reply(std::span<const std::byte> bytes);
  void ask_some();
  bool choose(Wish& wish);
  Wish any_wish();
  void take(Ask& ask, const Wish& wish);
  void send(const Ask& ask);
  void send();

  const Setting setting_;
  Audit& audit_;
  std::mt19937_64 random_;
  iouring::UniqueFd fd_;
  State state_ = State::away;
  std::uint64_t session_ = 0;
  nbd_bytes::Bytes in_, out_;
  std::vector<Ask> asks_;
  std::uint64_t cookies_ = 0, asked_ = 0, read_at_end_ = 0;
  const Clock::time_point begin_ = Clock::now();
  std::atomic<bool> finishing_ = false, stopped_ = false, done_ = false, vanishing_ = false;
};

}  // namespace bench::chaos
