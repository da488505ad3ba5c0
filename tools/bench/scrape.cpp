// head-bench scrape: what a scrape of the metrics costs with many discs attached, and whether it
// delays the requests of a guest.
#include "iouring/unique_fd.hpp"
#include "tools/bench/bench.hpp"
#include "tools/bench/benchmarks.hpp"
#include "tools/bench/crowd.hpp"
#include "tools/bench/fio.hpp"
#include "tools/bench/headd.hpp"
#include "tools/bench/process.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <thread>

namespace bench {
namespace {

using namespace std::chrono_literals;
using Interval = std::chrono::milliseconds;

// One scrape, to its last byte. Returns its size.
std::size_t scrape_once(const std::filesystem::path& api) {
  const iouring::UniqueFd fd(iouring::adopt, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  const std::string path = api.string();
  if (path.size() >= sizeof to.sun_path) throw std::runtime_error(path + " is too long");
  std::memcpy(to.sun_path, path.c_str(), path.size() + 1);
  constexpr std::string_view request =
      "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (::connect(fd.fd(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 ||
      ::send(fd.fd(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
    throw std::system_error(errno, std::generic_category(), "scraping " + path);
  std::array<char, 65536> part{};
  std::size_t size = 0;
  for (ssize_t got = 1; got != 0; size += static_cast<std::size_t>(got)) {
    got = ::recv(fd.fd(), part.data(), part.size(), 0);
    if (got < 0) throw std::system_error(errno, std::generic_category(), "scraping " + path);
    if (size == 0 && std::string_view(part.data(), static_cast<std::size_t>(got)).find(" 200 ") ==
                         std::string_view::npos)
      throw std::runtime_error("headd did not answer a scrape of its metrics well");
  }
  return size;
}

// Scrapes while it lives: at once, and then so often.
class Scraper {
 public:
  Scraper(std::filesystem::path api, Interval interval)
      : thread_([this, api = std::move(api), interval](const std::stop_token& stop) {
          std::unique_lock lock(lock_);
          auto next = std::chrono::steady_clock::now();
          while (!stop.stop_requested()) {
            scrape_once(api);
            ++scrapes_;
            next = std::max(next + interval, std::chrono::steady_clock::now());
            never_.wait_until(lock, stop, next, [] { return false; });
          }
        }) {}

  // Ends it.
  unsigned scrapes() {
    thread_.request_stop();
    thread_.join();
    return scrapes_;
  }

 private:
  std::mutex lock_;
  std::condition_variable_any never_;
  unsigned scrapes_ = 0;
  std::jthread thread_;
};

struct Subject {
  const char* name;
  std::optional<Interval> interval;
  std::vector<FioResult> rounds{};
  unsigned scrapes = 0;
};

// Of a daemon that does nothing else. The clock that counts it ticks a hundred times a second.
double scrape_cpu_ms(const Headd& headd) {
  constexpr unsigned times = 40;
  scrape_once(headd.api());
  const double before = cpu_seconds(headd.pid());
  for (unsigned i = 0; i < times; ++i) scrape_once(headd.api());
  return (cpu_seconds(headd.pid()) - before) * 1e3 / times;
}

double median_of(const Subject& subject, double FioResult::*value) {
  std::vector<double> values;
  for (const FioResult& round : subject.rounds) values.push_back(round.*value);
  return median(values);
}

// The median of the rounds' ratios.
double ratio(const Subject& to, const Subject& of, double FioResult::*value) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < of.rounds.size(); ++i)
    ratios.push_back(of.rounds[i].*value / to.rounds[i].*value);
  return median(ratios);
}

}  // namespace

void scrape(const Common& common, const ScrapeOptions& options) {
  const Scratch scratch;
  warn_if_busy();
  enter_crowd(scratch.path());
  const Process tail = crowd_tail(scratch);
  const Headd headd(common, scratch, "headd", "");
  attach_crowd(headd, options.discs, scratch / "discs");
  const Spinners spinners(common.spin);
  const double cpu_ms = scrape_cpu_ms(headd);

  std::array<Subject, 3> subjects{Subject{"not scraped", std::nullopt},
                                  Subject{"once a second", 1s}, Subject{"back to back", 0s}};
  for (unsigned round = 0; round < common.rounds; ++round) {
    for (Subject& subject : subjects) {
      std::optional<Scraper> scraper;
      if (subject.interval) scraper.emplace(headd.api(), *subject.interval);
      subject.rounds.push_back(run_fio(unix_uri(headd.socket_of("d0")), {"", "randread", "4k", 1},
                                       options.seconds, scratch.path()));
      if (scraper) subject.scrapes += scraper->scrapes();
    }
    progress(fmt::format("round {} of {}", round + 1, common.rounds));
  }

  Table table(fmt::format("one disc of {} asked at depth 1, the metrics scraped meanwhile; a "
                          "scrape takes {:.1f} ms of one processor; medians of {}",
                          options.discs, cpu_ms, common.rounds),
              {"scraped", "scrapes", "requests/s", "p50 us", "p99 us", "ratio of requests/s",
               "of p50", "of p99", "CPU ms/scrape"});
  for (const Subject& subject : subjects)
    table.add({subject.name, double(subject.scrapes), median_of(subject, &FioResult::per_second),
               median_of(subject, &FioResult::p50_us), median_of(subject, &FioResult::p99_us),
               ratio(subjects[0], subject, &FioResult::per_second),
               ratio(subjects[0], subject, &FioResult::p50_us),
               ratio(subjects[0], subject, &FioResult::p99_us), cpu_ms});
  table.print(common.json);
}

}  // namespace bench
