// head-bench load: steady random requests to all the discs of a headd, and how long they took.
#include "head/stats/histogram.hpp"
#include "tools/bench/bench.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/load_client.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace bench {
namespace {

using namespace std::chrono_literals;

// What is printed: of requests that were answered, and of those that still wait at the end, with
// the age they have reached.
struct Outcome {
  head::stats::Histogram latencies;
  std::uint64_t asked = 0, answered = 0, errors = 0, refused = 0, stalls = 0, waiting = 0;
  std::size_t discs = 0, opened = 0, reconnects = 0;
  struct Slow {
    Instant asked, answered;
  };
  std::vector<Slow> slow;  // Over the stall threshold; those that still wait "answered" at the end.
};

constexpr std::size_t slow_max = 200'000;
volatile std::sig_atomic_t ended = 0;  // SIGTERM: the account is closed early.

class Load {
 public:
  explicit Load(const LoadOptions& options)
      : options_(options),
        stall_(std::chrono::duration_cast<Duration>(
            std::chrono::duration<double, std::milli>(options.stall_ms))),
        epoll_(iouring::adopt, ::epoll_create1(EPOLL_CLOEXEC)),
        ticks_(iouring::adopt, ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
    for (const auto& entry : std::filesystem::directory_iterator(options.discs))
      if (std::filesystem::exists(entry.path() / "nbd.sock"))
        clients_.push_back(std::make_unique<LoadClient>(entry.path() / "nbd.sock"));
    if (clients_.empty())
      throw std::runtime_error("no disc has a socket in " + options.discs.string() +
                               ": name the folder RUN/discs of a headd that has discs");
    outcome_.discs = clients_.size();
  }

  // First all discs are opened, as far as they can be within `opening_max`; the requests that are
  // timed go to all of them, open or not.
  const Outcome& run() {
    watch(ticks_.fd(), tick, EPOLLIN);
    start_ticking(opening_rate);
    const Instant opening_end = std::chrono::steady_clock::now() + opening_max;
    while (!all_ready() && std::chrono::steady_clock::now() < opening_end)
      handle_events([this] { open_some(); });

    start_ticking(options_.rate);
    const Instant begin = std::chrono::steady_clock::now();
    const Instant end = begin + std::chrono::duration_cast<Duration>(
                                    std::chrono::duration<double>(options_.seconds));
    while (!ended && std::chrono::steady_clock::now() < end)
      handle_events([this, begin] { on_tick(begin); });
    close_account();
    return outcome_;
  }

 private:
  static constexpr std::uint64_t tick = ~std::uint64_t{0};
  static constexpr unsigned opening_rate = 200;
  static constexpr std::chrono::seconds opening_max{5};

  void handle_events(const std::function<void()>& on_timer) {
    std::array<epoll_event, 256> events{};
    const int count = ::epoll_wait(epoll_.fd(), events.data(), int{events.size()}, 100);
    for (int i = 0; i < count; ++i) {
      const auto which = events[static_cast<std::size_t>(i)].data.u64;
      if (which != tick) {
        if (clients_[which]->connected()) on_client(which);
        continue;
      }
      std::uint64_t ignored = 0;
      if (::read(ticks_.fd(), &ignored, sizeof ignored) > 0) on_timer();
    }
  }

  bool all_ready() const {
    return std::all_of(clients_.begin(), clients_.end(),
                       [](const auto& client) { return client->ready(); });
  }

  void watch(int fd, std::uint64_t which, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = which;
    if (::epoll_ctl(epoll_.fd(), EPOLL_CTL_ADD, fd, &event) != 0)
      throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }

