#include "tools/headctl/neigh_list.hpp"

#include "netlink/format.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace headctl {

namespace {

using nlohmann::json;

bool has(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::pair<std::string, std::string> key_of(const json& entry) {
  return {entry.value("dev", ""), entry.value("address", "")};
}

bool state_passes(const NeighFilter& filter, const std::string& state) {
  const bool any_asked = filter.stale || filter.failed || !filter.states.empty();
  if (!any_asked) return filter.all || (state != "NOARP" && state != "NONE");
  if ((filter.stale && state == "STALE") || (filter.failed && state == "FAILED")) return true;
  return std::any_of(filter.states.begin(), filter.states.end(),
                     [&](const std::string& asked) { return upper(asked) == state; });
}

bool passes(const NeighFilter& filter, const json& entry) {
  if (!state_passes(filter, entry.value("state", ""))) return false;
  if (filter.conflicts && entry.value("conflicts", 0u) == 0) return false;
  if (filter.foreign && entry.value("owner", "") != "other") return false;
  if (!filter.devs.empty() && !has(filter.devs, entry.value("dev", ""))) return false;
  if (!filter.lladdrs.empty() &&
      std::none_of(filter.lladdrs.begin(), filter.lladdrs.end(), [&](const std::string& asked) {
        return lower(asked) == entry.value("lladdr", "");
      }))
    return false;
  if (filter.discs.empty()) return true;
  const json discs = entry.value("discs", json::array());
  return std::any_of(discs.begin(), discs.end(),
                     [&](const json& disc) { return has(filter.discs, disc); });
}

std::string first_disc(const json& entry) {
  const json discs = entry.value("discs", json::array());
  return discs.empty() ? "" : discs[0].get<std::string>();
}

std::string discs_text(const json& entry) {
  return headctl::discs_text(first_disc(entry), entry.value("discs", json::array()).size());
}

// What entries are sorted by: a number or a text, then the address, which differs.
using SortKey = std::tuple<double, std::string, netlink::Ip6, std::string>;

SortKey sort_key(const json& entry, const std::string& by) {
  SortKey key{0, "", {}, entry.value("dev", "")};
  if (const auto ip = netlink::parse_ip6(entry.value("address", ""))) std::get<2>(key) = *ip;
  if (by == "confirmed" || by == "used" || by == "updated")
    std::get<0>(key) = entry.value(by + "_s", 0.0);
  else if (by == "disc")
    std::get<1>(key) = first_disc(entry);
  else if (by != "address")
    std::get<1>(key) = entry.value(by, "");
  return key;
}

}  // namespace

std::string discs_text(std::string_view first, std::size_t count) {
  return count <= 1 ? std::string(first) : fmt::format("{} and {} more", first, count - 1);
}

json merged(const json& of_headd, const json& of_kernel) {
  json all = of_headd;
  std::set<std::pair<std::string, std::string>> known;
  for (const json& entry : of_headd) known.insert(key_of(entry));
  for (const json& entry : of_kernel)
    if (known.count(key_of(entry)) == 0) all.push_back(entry);
  return all;
}

json chosen(const json& entries, const NeighFilter& filter) {
  std::vector<std::pair<SortKey, const json*>> rows;
  for (const json& entry : entries)
    if (passes(filter, entry)) rows.emplace_back(sort_key(entry, filter.sort), &entry);
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  json list = json::array();
  for (const auto& [key, entry] : rows) list.push_back(*entry);
  return list;
}

json chosen_routes(const json& routes, const NeighFilter& filter) {
  if (filter.stale || filter.failed || filter.foreign || !filter.states.empty())
    return json::array();
  NeighFilter of_routes = filter;
  const bool sorts = filter.sort == "dev" || filter.sort == "lladdr" || filter.sort == "disc";
  of_routes.sort = sorts ? filter.sort : "address";
  return chosen(routes, of_routes);
}

Table routes_table(const json& routes) {
  Table table({{"ADDRESS"},
               {"DEV"},
               {"NEXT HOP"},
               {"LLADDR"},
               {"ROUTE", false, tone_of},
               {"LEASE", true},
               {"DISC"}});
  for (const json& route : routes) {
    const bool there = route.value("present", false);
    table.add({route.value("address", ""), route.value("dev", ""), route.value("next_hop", ""),
               route.value("lladdr", ""), there ? "held" : "ABSENT",
               there ? human_age(route.value("lease_s", 0.0)) : "", discs_text(route)});
  }
  return table;
}

Table empty_neigh_table() {
  return Table({{"ADDRESS"},
                {"DEV"},
                {"LLADDR"},
                {"STATE", false, tone_of},
                {"OWNER", false, tone_of},
                {"CONFIRMED", true},
                {"USED", true},
                {"UPDATED", true},
                {"FLAGS"},
                {"DISC"}});
}

Table neigh_table(const json& entries) {
  Table table = empty_neigh_table();
  for (const json& entry : entries) {
    const bool there = entry.value("state", "") != "ABSENT";
    const auto age = [&](const char* key) { return there ? human_age(entry.value(key, 0.0)) : ""; };
    table.add({entry.value("address", ""), entry.value("dev", ""), entry.value("lladdr", ""),
               entry.value("state", ""), there ? entry.value("owner", "") : "", age("confirmed_s"),
               age("used_s"), age("updated_s"), entry.value("marks", ""), discs_text(entry)});
  }
  return table;
}

Table conflicts_table(const json& entries) {
  Table table({{"ADDRESS"},
               {"DEV"},
               {"LLADDR"},
               {"SAYS"},
               {"GENERATION", true},
               {"TOLD"},
               {"CLAIMED BY"},
               {"CONFLICTS", true},
               {"FLAPPING"},
               {"DISC"}});
  for (const json& entry : entries)
    table.add({entry.value("address", ""), entry.value("dev", ""), entry.value("binding", ""),
               "the " + entry.value("source", ""), entry.value("generation", json(0)).dump(),
               entry.value("told", ""), entry.value("claimed", ""),
               entry.value("conflicts", json(0)).dump(),
               entry.value("flapping", false) ? "yes" : "", discs_text(entry)});
  return table;
}

std::string neigh_summary(const json& source, std::size_t shown, std::size_t read) {
  const json& table = source["table"];
  const json& limits = table["limits"];
  const auto entries = table["entries"].get<std::uint64_t>();
  const auto most = limits["gc_thresh3"].get<std::uint64_t>();
  std::string text = fmt::format(
      "{} of {} entries shown; {} in the whole table, limits {}/{}/{}, room for {} more ({:.0f} % "
      "full), overflows {}, forced collections {}\n",
      shown, read, entries, limits["gc_thresh1"].dump(), limits["gc_thresh2"].dump(), most,
      most > entries ? most - entries : 0,
      most == 0 ? 0.0 : 100.0 * static_cast<double>(entries) / static_cast<double>(most),
      table["overflows"].dump(), table["forced_collections"].dump());
  if (source.contains("discs"))
    text += fmt::format("discs: {} held, {} not ready, {} that need no entry\n",
                        source["discs"]["held"].dump(), source["discs"]["unready"].dump(),
                        source["discs"]["others"].dump());
  if (source.value("mode", "") == "routes")
    text += fmt::format("routes: {} discs' addresses led over tails, {} tails do not answer\n",
                        source["route_mode"]["led"].dump(),
                        source["route_mode"]["tails_without_answer"].dump());
  for (const json& problem : source.value("problems", json::array()))
    text += "problem: " + problem.get<std::string>() + "\n";
  return text;
}

}  // namespace headctl
