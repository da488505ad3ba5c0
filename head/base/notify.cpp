#include "head/base/notify.hpp"

#include <algorithm>
#include <climits>
#include <cstdint>
#include <ctime>
#include <systemd/sd-daemon.h>

namespace head::notify {

void ready() noexcept {
  ::sd_notify(0, "READY=1");
}

void status(std::string_view line) noexcept {
  line = line.substr(0, line.find('\n'));
  const int size = static_cast<int>(std::min<std::size_t>(line.size(), INT_MAX));
  ::sd_notifyf(0, "STATUS=%.*s", size, line.data());
}

// Type=notify-reload wants the time as well (systemd 253); older ones ignore it.
void reloading() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
               static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1'000);
}

void stopping() noexcept {
  ::sd_notify(0, "STOPPING=1");
}

std::optional<std::chrono::microseconds> watchdog_period() noexcept {
  std::uint64_t period = 0;
  if (::sd_watchdog_enabled(0, &period) <= 0) return std::nullopt;
  return std::chrono::microseconds(period);
}

void alive() noexcept {
  ::sd_notify(0, "WATCHDOG=1");
}

}  // namespace head::notify
