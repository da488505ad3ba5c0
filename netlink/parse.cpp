#include "netlink/parse.hpp"

#include <algorithm>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <string_view>
#include <sys/socket.h>

namespace netlink {

namespace {

constexpr int nda_protocol = 12, nda_flags_ext = 15;

template <std::size_t N>
std::optional<std::array<std::uint8_t, N>> read_address(Bytes value) noexcept {
  if (value.size() != N) return {};
  return read<std::array<std::uint8_t, N>>(value);
}

// What follows the fixed header of a message, if that is there at all.
template <class Header>
Bytes attributes(Bytes payload) noexcept {
  const std::size_t size = NLMSG_ALIGN(sizeof(Header));
  return payload.size() > size ? payload.subspan(size) : Bytes();
}

std::uint32_t ticks_to_ms(std::uint32_t ticks) noexcept {
  // USER_HZ is 100 everywhere Linux runs with Ethernet.
  return ticks > UINT32_MAX / 10 ? UINT32_MAX : ticks * 10;
}

std::string_view text(Bytes value) noexcept {
  const std::string_view all(reinterpret_cast<const char*>(value.data()), value.size());
  return all.substr(0, all.find('\0'));
}

}  // namespace

std::optional<int> parse_error(Bytes payload) noexcept {
  return read<int>(payload);
}

std::optional<Neighbour> parse_neighbour(Bytes payload) noexcept {
  const auto header = read<ndmsg>(payload);
  if (!header || header->ndm_family != AF_INET6) return {};
  Neighbour found;
  found.key.ifindex = header->ndm_ifindex;
  found.state = header->ndm_state;
  found.flags = header->ndm_flags;
  bool has_address = false;
  for_each_attribute(attributes<ndmsg>(payload), [&](int type, Bytes value) {
    if (type == NDA_DST) {
      if (const auto address = read_address<16>(value)) {
        found.key.address = *address;
        has_address = true;
      }
    } else if (type == NDA_LLADDR) {
      found.lladdr = read_address<6>(value);
    } else if (type == nda_protocol) {
      found.protocol = read<std::uint8_t>(value).value_or(0);
    } else if (type == nda_flags_ext) {
      found.ext_flags = read<std::uint32_t>(value).value_or(0);
    } else if (type == NDA_CACHEINFO) {
      if (const auto ages = read<nda_cacheinfo>(value)) {
        found.confirmed_ms = ticks_to_ms(ages->ndm_confirmed);
        found.used_ms = ticks_to_ms(ages->ndm_used);
        found.updated_ms = ticks_to_ms(ages->ndm_updated);
      }
    }
  });
  if (!has_address) return {};
  return found;
}

std::optional<Link> parse_link(Bytes payload) {
  const auto header = read<ifinfomsg>(payload);
  // Of the bridge's own messages, RTM_DELLINK says that a port left it, not that it is gone.
  if (!header || header->ifi_family != AF_UNSPEC || header->ifi_index <= 0) return {};
  Link link;
  link.ifindex = header->ifi_index;
  link.flags = header->ifi_flags;
  for_each_attribute(attributes<ifinfomsg>(payload), [&](int type, Bytes value) {
    if (type == IFLA_IFNAME) link.name = text(value);
    if (type == IFLA_ADDRESS) link.lladdr = read_address<6>(value);
    if (type == IFLA_MTU) link.mtu = read<std::uint32_t>(value).value_or(0);
    if (type == IFLA_MASTER) link.master = read<int>(value).value_or(0);
    if (type != IFLA_LINKINFO) return;
    for_each_attribute(value, [&](int inner, Bytes kind) {
      if (inner == IFLA_INFO_KIND) link.vrf = text(kind) == "vrf";
    });
  });
  if (link.name.empty() || link.name.size() >= 16) return {};
  return link;
}

std::optional<HostAddress> parse_address(Bytes payload) noexcept {
  const auto header = read<ifaddrmsg>(payload);
  if (!header || header->ifa_family != AF_INET6 || header->ifa_prefixlen > 128) return {};
  HostAddress found;
  found.ifindex = static_cast<int>(header->ifa_index);
  found.bits = header->ifa_prefixlen;
  found.flags = header->ifa_flags;
  bool has_address = false;
  for_each_attribute(attributes<ifaddrmsg>(payload), [&](int type, Bytes value) {
    if (type == IFA_FLAGS) found.flags = read<std::uint32_t>(value).value_or(found.flags);
    // Where a point-to-point peer is named, IFA_LOCAL is ours.
    if (type != IFA_LOCAL && (type != IFA_ADDRESS || has_address)) return;
    if (const auto address = read_address<16>(value)) {
      found.address = *address;
      has_address = true;
    }
  });
  if (!has_address) return {};
  return found;
}

std::optional<Route> parse_route(Bytes payload) noexcept {
  const auto header = read<rtmsg>(payload);
  if (!header || header->rtm_family != AF_INET6) return {};
  Route route;
  route.local = header->rtm_type == RTN_LOCAL;
  route.unicast = header->rtm_type == RTN_UNICAST;
  route.protocol = header->rtm_protocol;
  for_each_attribute(attributes<rtmsg>(payload), [&](int type, Bytes value) {
    if (type == RTA_OIF) route.ifindex = read<int>(value).value_or(0);
    if (type == RTA_GATEWAY) route.gateway = read_address<16>(value);
    if (type == RTA_PREFSRC) route.source = read_address<16>(value);
    if (type != RTA_METRICS) return;
    for_each_attribute(value, [&](int metric, Bytes number) {
      if (metric == RTAX_MTU) route.mtu = read<std::uint32_t>(number).value_or(0);
      if (metric == RTAX_ADVMSS) route.advmss = read<std::uint32_t>(number).value_or(0);
    });
  });
  return route;
}

std::optional<HostRoute> parse_host_route(Bytes payload) noexcept {
  const auto header = read<rtmsg>(payload);
  if (!header || header->rtm_family != AF_INET6 || header->rtm_dst_len != 128) return {};
  if (header->rtm_protocol != our_protocol || header->rtm_type != RTN_UNICAST) return {};
  HostRoute route;
  bool has_address = false, has_gateway = false;
  for_each_attribute(attributes<rtmsg>(payload), [&](int type, Bytes value) {
    if (type == RTA_OIF) route.next_hop.ifindex = read<int>(value).value_or(0);
    if (type == RTA_DST || type == RTA_GATEWAY) {
      const auto address = read_address<16>(value);
      if (!address) return;
      (type == RTA_DST ? route.address : route.next_hop.address) = *address;
      (type == RTA_DST ? has_address : has_gateway) = true;
    } else if (type == RTA_CACHEINFO) {
      const auto times = read<rta_cacheinfo>(value);
      const std::uint32_t ticks = times ? times->rta_expires : 0;
      // One that is over and not collected yet is told as a negative number.
      const bool over = ticks > INT32_MAX;
      const std::uint32_t ms = over ? 0 : ticks_to_ms(ticks);
      route.lease = std::chrono::seconds(ms / 1000);
    }
  });
  if (!has_address || !has_gateway) return {};
  return route;
}

std::optional<Prefix> parse_prefix(Bytes payload) noexcept {
  const auto header = read<rtmsg>(payload);
  if (!header || header->rtm_family != AF_INET6 || header->rtm_dst_len > 128) return {};
  Prefix prefix{.address = {}, .bits = header->rtm_dst_len};
  for_each_attribute(attributes<rtmsg>(payload), [&](int type, Bytes value) {
    if (type == RTA_DST) prefix.address = read_address<16>(value).value_or(Ip6());
  });
  return prefix;
}

namespace {

void read_parameters(Bytes nested, DeviceTimers& timers) noexcept {
  constexpr int ndtpa_mcast_reprobes = 17;
  const auto ms = [](Bytes value) { return read<std::uint64_t>(value).value_or(0); };
  const auto number = [](Bytes value) { return read<std::uint32_t>(value).value_or(0); };
  for_each_attribute(nested, [&](int type, Bytes value) {
    if (type == NDTPA_IFINDEX) timers.ifindex = static_cast<int>(number(value));
    if (type == NDTPA_BASE_REACHABLE_TIME) timers.base_reachable_ms = ms(value);
    if (type == NDTPA_RETRANS_TIME) timers.retrans_ms = ms(value);
    if (type == NDTPA_DELAY_PROBE_TIME) timers.delay_first_probe_ms = ms(value);
    if (type == NDTPA_UCAST_PROBES) timers.ucast_solicit = number(value);
    if (type == NDTPA_MCAST_PROBES) timers.mcast_solicit = number(value);
    if (type == ndtpa_mcast_reprobes) timers.mcast_resolicit = number(value);
    if (type == NDTPA_APP_PROBES) timers.app_solicit = number(value);
  });
}

}  // namespace

TablePart parse_table(Bytes payload) noexcept {
  if (!read<ndtmsg>(payload)) return {};
  TableState table;
  DeviceTimers device;
  bool ndisc = false, whole = false, parameters = false;
  for_each_attribute(attributes<ndtmsg>(payload), [&](int type, Bytes value) {
    const auto number = [&] { return read<std::uint32_t>(value).value_or(0); };
    if (type == NDTA_NAME) ndisc = text(value) == "ndisc_cache";
    if (type == NDTA_THRESH1) table.limits.thresh1 = number();
    if (type == NDTA_THRESH2) table.limits.thresh2 = number();
    if (type == NDTA_THRESH3) table.limits.thresh3 = number();
    if (type == NDTA_CONFIG) {
      if (const auto config = read<ndt_config>(value)) {
        table.entries = config->ndtc_entries;
        table.entry_bytes = config->ndtc_entry_size;
        whole = true;
      }
    } else if (type == NDTA_STATS) {
      if (const auto stats = read<ndt_stats>(value)) {
        table.allocations = stats->ndts_allocs;
        table.destroys = stats->ndts_destroys;
        table.resolutions_failed = stats->ndts_res_failed;
        table.forced_gc_runs = stats->ndts_forced_gc_runs;
        // ndts_table_fulls came with 4.3; read() gives nothing where the struct is shorter.
        table.table_fulls = stats->ndts_table_fulls;
      }
    } else if (type == NDTA_PARMS) {
      read_parameters(value, device);
      parameters = true;
    }
  });
  TablePart part;
  if (!ndisc) return part;
  if (whole) part.table = table;
  if (parameters && device.ifindex > 0) part.device = device;
  return part;
}

}  // namespace netlink
