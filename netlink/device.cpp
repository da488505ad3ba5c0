#include "netlink/device.hpp"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace netlink {

namespace {

std::string evict_nocarrier_path(const std::string& name) {
  return "/proc/sys/net/ipv6/conf/" + name + "/ndisc_evict_nocarrier";
}

std::optional<bool> read_switch(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  char value = 0;
  const bool got = ::read(fd, &value, 1) == 1;
  ::close(fd);
  if (!got) return {};
  return value != '0';
}

std::error_code write_switch(const std::string& path, bool on) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return system_error(errno);
  const bool written = ::write(fd, on ? "1\n" : "0\n", 2) == 2;
  const int error = errno;
  ::close(fd);
  return written ? std::error_code() : system_error(error);
}

}  // namespace

std::error_code read_settings(Socket& socket, int ifindex, const std::string& name,
                              DeviceSettings& into) {
  std::vector<DeviceTimers> all;
  if (const auto error = read_timers(socket, all)) return error;
  for (const DeviceTimers& timers : all) {
    if (timers.ifindex != ifindex) continue;
    into = {.delay_first_probe_ms = timers.delay_first_probe_ms,
            .retrans_ms = timers.retrans_ms,
            .base_reachable_ms = timers.base_reachable_ms,
            .ucast_solicit = timers.ucast_solicit,
            .mcast_resolicit = timers.mcast_resolicit,
            .app_solicit = timers.app_solicit,
            .evict_nocarrier = read_switch(evict_nocarrier_path(name))};
    return {};
  }
  return system_error(ENODEV);
}

std::error_code write_settings(Socket& socket, int ifindex, const std::string& name,
                               const DeviceSettings& from, const DeviceSettings& to) {
  TimerChanges changes;
  const auto differ = [](auto& change, const auto& old, const auto& wanted) {
    if (old != wanted) change = wanted;
  };
  differ(changes.base_reachable_ms, from.base_reachable_ms, to.base_reachable_ms);
  differ(changes.retrans_ms, from.retrans_ms, to.retrans_ms);
  differ(changes.delay_first_probe_ms, from.delay_first_probe_ms, to.delay_first_probe_ms);
  differ(changes.ucast_solicit, from.ucast_solicit, to.ucast_solicit);
  differ(changes.app_solicit, from.app_solicit, to.app_solicit);
  differ(changes.mcast_resolicit, from.mcast_resolicit, to.mcast_resolicit);
  if (const auto error = write_timers(socket, ifindex, changes)) return error;
  if (!to.evict_nocarrier || to.evict_nocarrier == from.evict_nocarrier) return {};
  return write_switch(evict_nocarrier_path(name), *to.evict_nocarrier);
}

bool is_ipv6_off(const std::string& name) {
  return read_switch("/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6").value_or(false);
}

}  // namespace netlink
