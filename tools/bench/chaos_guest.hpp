// A guest of one disc that knows what it may read: it writes stamped sectors, flushes, reads, and
// has every answer checked by the disc's History. When its session ends it begins another, asks
// again for half of what was not answered and gives up the rest. Thread-safe where it says so.
#pragma once

#include "iouring/unique_fd.hpp"
#include "tools/bench/chaos_model.hpp"
#include "tools/bench/nbd_bytes.hpp"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <mutex>
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
    Promise promise;
    std::uint64_t seed;
    unsigned rate;  // Requests per second.
  };
  struct Account {
    std::uint64_t writes = 0, reads = 0, flushes = 0, sessions_lost = 0, given_up = 0;
    double longest_s = 0;  // An answer took.
  };

  explicit Guest(Setting setting);

  // Until finish() has been said and all that was asked is answered and all sectors are read; or
  // until something is wrong, or `stop`. For a thread of its own.
  void run();

  // These from any thread.
  void finish() { finishing_ = true; }
  void stop() { stopped_ = true; }
  bool done() const { return done_; }
  void tail_crashes();
  void head_crashes();
  void doubt_head(bool yes);
  void may_lose_session();  // One, from now on.
  Account account() const;
  std::string flaw() const;  // One sentence; none so far: empty.
  std::string standing() const;

 private:
  using Clock = std::chrono::steady_clock;
  enum class State : std::uint8_t { away, greeting, size, ready };
  struct Ask {
    bool taken = false;
    std::uint16_t type = 0;
    bool fua = false;
    std::uint64_t first = 0, count = 0;
    Sequence sequence = 0;  // Or the FLUSH.
    std::uint64_t cookie = 0;
    Clock::time_point at{};
  };

  void connect();
  void on_loss();
  void receive();
  std::size_t parse(std::span<const std::byte> bytes);
  std::size_t on_reply(std::span<const std::byte> bytes);
  void on_answer(const Ask& ask, std::span<const std::byte> data);
  void ask_some();
  bool choose(Ask& ask);
  void take(Ask& ask);
  void mark(const Ask& ask, bool busy);
  void send(const Ask& ask);
  void send();
  void fail(const std::string& why);

  const Setting setting_;
  std::mt19937_64 random_;
  iouring::UniqueFd fd_;
  State state_ = State::away;
  nbd_bytes::Bytes in_, out_;
  std::vector<Ask> asks_;
  std::vector<bool> busy_;  // Sectors.
  std::uint64_t cookies_ = 0, asked_ = 0, read_at_end_ = 0;
  Clock::time_point begin_ = Clock::now();

  std::atomic<bool> finishing_ = false, stopped_ = false, done_ = false;
  mutable std::mutex mutex_;  // For what is below.
  History history_;
  std::uint64_t losses_allowed_ = 0;
  Account account_;
  std::string flaw_;
};

}  // namespace bench::chaos
