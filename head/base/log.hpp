// One line to standard error per event. Where standard error is not a terminal, each line begins
// with the journal's level prefix (sd-daemon(3): "<6>" and so on). Safe from any thread; a line is
// written whole. Control characters in a line (a peer's, say) are written as '?', so that nobody
// can forge a line.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace head::log {

enum class Level : std::uint8_t { debug, info, warning, error };

// "debug", "info", "warning" or "error".
std::optional<Level> parse_level(std::string_view text) noexcept;
std::string_view to_string(Level level) noexcept;

// Lines below this level are dropped; `info` until something else is said.
void set_level(Level level) noexcept;
bool enabled(Level level) noexcept;

// The last lines that were let through, at most `kept_max`, each cut at 1,000 bytes: "TIME LEVEL
// TEXT", the time in UTC. The oldest first.
inline constexpr std::size_t kept_max = 1000;
std::vector<std::string> kept();

// The same, for a handler of signals: fewer, shorter, without a lock, and so perhaps half
// overwritten. `back` 0 is the last one; null where there is none.
inline constexpr std::size_t recent_max = 64;
const char* recent(std::size_t back) noexcept;

// What the functions below come down to. Never throws: a line that cannot be written is lost.
void write(Level level, fmt::string_view format, fmt::format_args arguments) noexcept;

template <class... T>
void debug(fmt::format_string<T...> format, T&&... arguments) noexcept {
  if (enabled(Level::debug)) write(Level::debug, format, fmt::make_format_args(arguments...));
}
template <class... T>
void info(fmt::format_string<T...> format, T&&... arguments) noexcept {
  if (enabled(Level::info)) write(Level::info, format, fmt::make_format_args(arguments...));
}
template <class... T>
void warning(fmt::format_string<T...> format, T&&... arguments) noexcept {
  if (enabled(Level::warning)) write(Level::warning, format, fmt::make_format_args(arguments...));
}
template <class... T>
void error(fmt::format_string<T...> format, T&&... arguments) noexcept {
  if (enabled(Level::error)) write(Level::error, format, fmt::make_format_args(arguments...));
}

// For lines that a peer or a guest can provoke: at most `burst` of them per `period`, and how many
// were held back since the last one that was let through.
//
//   static RateLimit limit;
//   if (const auto pass = limit.pass(io.now())) log::warning("... ({} more like it)", pass->held);
//
// Any number of threads may share one; the bound may be overshot by one line per racing thread.
class RateLimit {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  struct Pass {
    std::uint64_t held = 0;
  };

  explicit RateLimit(std::uint32_t burst = 5,
                     std::chrono::seconds period = std::chrono::seconds(10)) noexcept
      : burst_(burst), period_(period) {}

  std::optional<Pass> pass(Instant now) noexcept;

 private:
  const std::uint32_t burst_;
  const std::chrono::nanoseconds period_;
  std::atomic<std::int64_t> began_ns_{std::int64_t{-1} << 62};
  std::atomic<std::uint32_t> passed_{0};
  std::atomic<std::uint64_t> held_{0};
};

}  // namespace head::log
