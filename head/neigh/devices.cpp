#include "head/neigh/devices.hpp"

#include "head/base/log.hpp"

#include <algorithm>

namespace head::neigh {

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
}

std::vector<DeviceStatus> Devices::status() const {
  std::vector<DeviceStatus> all;
  for (const auto& [ifindex, device] : devices_) all.push_back(device);
  return all;
}

}  // namespace head::neigh
