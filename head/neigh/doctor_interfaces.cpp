// What can be wrong with the interfaces that lead to discs.
#include "head/neigh/doctor_parts.hpp"

#include <fmt/format.h>

namespace head::neigh {

namespace {

// With slashes where the interface's name has a dot.
std::string key_of(const char* tree, const std::string& device, const char* name) {
  const bool dotted = device.find('.') != std::string::npos;
  return dotted ? fmt::format("net/ipv6/{}/{}/{}", tree, device, name)
                : fmt::format("net.ipv6.{}.{}.{}", tree, device, name);
}

void look_at_settings(const InterfaceEvidence& device, bool validated,
                      std::vector<Finding>& found) {
  const netlink::DeviceSettings& now = *device.settings;
  if (now.mcast_resolicit == 0)
    found.push_back({"mcast-resolicit", device.name, validated ? Gravity::stall : Gravity::warning,
                     validated ? "a disc that moves without a word is never found again: nobody "
                                 "but the old host is asked"
                               : "a disc that moves without a word is found late: nobody but the "
                                 "old host is asked until the entry has failed",
                     fmt::format("{} is 0", key_of("neigh", device.name, "mcast_resolicit")),
                     set_key("neigh", device.name, "mcast_resolicit", 3)});
  if (now.delay_first_probe_ms > 1000 || now.retrans_ms > 100 || now.ucast_solicit > 2)
    found.push_back(
        {"timers", device.name, Gravity::warning,
         fmt::format(
             "a disc that moves without a word is missed for {:.1f} s after the first "
             "request that nobody answers",
             static_cast<double>(now.delay_first_probe_ms + now.ucast_solicit * now.retrans_ms) /
                 1e3),
         fmt::format("delay_first_probe_time {} ms, retrans_time {} ms, ucast_solicit {}",
                     now.delay_first_probe_ms, now.retrans_ms, now.ucast_solicit),
         fmt::format("{}\n{}\n{}", set_key("neigh", device.name, "delay_first_probe_time", 1),
                     set_key("neigh", device.name, "retrans_time_ms", 100),
                     set_key("neigh", device.name, "ucast_solicit", 2))});
  if (now.evict_nocarrier.value_or(false))
    found.push_back({"evict-nocarrier", device.name, Gravity::warning,
                     "all its neighbour entries are thrown out whenever the carrier goes",
                     fmt::format("{} is 1", key_of("conf", device.name, "ndisc_evict_nocarrier")),
                     set_key("conf", device.name, "ndisc_evict_nocarrier", 0)});
}

void look_at_mtu(const InterfaceEvidence& device, std::vector<Finding>& found) {
  if (device.narrow == 0) return;
  std::string seen = fmt::format("{} has an MTU of {}", device.name, device.mtu);
  if (device.narrow_mtu != 0)
    seen += fmt::format(", the route a path MTU of {}", device.narrow_mtu);
  if (device.narrow_advmss != 0)
    seen += fmt::format(", the route an advmss of {}", device.narrow_advmss);
  seen += fmt::format("; {} discs, {} say", device.narrow, device.narrow_disc);
  found.push_back(
      {"mtu", device.name, Gravity::warning,
       "the way to discs takes smaller packets than the interface sends: what is too "
       "large is lost first, and sent again",
       seen,
       fmt::format("ip -6 route get ADDRESS ; ip link set {} mtu {}   # or make the "
                   "network and the tails take the larger ones",
                   device.name,
                   device.narrow_mtu != 0 ? device.narrow_mtu : device.narrow_advmss + 60)});
}

}  // namespace

std::string set_key(const char* tree, const std::string& device, const char* name,
                    std::uint64_t value) {
  return fmt::format("sysctl -w {}={}", key_of(tree, device, name), value);
}

void look_at_interfaces(const Evidence& evidence, std::vector<Finding>& found) {
  const bool validated = evidence.daemon && evidence.daemon->enabled &&
                         evidence.daemon->strategy == Strategy::validated;
  for (const InterfaceEvidence& device : evidence.kernel.interfaces) {
    if (!device.running)
      found.push_back({"link-down", device.name, Gravity::stall,
                       "an interface that leads to discs is down, or has no carrier",
                       fmt::format("{} is not running", device.name),
                       fmt::format("ip link set {} up", device.name)});
    for (const std::string& address : device.duplicate_addresses)
      found.push_back({"duplicate-address", address, Gravity::stall,
                       "another host has an address of this one: nothing is sent from it",
                       fmt::format("{} dev {} dadfailed", address, device.name),
                       fmt::format("ip -6 address del {0} dev {1} && ip -6 address add {0} dev {1}"
                                   "   # once the other host has given it up",
                                   address, device.name)});
    if (device.settings) look_at_settings(device, validated, found);
    look_at_mtu(device, found);
  }
}

}  // namespace head::neigh
