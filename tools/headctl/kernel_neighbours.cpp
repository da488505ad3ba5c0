#include "tools/headctl/kernel_neighbours.hpp"

#include "netlink/format.hpp"
#include "netlink/table.hpp"
#include "netlink/thresholds.hpp"
#include "tools/headctl/failure.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

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

std::string name_of(int ifindex) {
  std::array<char, IF_NAMESIZE> name{};
  if (::if_indextoname(static_cast<unsigned>(ifindex), name.data()) != nullptr) return name.data();
  return std::to_string(ifindex);
}

json entry_of(const netlink::Neighbour& neighbour, const std::string& dev) {
  json entry = {{"address", netlink::to_string(neighbour.key.address)},
                {"dev", dev},
                {"state", netlink::nud_name(neighbour.state)},
                {"owner", netlink::owner_name(neighbour)},
                {"marks", netlink::marks(neighbour)},
                {"confirmed_s", neighbour.confirmed_ms / 1e3},
                {"used_s", neighbour.used_ms / 1e3},
                {"updated_s", neighbour.updated_ms / 1e3}};
  if (neighbour.lladdr) entry["lladdr"] = netlink::to_string(*neighbour.lladdr);
  return entry;
}

}  // namespace

json kernel_neighbours() {
  netlink::Table table;
  netlink::TableState state;
  check(netlink::read_table(table.socket(), state), "the neighbour table's limits");
  std::vector<netlink::Neighbour> neighbours;
  check(table.dump(neighbours), "the neighbour table");

  std::map<int, std::string> names;
  json entries = json::array();
  for (const netlink::Neighbour& neighbour : neighbours) {
    std::string& dev = names[neighbour.key.ifindex];
    if (dev.empty()) dev = name_of(neighbour.key.ifindex);
    entries.push_back(entry_of(neighbour, dev));
  }
  return {{"source", "kernel"},
          {"table",
           {{"limits",
             {{"gc_thresh1", state.limits.thresh1},
              {"gc_thresh2", state.limits.thresh2},
              {"gc_thresh3", state.limits.thresh3}}},
            {"entries", state.entries},
            {"forced_collections", state.forced_gc_runs},
            {"overflows", state.table_fulls},
            {"failed_resolutions", state.resolutions_failed}}},
          {"entries", std::move(entries)}};
}

}  // namespace headctl
