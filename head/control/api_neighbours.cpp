// The neighbour table as JSON.
#include "head/control/api_json.hpp"
#include "netlink/format.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <net/if.h>

namespace head::control {

namespace {

using nlohmann::json;

json to_json(const netlink::TableLimits& limits) {
  return {{"gc_thresh1", limits.thresh1},
          {"gc_thresh2", limits.thresh2},
          {"gc_thresh3", limits.thresh3}};
}

json table_of(const neigh::TableStatus& status) {
  json object = {{"limits", to_json(status.table.limits)},
                 {"wanted", to_json(status.wanted)},
                 {"original", to_json(status.original)},
                 {"sized_for", {{"discs", status.sized_discs}, {"others", status.sized_others}}},
                 {"entries", status.table.entries},
                 {"forced_collections", status.table.forced_gc_runs},
                 {"overflows", status.table.table_fulls},
                 {"failed_resolutions", status.table.resolutions_failed}};
  if (!status.problem.empty()) object["problem"] = status.problem;
  return object;
}

json counters_of(const neigh::Counters& counters) {
  return {{"installed", counters.installed},
          {"repaired", counters.repaired},
          {"removed", counters.removed},
          {"resolutions", counters.resolutions},
          {"solicitations", counters.solicitations},
          {"answered", counters.answered},
          {"conflicts", counters.conflicts},
          {"refuted", counters.refuted},
          {"conflicts_settled", counters.settled},
          {"flaps", counters.flaps},
          {"failures", counters.failures},
          {"errors", counters.errors},
          {"notifications_lost", counters.notifications_lost},
          {"reconciliations", counters.reconciliations},
          {"reconciled", counters.reconciled},
          {"looks", counters.looks},
          {"looks_bad", counters.looks_bad},
          {"looks_dropped", counters.looks_dropped},
          {"raises", counters.raises},
          {"moves", counters.moves},
          {"silent_moves", counters.silent_moves}};
}

json settings_of(const netlink::DeviceSettings& settings) {
  json object = {{"delay_first_probe_ms", settings.delay_first_probe_ms},
                 {"retrans_ms", settings.retrans_ms},
                 {"ucast_solicit", settings.ucast_solicit},
                 {"mcast_resolicit", settings.mcast_resolicit},
                 {"app_solicit", settings.app_solicit}};
  if (settings.evict_nocarrier) object["ndisc_evict_nocarrier"] = *settings.evict_nocarrier ? 1 : 0;
  return object;
}

std::string device_name(const neigh::Snapshot& snapshot, int ifindex) {
  for (const auto& device : snapshot.devices)
    if (device.ifindex == ifindex) return device.name;
  std::array<char, IF_NAMESIZE> name{};
  if (::if_indextoname(static_cast<unsigned>(ifindex), name.data()) != nullptr) return name.data();
  return std::to_string(ifindex);
}

json entry_of(const neigh::Snapshot& snapshot, const neigh::EntryStatus& entry) {
  const netlink::Neighbour& kernel = entry.kernel;
  json object = {{"address", netlink::to_string(kernel.key.address)},
                 {"dev", device_name(snapshot, kernel.key.ifindex)},
                 {"state", kernel.state == 0 ? "ABSENT" : netlink::nud_name(kernel.state)},
                 {"owner", netlink::owner_name(kernel)},
                 {"marks", netlink::marks(kernel)},
                 {"confirmed_s", kernel.confirmed_ms / 1e3},
                 {"used_s", kernel.used_ms / 1e3},
                 {"updated_s", kernel.updated_ms / 1e3},
                 {"learned", entry.binding.source == neigh::Source::wire},
                 {"source", neigh::to_string(entry.binding.source)},
                 {"generation", entry.binding.generation},
                 {"pinned", entry.pinned},
                 {"flapping", entry.flapping},
                 {"conflicts", entry.conflicts},
                 {"repairs", entry.repairs},
                 {"discs", entry.discs}};
  if (kernel.lladdr) object["lladdr"] = netlink::to_string(*kernel.lladdr);
  if (entry.binding.lladdr) object["binding"] = netlink::to_string(*entry.binding.lladdr);
  if (entry.told) object["told"] = netlink::to_string(*entry.told);
  if (entry.claimed) object["claimed"] = netlink::to_string(*entry.claimed);
  return object;
}

json route_of(const neigh::Snapshot& snapshot, const neigh::RouteStatus& route) {
  json object = {{"address", netlink::to_string(route.address)},
                 {"dev", device_name(snapshot, route.next_hop.ifindex)},
                 {"next_hop", netlink::to_string(route.next_hop.address)},
                 {"present", route.present},
                 {"lease_s", route.lease.count()},
                 {"source", neigh::to_string(route.binding.source)},
                 {"generation", route.binding.generation},
                 {"flapping", route.flapping},
                 {"conflicts", route.conflicts},
                 {"repairs", route.repairs},
                 {"discs", route.discs}};
  if (route.binding.lladdr) {
    object["lladdr"] = netlink::to_string(*route.binding.lladdr);
    object["binding"] = object["lladdr"];
  }
  if (route.told) object["told"] = netlink::to_string(*route.told);
  return object;
}

json route_mode_of(const neigh::Snapshot& snapshot) {
  return {{"led", snapshot.routes_led},
          {"lease_s", snapshot.lease.count()},
          {"tails_without_answer", snapshot.tails_bad},
          {"installed", snapshot.routes_installed},
          {"repaired", snapshot.routes_repaired},
          {"removed", snapshot.routes_removed},
          {"renewed", snapshot.routes_renewed}};
}

}  // namespace

json to_json(const neigh::Snapshot& snapshot) {
  json object = {{"enabled", snapshot.enabled},
                 {"mode", neigh::to_string(snapshot.mode)},
                 {"route_mode", route_mode_of(snapshot)},
                 {"problems", neigh::problems(snapshot)},
                 {"table", table_of(snapshot.table)},
                 {"counters", counters_of(snapshot.counters)},
                 {"silent_hosts", snapshot.silent_hosts},
                 {"discs",
                  {{"held", snapshot.held},
                   {"unready", snapshot.unready},
                   {"lost", snapshot.lost},
                   {"others", snapshot.others}}},
                 {"capabilities",
                  {{"protocol", snapshot.capabilities.protocol},
                   {"ext_learned", snapshot.capabilities.ext_learned},
                   {"validated", snapshot.capabilities.validated},
                   {"managed", snapshot.capabilities.managed}}}};
  json& strategies = object["strategies"] = json::array();
  for (const neigh::Rung& rung : neigh::ladder)
    strategies.push_back({{"name", rung.name},
                          {"what", rung.what},
                          {"possible", neigh::possible(rung.strategy, snapshot.capabilities)},
                          {"chosen", snapshot.enabled && rung.strategy == snapshot.strategy}});
  json& devices = object["devices"] = json::array();
  for (const auto& device : snapshot.devices) {
    devices.push_back({{"ifindex", device.ifindex},
                       {"name", device.name},
                       {"settings", settings_of(device.now)},
                       {"before", settings_of(device.before)}});
    if (!device.problem.empty()) devices.back()["problem"] = device.problem;
  }
  return object;
}

std::string to_body(const neigh::Snapshot& snapshot) {
  std::string body = to_text(to_json(snapshot));
  body.pop_back();  // The brace.
  const auto add = [&](std::string_view name, const auto& all, auto to_values) {
    body += name;
    for (const auto& one : all) {
      if (body.back() != '[') body += ',';
      body += to_text(to_values(snapshot, one));
    }
    body += ']';
  };
  add(",\"entries\":[", snapshot.entries, entry_of);
  add(",\"routes\":[", snapshot.routes, route_of);
  return body + "}\n";
}

}  // namespace head::control
