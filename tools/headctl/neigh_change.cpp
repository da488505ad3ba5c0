#include "tools/headctl/neigh_change.hpp"

#include "netlink/format.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace headctl {

namespace {

using netlink::Neighbour;

std::string lladdr_of(const Neighbour& entry) {
  return entry.lladdr ? netlink::to_string(*entry.lladdr) : "none";
}

}  // namespace

std::string what_changed(const NeighChange& change) {
  if (!change.before) return "new";
  if (!change.after) return "gone";
  const Neighbour& was = *change.before;
  const Neighbour& is = *change.after;
  std::string text;
  const auto add = [&](const std::string& what, const std::string& from, const std::string& to) {
    if (from != to) text += fmt::format("{}{}{} to {}", text.empty() ? "" : ", ", what, from, to);
  };
  add("", std::string(netlink::nud_name(was.state)), std::string(netlink::nud_name(is.state)));
  add("lladdr ", lladdr_of(was), lladdr_of(is));
  add("owner ", std::string(netlink::owner_name(was)), std::string(netlink::owner_name(is)));
  const auto flags = [](const Neighbour& entry) {
    const std::string words = netlink::marks(entry);
    return words.empty() ? std::string("none") : words;
  };
  add("flags ", flags(was), flags(is));
  return text;
}

std::string change_line(const NeighChange& change, const NeighPlace& place) {
  std::string line = fmt::format("{}  {}  {}", place.time,
                                 netlink::to_line(change.entry(), place.dev), what_changed(change));
  return place.disc.empty() ? line : line + "  disc " + place.disc;
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