  void start_ticking(unsigned rate) {
    const auto ns = 1'000'000'000 / rate;
    itimerspec every{};
    every.it_interval = {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
    every.it_value = every.it_interval;
    ::timerfd_settime(ticks_.fd(), 0, &every, nullptr);
  }

  void open_some() {
    std::vector<std::size_t> again = std::exchange(cut_, {});
    for (const std::size_t which : again) reopen(which);
    for (unsigned i = 0; i < 32 && opening_ < clients_.size(); ++i, ++opening_) {
      if (!clients_[opening_]->connect()) break;
      watch(clients_[opening_]->fd(), opening_, EPOLLIN | EPOLLOUT | EPOLLET);
    }
  }

  // Asks for what is due.
  void on_tick(Instant begin) {
    open_some();
    const Instant now = std::chrono::steady_clock::now();
    const double elapsed = std::chrono::duration<double>(now - begin).count();
    const auto due = static_cast<std::uint64_t>(elapsed * options_.rate);
    for (; outcome_.asked < due; ++outcome_.asked) {
      const std::size_t which = random_() % clients_.size();
      LoadClient& client = *clients_[which];
      const Ask ask{
          .at = now, .random = random_(), .write = random_() % 100 < options_.write_percent};
      try_to([&] { outcome_.refused += client.ask(ask) ? 0 : 1; }, which);
    }
  }

  // What a session that ends does to it.
  template <class Action>
  void try_to(const Action& action, std::size_t which) {
    try {
      action();
    } catch (const std::runtime_error&) {
      if (!options_.reconnect) throw;
      clients_[which]->disconnect();
      cut_.push_back(which);
    }
  }

  void on_client(std::size_t which) {
    answers_.clear();
    try_to([&] { clients_[which]->on_event(answers_); }, which);
    const Instant now = std::chrono::steady_clock::now();
    for (const LoadClient::Answer& answer : answers_) {
      ++outcome_.answered;
      if (answer.error != 0) ++outcome_.errors;
      record(answer.latency, now);
    }
  }

  // A guest whose server went away asks the next one for what it had not been answered.
  void reopen(std::size_t which) {
    bool connected = false;
    try {
      connected = clients_[which]->connect();
    } catch (const std::runtime_error&) {
    }
    if (!connected) return cut_.push_back(which);
    ++outcome_.reconnects;
    watch(clients_[which]->fd(), which, EPOLLIN | EPOLLOUT | EPOLLET);
  }

  void record(Duration latency, Instant now) {
    outcome_.latencies.record(latency);
    if (latency <= stall_) return;
    ++outcome_.stalls;
    if (outcome_.slow.size() < slow_max) outcome_.slow.push_back({now - latency, now});
  }

  void close_account() {
    const Instant now = std::chrono::steady_clock::now();
    for (const auto& client : clients_) {
      if (client->ready()) ++outcome_.opened;
      for (const Duration age : client->unanswered(now)) {
        ++outcome_.waiting;
        record(age, now);
      }
    }
  }

  const LoadOptions& options_;
  const Duration stall_;
  iouring::UniqueFd epoll_;
  iouring::UniqueFd ticks_;
  std::vector<std::unique_ptr<LoadClient>> clients_;
  std::size_t opening_ = 0;
  std::vector<std::size_t> cut_;  // To be opened again.
  std::mt19937_64 random_{1};
  std::vector<LoadClient::Answer> answers_;
  Outcome outcome_;
};

// How many took at most that long, for a distribution that people can read.
std::uint64_t count_up_to(const head::stats::HistogramSnapshot& latencies, double milliseconds) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < latencies.buckets.size(); ++i)
    if (static_cast<double>(head::stats::buckets::lower_ns(i + 1)) <= milliseconds * 1e6 * 1.02)
      count += latencies.buckets[i];
  return count;
}

void print(const Outcome& outcome, const LoadOptions& options, bool as_json) {
  const auto latencies = outcome.latencies.snapshot();
  const auto ms = [&](double q) { return static_cast<double>(latencies.quantile_ns(q)) / 1e6; };
  nlohmann::ordered_json json{{"discs", outcome.discs},
                              {"discs_opened", outcome.opened},
                              {"seconds", options.seconds},
                              {"requests", outcome.asked},
                              {"answered", outcome.answered},
                              {"still_waiting", outcome.waiting},
                              {"not_taken", outcome.refused},
                              {"errors", outcome.errors},
                              {"reconnects", outcome.reconnects},
                              {"stalls", outcome.stalls},
                              {"stall_ms", options.stall_ms},
                              {"p50_ms", ms(0.5)},
                              {"p99_ms", ms(0.99)},
                              {"p999_ms", ms(0.999)},
                              {"max_ms", static_cast<double>(latencies.max_ns) / 1e6}};
  for (const double limit : {0.1, 0.2, 0.5, 1., 2., 5., 10., 20., 50., 100., 1000., 10000.})
    json["up_to_ms"].push_back({limit, count_up_to(latencies, limit)});
  if (as_json) {
    const auto seconds = [](Instant at) {
      return std::chrono::duration<double>(at.time_since_epoch()).count();
    };
    // By CLOCK_MONOTONIC.
    json["slow"] = nlohmann::json::array();
    for (const Outcome::Slow& one : outcome.slow)
      json["slow"].push_back({seconds(one.asked), seconds(one.answered)});
    fmt::print("{}\n", json.dump());
    return;
  }
  for (const auto& [key, value] : json.items())
    if (key != "up_to_ms") fmt::print("{:14} {}\n", key, value.dump());
}

}  // namespace

void load(const Common& common, const LoadOptions& options) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  std::signal(SIGTERM, [](int) { ended = 1; });
  Load requests(options);
  print(requests.run(), options, common.json);
}

}  // namespace bench
