#include "head/base/log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <array>
#include <deque>
#include <iterator>
#include <memory>
#include <mutex>
#include <unistd.h>

namespace head::log {

namespace {

constexpr std::array<std::string_view, 4> names = {"debug", "info", "warning", "error"};

std::atomic<Level> threshold{Level::info};

// "<4>" before the line: what the journal takes the level from.
class JournalPrefix final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& into) override {
    std::string_view prefix = "<7>";
    if (message.level == spdlog::level::info) prefix = "<6>";
    if (message.level == spdlog::level::warn) prefix = "<4>";
    if (message.level >= spdlog::level::err) prefix = "<3>";
    into.append(prefix.data(), prefix.data() + prefix.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return spdlog::details::make_unique<JournalPrefix>();
  }
};

spdlog::level::level_enum to_spdlog(Level level) noexcept {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      break;
  }
  return spdlog::level::err;
}

// Never destroyed: threads may log until the very end of the process.
spdlog::logger& logger() {
  static spdlog::logger& made = *[] {
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    spdlog::sink_ptr sink;
    if (terminal)
      sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>();
    else
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<JournalPrefix>('*');
    formatter->set_pattern(terminal ? "%H:%M:%S.%e %^%l%$ %v" : "%*%v");
    auto* logger = new spdlog::logger("headd", std::move(sink));
    logger->set_formatter(std::move(formatter));
    logger->set_level(spdlog::level::trace);
    logger->flush_on(spdlog::level::trace);
    return logger;
  }();
  return made;
}

// Written rarely: a line costs more than the lock.
struct Kept {
  std::mutex lock;
  std::deque<std::string> lines;
};

// Never destroyed, like the logger.
Kept& kept_lines() {
  static Kept& made = *new Kept;
  return made;
}

struct Recent {
  std::array<std::array<char, 256>, recent_max> lines{};
  std::atomic<std::size_t> count{0};
};
Recent recent_lines;

void keep(Level level, std::string_view text) {
  constexpr std::size_t line_max = 1000;
  const auto now = std::chrono::system_clock::now();
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::string line = fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z {} {}",
                                 fmt::gmtime(std::chrono::system_clock::to_time_t(now)), ms,
                                 to_string(level), text.substr(0, line_max));
  Kept& kept = kept_lines();
  const std::lock_guard hold(kept.lock);
  const std::size_t count = recent_lines.count.load(std::memory_order_relaxed);
  auto& place = recent_lines.lines[count % recent_max];
  place[std::min(line.copy(place.data(), place.size() - 1), place.size() - 1)] = '\0';
  recent_lines.count.store(count + 1, std::memory_order_release);
  if (kept.lines.size() == kept_max) kept.lines.pop_front();
  kept.lines.push_back(std::move(line));
}

}  // namespace

const char* recent(std::size_t back) noexcept {
  const std::size_t count = recent_lines.count.load(std::memory_order_acquire);
  if (back >= std::min(count, recent_max)) return nullptr;
  return recent_lines.lines[(count - 1 - back) % recent_max].data();
}

std::vector<std::string> kept() {
  Kept& kept = kept_lines();
  const std::lock_guard hold(kept.lock);
  return {kept.lines.begin(), kept.lines.end()};
}

std::optional<Level> parse_level(std::string_view text) noexcept {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == text) return static_cast<Level>(i);
  return std::nullopt;
}

std::string_view to_string(Level level) noexcept {
  return names[static_cast<std::size_t>(level)];
}

void set_level(Level level) noexcept {
  threshold.store(level, std::memory_order_relaxed);
}

bool enabled(Level level) noexcept {
  return level >= threshold.load(std::memory_order_relaxed);
}

void write(Level level, fmt::string_view format, fmt::format_args arguments) noexcept {
  try {
    fmt::memory_buffer line;
    fmt::vformat_to(std::back_inserter(line), format, arguments);
    for (char& c : line)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    keep(level, std::string_view(line.data(), line.size()));
    logger().log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
  } catch (...) {
    // Out of memory, or standard error is gone: there is nobody left to tell.
  }
}

std::optional<RateLimit::Pass> RateLimit::pass(Instant now) noexcept {
  const std::int64_t now_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  std::int64_t began = began_ns_.load(std::memory_order_relaxed);
  if (now_ns - began >= period_.count() &&
      began_ns_.compare_exchange_strong(began, now_ns, std::memory_order_relaxed))
    passed_.store(0, std::memory_order_relaxed);
  if (passed_.fetch_add(1, std::memory_order_relaxed) >= burst_) {
    held_.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  return Pass{.held = held_.exchange(0, std::memory_order_relaxed)};
}

}  // namespace head::log
