#include "tools/headctl/neigh_change.hpp"

#include "netlink/format.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headctl {

using netlink::Neighbour;

std::string change_line(const nlohmann::json& change, const std::string& time) {
  const std::string marks = change["marks"];
  std::string line =
      fmt::format("{}  {} dev {} lladdr {} {}{}{}  {}", time, change["address"].get<std::string>(),
                  change["dev"].get<std::string>(), change.value("lladdr", "-"), marks,
                  marks.empty() ? "" : " ", change["state"].get<std::string>(),
                  change["what"].get<std::string>());
  return change.contains("disc") ? line + "  disc " + change["disc"].get<std::string>() : line;
}

std::string change_line(const NeighChange& change, const NeighPlace& place) {
  return change_line(change_json(change, place), place.time);
}

nlohmann::json change_json(const NeighChange& change, const NeighPlace& place) {
  const Neighbour& entry = change.entry();
  nlohmann::json object = {{"time", place.time},
                           {"address", netlink::to_string(entry.key.address)},
                           {"dev", place.dev},
                           {"event", !change.before  ? "new"
                                     : !change.after ? "gone"
                                                     : "changed"},
                           {"what", what_changed(change)},
                           {"state", netlink::nud_name(entry.state)},
                           {"owner", netlink::owner_name(entry)},
                           {"marks", netlink::marks(entry)}};
  if (change.before) object["state_before"] = netlink::nud_name(change.before->state);
  if (entry.lladdr) object["lladdr"] = netlink::to_string(*entry.lladdr);
  if (change.before && change.before->lladdr)
    object["lladdr_before"] = netlink::to_string(*change.before->lladdr);
  if (!place.disc.empty()) object["disc"] = place.disc;
  return object;
}

std::string what_changed(const RouteChange& change) {
  if (!change.before) return "new";
  if (!change.after) return "gone";
  const auto& was = change.before->next_hop;
  const auto& is = change.after->next_hop;
  if (was == is) return "";
  return fmt::format("next hop {} to {}", netlink::to_string(was.address),
                     netlink::to_string(is.address));
}

nlohmann::json change_json(const RouteChange& change, const NeighPlace& place) {
  const netlink::HostRoute& route = change.route();
  nlohmann::json object = {{"time", place.time},
                           {"address", netlink::to_string(route.address)},
                           {"dev", place.dev},
                           {"event", !change.before  ? "new"
                                     : !change.after ? "gone"
                                                     : "changed"},
                           {"what", what_changed(change)},
                           {"next_hop", netlink::to_string(route.next_hop.address)},
                           {"lease_s", route.lease.count()},
                           {"owner", "ours"}};
  if (!place.disc.empty()) object["disc"] = place.disc;
  return object;
}

std::string change_line(const RouteChange& change, const NeighPlace& place) {
  const netlink::HostRoute& route = change.route();
  const std::string line = fmt::format("{}  {} dev {} via {} lease {}s  {}", place.time,
                                       netlink::to_string(route.address), place.dev,
                                       netlink::to_string(route.next_hop.address),
                                       route.lease.count(), what_changed(change));
  return place.disc.empty() ? line : line + "  disc " + place.disc;
}

std::vector<NeighChange> differences(const std::vector<Neighbour>& before,
                                     const std::vector<Neighbour>& after) {
  std::vector<NeighChange> changes;
  auto was = before.begin();
  auto is = after.begin();
  while (was != before.end() || is != after.end()) {
    NeighChange change;
    const bool gone = is == after.end() || (was != before.end() && was->key < is->key);
    const bool fresh = !gone && (was == before.end() || is->key < was->key);
    if (!fresh) change.before = *was++;
    if (!gone) change.after = *is++;
    if (!what_changed(change).empty()) changes.push_back(std::move(change));
  }
  return changes;
}

}  // namespace headctl
