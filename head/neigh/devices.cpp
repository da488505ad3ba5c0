#include "head/neigh/devices.hpp"

#include "head/base/log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <unistd.h>
#include <utility>

namespace head::neigh {

namespace {

constexpr std::streamsize text_max = 1 << 20;

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::string text(static_cast<std::size_t>(text_max), '\0');
  file.read(text.data(), text_max);
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

// The kernel's settings do not outlive it.
std::string boot() {
  std::string id = text_of("/proc/sys/kernel/random/boot_id");
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

}  // namespace

netlink::DeviceSettings suited(const netlink::DeviceSettings& now, bool responder) noexcept {
  netlink::DeviceSettings better = now;
  better.delay_first_probe_ms = std::min<std::uint64_t>(now.delay_first_probe_ms, 1000);
  better.retrans_ms = std::min<std::uint64_t>(now.retrans_ms, 100);
  better.ucast_solicit = std::min(now.ucast_solicit, 2u);
  better.mcast_resolicit = std::max(now.mcast_resolicit, 3u);
  if (responder) better.app_solicit = std::max(now.app_solicit, 1u);
  if (now.evict_nocarrier) better.evict_nocarrier = false;
  return better;
}

std::string to_text(const Originals& originals, std::string_view boot) {
  std::string text = fmt::format("{}\n", boot);
  for (const auto& [ifindex, one] : originals)
    text += fmt::format("{} {} {} {} {} {} {}\n", ifindex, one.delay_first_probe_ms, one.retrans_ms,
                        one.ucast_solicit, one.mcast_resolicit, one.app_solicit,
                        one.evict_nocarrier ? int{*one.evict_nocarrier} : -1);
  return text;
}

Originals parse_originals(std::string_view text, std::string_view boot) {
  Originals originals;
  std::istringstream lines{std::string(text)};
  std::string line;
  if (!std::getline(lines, line) || line != boot) return {};
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    int ifindex = 0, evict = 0;
    netlink::DeviceSettings one;
    words >> ifindex >> one.delay_first_probe_ms >> one.retrans_ms >> one.ucast_solicit >>
        one.mcast_resolicit >> one.app_solicit >> evict;
    if (!words || ifindex <= 0 || evict < -1 || evict > 1) return {};
    if (evict >= 0) one.evict_nocarrier = evict == 1;
    originals[ifindex] = one;
  }
  return originals;
}

Devices::Devices(bool responder, std::string file) : responder_(responder), file_(std::move(file)) {
  if (!file_.empty()) left_ = parse_originals(text_of(file_), boot());
}

void Devices::keep_originals() const {
  if (file_.empty()) return;
  Originals all = left_;
  for (const auto& [ifindex, device] : devices_) all[ifindex] = device.before;
  if (all.empty()) {
    ::unlink(file_.c_str());
    return;
  }
  // Whole or not at all: half of it would be the settings of another interface.
  const std::string next = file_ + ".new";
  const bool written = static_cast<bool>(std::ofstream(next) << to_text(all, boot()) << std::flush);
  if (!written || ::rename(next.c_str(), file_.c_str()) != 0)
    log::warning("{} cannot be written; killed, headd would not know how the interfaces were set",
                 file_);
}

bool Devices::prepare(netlink::Socket& socket, int ifindex, const std::string& name) {
  const auto [found, added] = devices_.try_emplace(ifindex);
  DeviceStatus& device = found->second;
  if (!added) return device.now.mcast_resolicit >= 1;
  device.ifindex = ifindex;
  device.name = name;
  if (const auto error = netlink::read_settings(socket, ifindex, name, device.before)) {
    devices_.erase(found);
    log::warning("{}: its neighbour discovery settings cannot be read: {}", name, error.message());
    return false;
  }
  device.now = device.before;
  if (const auto left = left_.find(ifindex); left != left_.end())
    device.before = put_back(left->second, device.now, responder_);
  keep_originals();
  apply(socket, device);
  return device.now.mcast_resolicit >= 1;
}

void Devices::recheck(netlink::Socket& socket) {
  for (auto& [ifindex, device] : devices_) {
    if (netlink::read_settings(socket, ifindex, device.name, device.now)) continue;
    apply(socket, device);
  }
}

void Devices::apply(netlink::Socket& socket, DeviceStatus& device) {
  const netlink::DeviceSettings wanted = suited(device.now, responder_);
  if (wanted == device.now) return device.problem.clear();
  const auto error =
      netlink::write_settings(socket, device.ifindex, device.name, device.now, wanted);
  netlink::read_settings(socket, device.ifindex, device.name, device.now);
  if (!error) return device.problem.clear();
  const std::string problem =
      device.name + ": its neighbour discovery settings cannot be changed: " + error.message();
  if (problem != device.problem) log::warning("{}", problem);
  device.problem = problem;
}

void Devices::rename(int ifindex, const std::string& name) {
  if (const auto found = devices_.find(ifindex); found != devices_.end()) found->second.name = name;
}

netlink::DeviceSettings put_back(const netlink::DeviceSettings& before,
                                 const netlink::DeviceSettings& now, bool responder) noexcept {
  const netlink::DeviceSettings set = suited(before, responder);
  netlink::DeviceSettings back = now;
  const auto member = [&](auto which) {
    if (now.*which == set.*which) back.*which = before.*which;
  };
  member(&netlink::DeviceSettings::delay_first_probe_ms);
  member(&netlink::DeviceSettings::retrans_ms);
  member(&netlink::DeviceSettings::ucast_solicit);
  member(&netlink::DeviceSettings::mcast_resolicit);
  member(&netlink::DeviceSettings::app_solicit);
  member(&netlink::DeviceSettings::evict_nocarrier);
  return back;
}

void Devices::restore(netlink::Socket& socket, const std::set<int>& validated) {
  for (auto& [ifindex, device] : devices_) {
    if (netlink::read_settings(socket, ifindex, device.name, device.now)) continue;
    netlink::DeviceSettings back = put_back(device.before, device.now, responder_);
    if (validated.contains(ifindex) && back.mcast_resolicit == 0) {
      back.mcast_resolicit = device.now.mcast_resolicit;
      log::info("{}: mcast_resolicit stays {}, because validated entries of ours stay", device.name,
                back.mcast_resolicit);
    }
    netlink::write_settings(socket, device.ifindex, device.name, device.now, back);
  }
  devices_.clear();
  left_.clear();
  keep_originals();
}

void Devices::forget(int ifindex) {
  left_.erase(ifindex);
  if (devices_.erase(ifindex) > 0) keep_originals();
}

std::vector<DeviceStatus> Devices::status() const {
  std::vector<DeviceStatus> all;
  for (const auto& [ifindex, device] : devices_) all.push_back(device);
  return all;
}

}  // namespace head::neigh
