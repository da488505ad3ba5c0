#include "tools/headctl/report_members.hpp"

#include "tools/headctl/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headctl {

const std::vector<Asked> asked_of_headd = {
    {"headd/status.json", "the head as a whole, versions", "/v1/status"},
    {"headd/head.toml", "the configuration, secrets removed", "/v1/config"},
    {"headd/discs.json", "discs", "/v1/discs"},
    {"headd/neighbours.json", "bindings, entries, limits, counters", "/v1/neighbours"},
    {"headd/changes.json", "what lately became of entries", "/v1/neighbours/changes"},
    {"headd/latency.json", "how long guests waited", "/v1/latency?histogram=true"},
    {"headd/stalls.json", "requests that took too long", "/v1/stalls?limit=1000"},
    {"headd/metrics.txt", "as Prometheus sees it", "/metrics"},
    {"headd/crashes.json", "reports of crashes and of threads that hung", "/v1/crashes"},
    {"headd/log.txt", "the last lines of the log", "/v1/log"},
};

const std::vector<Asked> asked_of_kernel = {
    {"kernel/version", "which kernel", "/proc/version"},
    {"kernel/os-release", "which system", "/etc/os-release"},
    {"kernel/loadavg", "load", "/proc/loadavg"},
    {"kernel/meminfo", "memory", "/proc/meminfo"},
    {"kernel/snmp6", "IPv6 counters", "/proc/self/net/snmp6"},
    {"kernel/netstat", "TCP counters", "/proc/self/net/netstat"},
    {"kernel/sockstat6", "sockets", "/proc/self/net/sockstat6"},
    {"kernel/softnet_stat", "receive queues", "/proc/self/net/softnet_stat"},
    {"kernel/dev", "interfaces", "/proc/self/net/dev"},
    {"kernel/if_inet6", "addresses of this host", "/proc/self/net/if_inet6"},
    {"kernel/ipv6_route", "routes", "/proc/self/net/ipv6_route"},
    {"kernel/ndisc_cache", "the neighbour table's counters", "/proc/self/net/stat/ndisc_cache"},
};

std::string listing(const std::vector<Member>& members) {
  Table table({{"SIZE", true}, {"NAME"}, {"WHAT"}});
  std::uint64_t all = 0;
  for (const Member& member : members) {
    all += member.text.size();
    table.add({human_bytes(member.text.size()), member.name, member.what});
  }
  return table.text() + fmt::format("{} files, {}\n", members.size(), human_bytes(all));
}

nlohmann::json listing_json(const std::vector<Member>& members) {
  nlohmann::json list = nlohmann::json::array();
  for (const Member& member : members)
    list.push_back({{"name", member.name}, {"what", member.what}, {"bytes", member.text.size()}});
  return list;
}

}  // namespace headctl
