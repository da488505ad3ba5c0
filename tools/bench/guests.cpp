// head-bench guests: guests of a disc that somebody else serves and disturbs, a test say. What they
// are answered is held to what tests/check/ says.
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/chaos_audit.hpp"
#include "tools/bench/chaos_guest.hpp"
#include "tools/bench/command_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <thread>

namespace bench {
namespace {

using namespace std::chrono_literals;
using namespace chaos;
using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t ends = 0, log_is_lost = 0;

class Crowd {
 public:
  explicit Crowd(const GuestsOptions& options)
      : sectors_(options.bytes / check::sector_bytes),
        audit_(0, sectors_, promise_of(options.durability)) {
    for (unsigned i = 0; i < options.guests; ++i)
      guests_.push_back(std::make_unique<Guest>(
          Guest::Setting{.disc = 0,
                         .socket = options.socket,
                         .sectors = sectors_,
                         .seed = options.seed * 1000ull + i,
                         .rate = options.rate,
                         .count_max = options.largest_bytes / check::sector_bytes},
          audit_));
    for (const auto& guest : guests_) threads_.emplace_back([&guest = *guest] { guest.run(); });
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;
  ~Crowd() {
    for (const auto& guest : guests_) guest->stop();
  }

  // One sentence where the history does not check out; else empty.
  std::string play(Clock::duration length) {
    for (const auto end = Clock::now() + length; Clock::now() < end && ends == 0;) {
      if (log_is_lost != 0) {
        log_is_lost = 0;
        audit_.may_lose_session();
        audit_.log_is_lost();
      }
      if (std::string flaw = audit_.flaw(); !flaw.empty()) return flaw;
      std::this_thread::sleep_for(5ms);
    }
    for (const auto& guest : guests_) guest->finish();
    for (const auto until = Clock::now() + answer_limit + 10s;; std::this_thread::sleep_for(5ms)) {
      if (std::string flaw = audit_.flaw(); !flaw.empty()) return flaw;
      if (std::all_of(guests_.begin(), guests_.end(),
                      [](const auto& guest) { return guest->done(); }))
        return {};
      if (Clock::now() > until)
        return fmt::format("{} requests are not answered at the end", audit_.waiting());
    }
  }

  std::string account() const { return to_string(audit_.account()); }

 private:
  const std::uint64_t sectors_;
  Audit audit_;
  std::vector<std::unique_ptr<Guest>> guests_;
  std::vector<std::jthread> threads_;
};

}  // namespace

void guests(const Common&, const GuestsOptions& options) {
  if (options.bytes % check::sector_bytes != 0)
    throw UsageError(
        fmt::format("--bytes {} is no multiple of {}", options.bytes, check::sector_bytes));
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::signal(SIGTERM, [](int) { ends = 1; });
  std::signal(SIGINT, [](int) { ends = 1; });
  std::signal(SIGUSR1, [](int) { log_is_lost = 1; });
  Crowd crowd(options);
  const std::string flaw = crowd.play(
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds)));
  fmt::print("{}\n", crowd.account());
  if (!flaw.empty()) throw std::runtime_error("the history does not check out: " + flaw);
  fmt::print("the history checks out\n");
}

}  // namespace bench
