#include "tools/headctl/neigh_limits.hpp"

#include "head/neigh/sizing.hpp"
#include "tools/headctl/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace headctl {

namespace {

using nlohmann::json;

netlink::TableLimits limits_of(const json& limits) {
  return {limits["gc_thresh1"], limits["gc_thresh2"], limits["gc_thresh3"]};
}

json to_json(const netlink::TableLimits& limits) {
  return {{"gc_thresh1", limits.thresh1},
          {"gc_thresh2", limits.thresh2},
          {"gc_thresh3", limits.thresh3}};
}

std::string verdict(std::uint32_t now, std::uint32_t needed) {
  return now >= needed ? "enough" : "too low";
}

// The interfaces that discs are reached through: the settings that headd makes, and as they were.
std::string devices_text(const json& source) {
  if (!source.contains("devices") || source["devices"].empty()) return {};
  Table rows({{"INTERFACE"}, {"SETTING"}, {"NOW", true}, {"BEFORE HEADD", true}});
  for (const json& device : source["devices"])
    for (const auto& [key, value] : device["settings"].items())
      rows.add({device["name"], key, value.dump(),
                device["before"].contains(key) ? device["before"][key].dump() : ""});
  return "\n" + rows.text();
}

Tone tone_of_verdict(const std::string& cell) {
  return cell == "enough" ? Tone::good : Tone::bad;
}

}  // namespace

json with_needed(json source, std::uint64_t discs, std::uint64_t others, std::uint32_t most) {
  // From nothing, so that it is said what these discs need, and not what somebody set.
  json needed = to_json(head::neigh::size_for({}, discs, others, most));
  needed["discs"] = discs;
  needed["others"] = others;
  source["needed"] = std::move(needed);
  return source;
}

std::string limits_text(const json& source) {
  const json& table = source["table"];
  const json& needed = source["needed"];
  const auto now = limits_of(table["limits"]);
  const auto least = limits_of(needed);
  const auto discs = needed["discs"].get<std::uint64_t>();
  const auto others = needed["others"].get<std::uint64_t>();
  const std::string ours = fmt::format("2 x {} discs", discs);
  const std::string entries =
      fmt::format("{} others + {}", std::min(others, head::neigh::others_most), ours);
  const auto because = [&](const std::string& why) {
    return discs == 0 ? "no disc needs a neighbour" : why;
  };
  Table rows(
      {{"LIMIT"}, {"NOW", true}, {"NEEDED", true}, {"", false, tone_of_verdict}, {"BECAUSE"}});
  rows.add({"gc_thresh1", std::to_string(now.thresh1), std::to_string(least.thresh1),
            verdict(now.thresh1, least.thresh1),
            because(ours + " + 128; below it nothing idle is collected")});
  rows.add({"gc_thresh2", std::to_string(now.thresh2), std::to_string(least.thresh2),
            verdict(now.thresh2, least.thresh2),
            because("(" + entries + " + 512) x 5/4; above it for 5 s entries are evicted")});
  rows.add({"gc_thresh3", std::to_string(now.thresh3), std::to_string(least.thresh3),
            verdict(now.thresh3, least.thresh3),
            because("2 x gc_thresh2; at it new entries are refused")});
  std::string text = rows.text();
  text +=
      "A disc takes two entries where the kernel resolves it: its own, and its solicited-node "
      "group's.\nOthers are the entries of everybody else, in all network namespaces, which share "
      "this one table.\n";
  if (others > head::neigh::others_most)
    text += fmt::format(
        "Of {} others no more are counted than {}: who needs room for more sets "
        "the limits, which headd does not lower.\n",
        others, head::neigh::others_most);
  text += "\n";
  Sheet sheet;
  sheet.add("entries", table["entries"].dump());
  sheet.add("overflows", table["overflows"].dump());
  sheet.add("forced collections", table["forced_collections"].dump());
  sheet.add("failed resolutions", table["failed_resolutions"].dump());
  if (table.contains("original")) {
    const auto before = limits_of(table["original"]);
    sheet.add("limits before headd",
              fmt::format("{}/{}/{}", before.thresh1, before.thresh2, before.thresh3));
  }
  if (table.contains("wanted") && table["wanted"]["gc_thresh3"] != 0) {
    const auto wanted = limits_of(table["wanted"]);
    sheet.add(table.contains("problem") ? "limits headd would keep up" : "limits headd keeps up",
              fmt::format("{}/{}/{}", wanted.thresh1, wanted.thresh2, wanted.thresh3));
  }
  sheet.add("problem", table.value("problem", ""));
  return text + sheet.text() + devices_text(source);
}

}  // namespace headctl
