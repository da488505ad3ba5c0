// The neighbour table as JSON.
#include "head/control/api_json.hpp"
#include "netlink/format.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <net/if.h>
#include <optional>
#include <string>
#include <string_view>

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

// Entries as text, one after another: as values, each would be a tree of twenty members.
class EntryWriter {
 public:
  EntryWriter(const neigh::Snapshot& snapshot, bool of_kernel)
      : snapshot_(snapshot), of_kernel_(of_kernel) {}

  // Until the next one.
  std::string_view text(const neigh::EntryStatus& entry) {
    const netlink::Neighbour& kernel = entry.kernel;
    text_.clear();
    put(FMT_COMPILE(R"({{"address":"{}")"), address(kernel.key.address));
    put_lladdr("binding", entry.binding.lladdr);
    put_lladdr("claimed", entry.claimed);
    put(FMT_COMPILE(R"(,"conflicts":{},"dev":{},"discs":[)"), entry.conflicts,
        quoted_device(kernel.key.ifindex));
    for (const std::string& disc : entry.discs)
      put(FMT_COMPILE("{}{}"), &disc == &entry.discs.front() ? "" : ",", quoted(disc));
    put(FMT_COMPILE(R"(],"flapping":{},"generation":{},"learned":{})"), entry.flapping,
        entry.binding.generation, entry.binding.source == neigh::Source::wire);
    put(FMT_COMPILE(R"(,"pinned":{},"repairs":{},"source":"{}")"), entry.pinned, entry.repairs,
        neigh::to_string(entry.binding.source));
    put_lladdr("told", entry.told);
    if (of_kernel_) {
      members_.clear();
      netlink::append_members(members_, kernel,
                              kernel.state == 0 ? "ABSENT" : netlink::nud_name(kernel.state));
      text_.append(members_);
    }
    text_.push_back('}');
    return {text_.data(), text_.size()};
  }

 private:
  void put(const auto& format, const auto&... values) {
    fmt::format_to(fmt::appender(text_), format, values...);
  }
  void put_lladdr(std::string_view name, const std::optional<netlink::Mac>& lladdr) {
    if (lladdr) put(FMT_COMPILE(R"(,"{}":"{}")"), name, address(*lladdr));
  }
  const std::string& address(const auto& of) {
    address_.clear();
    netlink::append(address_, of);
    return address_;
  }
  const std::string& quoted(const std::string& text) {
    const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
      return c >= ' ' && c <= '~' && c != '"' && c != '\\';
    });
    quoted_ = plain ? '"' + text + '"' : to_text(json(text));
    return quoted_;
  }
  // Most entries are like the one before in what follows.
  const std::string& quoted_device(int ifindex) {
    if (ifindex_ != ifindex) device_ = to_text(json(device_name(snapshot_, ifindex)));
    ifindex_ = ifindex;
    return device_;
  }

  const neigh::Snapshot& snapshot_;
  const bool of_kernel_;
  fmt::memory_buffer text_;
  std::string address_, quoted_, members_;
  int ifindex_ = -1;
  std::string device_;
};

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
                 {"namespace_cookie", snapshot.namespace_cookie},
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

std::string to_body(const neigh::Snapshot& snapshot, bool of_kernel) {
  constexpr std::size_t entry_bytes = 512;  // Of most entries, generously.
  std::string body = to_text(to_json(snapshot));
  body.pop_back();  // The brace.
  body.reserve(body.size() + entry_bytes * (snapshot.entries.size() + snapshot.routes.size() + 1));
  body += ",\"entries\":[";
  EntryWriter writer(snapshot, of_kernel);
  for (const neigh::EntryStatus& entry : snapshot.entries) {
    if (body.back() != '[') body += ',';
    body += writer.text(entry);
  }
  body += "],\"routes\":[";
  for (const neigh::RouteStatus& route : snapshot.routes) {
    if (body.back() != '[') body += ',';
    body += to_text(route_of(snapshot, route));
  }
  body += "]}\n";  // Not in the return, where it would be copied first.
  return body;
}

}  // namespace head::control
