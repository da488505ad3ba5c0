#include "head/base/notify.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <systemd/sd-daemon.h>

namespace head::notify {

namespace {

constexpr std::uint64_t barrier_us = 2'000'000;

}  // namespace

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

void main_process(pid_t pid) noexcept {
  ::sd_notifyf(0, "MAINPID=%d", static_cast<int>(pid));
  ::sd_notify_barrier(0, barrier_us);
}

std::size_t store_room() noexcept {
  const char* room = std::getenv("FDSTORE");
  if (room == nullptr || std::getenv("NOTIFY_SOCKET") == nullptr) return 0;
  return std::strtoul(room, nullptr, 10);
}

bool store(std::span<const int> descriptors, const char* name) noexcept {
  constexpr std::size_t at_once = 200;  // Of SCM_MAX_FD, 253.
  const std::string state = std::string("FDSTORE=1\nFDPOLL=0\nFDNAME=") + name;
  while (!descriptors.empty()) {
    const auto some = descriptors.first(std::min(descriptors.size(), at_once));
    descriptors = descriptors.subspan(some.size());
    const int rc = ::sd_pid_notify_with_fds(0, 0, state.c_str(), some.data(),
                                            static_cast<unsigned>(some.size()));
    errno = rc < 0 ? -rc : ENOTCONN;
    if (rc <= 0) return false;
  }
  ::sd_notify_barrier(0, barrier_us);
  return true;
}

std::vector<std::pair<std::string, int>> stored() {
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(1, &names);
  std::vector<std::pair<std::string, int>> found;
  for (int i = 0; i < count; ++i) {
    found.emplace_back(names[i], SD_LISTEN_FDS_START + i);
    std::free(names[i]);
  }
  std::free(names);
  return found;
}

void forget_stored(const char* name) noexcept {
  ::sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

}  // namespace head::notify
