#include "tools/headctl/kernel_neighbours.hpp"

#include "netlink/format.hpp"
#include "netlink/table.hpp"
#include "netlink/thresholds.hpp"
#include "tools/headctl/failure.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <net/if.h>
#include <string>
#include <system_error>
#include <vector>

namespace headctl {

namespace {

using nlohmann::json;

void check(std::error_code error, const char* what) {
  if (error)
    throw Failure(Exit::refused, fmt::format("cannot read {}: {}; is netlink allowed here?", what,
                                             error.message()));
}

json entry_of(const netlink::Neighbour& neighbour, const std::string& dev) {
  json entry = {{"address", netlink::to_string(neighbour.key.address)},
                {"dev", dev},
                {"state", netlink::nud_name(neighbour.state)},
                {"owner", netlink::owner_name(neighbour)},
                {"marks", netlink::marks(neighbour)},
                {"confirmed_s", neighbour.confirmed_ms / 1e3},
                {"used_s", neighbour.used_ms / 1e3},
                {"updated_s", neighbour.updated_ms / 1e3},
                {"discs", json::array()}};
  if (neighbour.lladdr) entry["lladdr"] = netlink::to_string(*neighbour.lladdr);
  return entry;
}

}  // namespace

std::string device_name(int ifindex) {
  std::array<char, IF_NAMESIZE> name{};
  if (::if_indextoname(static_cast<unsigned>(ifindex), name.data()) != nullptr) return name.data();
  return std::to_string(ifindex);
}

std::size_t kernel_neighbours_ours() {
  std::vector<netlink::Neighbour> neighbours;
  check(netlink::dump(neighbours), "the neighbour table");
  return static_cast<std::size_t>(std::count_if(neighbours.begin(), neighbours.end(),
                                                [](const auto& entry) { return entry.ours(); }));
}

json kernel_neighbours(bool with_entries) {
  netlink::Table table;
  netlink::TableState state;
  check(netlink::read_table(table.socket(), state), "the neighbour table's limits");
  std::vector<netlink::Neighbour> neighbours;
  if (with_entries) check(table.dump(neighbours), "the neighbour table");

  std::map<int, std::string> names;
  json entries = json::array();
  for (const netlink::Neighbour& neighbour : neighbours) {
    std::string& dev = names[neighbour.key.ifindex];
    if (dev.empty()) dev = device_name(neighbour.key.ifindex);
    entries.push_back(entry_of(neighbour, dev));
  }
  json answer = {{"source", "kernel"},
                 {"table",
                  {{"limits",
                    {{"gc_thresh1", state.limits.thresh1},
                     {"gc_thresh2", state.limits.thresh2},
                     {"gc_thresh3", state.limits.thresh3}}},
                   {"entries", state.entries},
                   {"forced_collections", state.forced_gc_runs},
                   {"overflows", state.table_fulls},
                   {"failed_resolutions", state.resolutions_failed}}}};
  if (with_entries) answer["entries"] = std::move(entries);
  return answer;
}

}  // namespace headctl
