#include "tools/headctl/kernel_neighbours.hpp"

#include "netlink/table.hpp"
#include "netlink/thresholds.hpp"
#include "tools/headctl/failure.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <net/if.h>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace headctl {

namespace {

using nlohmann::json;

void check(std::error_code error, const char* what) {
  if (error)
    throw Failure(Exit::refused, fmt::format("cannot read {}: {}; is netlink allowed here?", what,
                                             error.message()));
}

}  // namespace

KernelTable read_kernel(bool with_entries) {
  KernelTable read;
  netlink::Table table;
  check(netlink::read_table(table.socket(), read.state), "the neighbour table's limits");
  if (with_entries) read.entries.reserve(read.state.entries);
  if (with_entries) check(table.dump(read.entries), "the neighbour table");
  for (const netlink::Neighbour& entry : read.entries) {  // By interface.
    const int ifindex = entry.key.ifindex;
    if (read.names.empty() || read.names.rbegin()->first != ifindex)
      read.names[ifindex] = device_name(ifindex);
  }
  return read;
}

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
  const KernelTable read = read_kernel(with_entries);
  json answer = kernel_answer(read.state);
  if (!with_entries) return answer;
  json& entries = answer["entries"] = json::array();
  for (const netlink::Neighbour& entry : read.entries)
    entries.push_back(entry_of(entry, read.names.at(entry.key.ifindex)));
  return answer;
}

}  // namespace headctl
