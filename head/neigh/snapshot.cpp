#include "head/neigh/snapshot.hpp"

namespace head::neigh {

std::vector<std::string> problems(const Snapshot& snapshot) {
  std::vector<std::string> all;
  if (!snapshot.permitted) all.emplace_back(not_permitted);
  if (!snapshot.table.problem.empty()) all.push_back(snapshot.table.problem);
  if (!snapshot.choice.problem.empty()) all.push_back(snapshot.choice.problem);
  if (!snapshot.permitted) return all;  // An interface's settings are refused for the same reason.
  for (const DeviceStatus& device : snapshot.devices)
    if (!device.problem.empty()) all.push_back(device.problem);
  return all;
}

}  // namespace head::neigh
