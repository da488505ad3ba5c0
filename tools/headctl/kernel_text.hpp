// The kernel's table in the shape of the API's /v1/neighbours: as JSON values, or written straight
// away as text, which is what a table of 100,000 entries needs. Pure: both say the same.
#pragma once

#include "netlink/neighbour.hpp"
#include "netlink/thresholds.hpp"

#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace headctl {

using DeviceNames = std::map<int, std::string>;  // By ifindex; of every entry's.

nlohmann::json entry_of(const netlink::Neighbour& neighbour, const std::string& dev);
nlohmann::json kernel_answer(const netlink::TableState& table);  // Without entries.

// What `headctl neigh --kernel --json` prints where nothing but `all` is asked for, in pieces of
// some 64 KiB: the answer above with chosen() entries, indented as print() does it.
using Sink = std::function<void(std::string_view)>;
void write_answer(const netlink::TableState& table, std::vector<netlink::Neighbour> entries,
                  const DeviceNames& names, bool all, const Sink& sink);

}  // namespace headctl
