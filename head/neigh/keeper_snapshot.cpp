// What is told to whoever looks: copied while the keeper stands still, put into words when it works
// again.
#include "head/neigh/keeper_work.hpp"
#include "netlink/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace head::neigh {

using netlink::Neighbour;

namespace {

// Why the kernel refused an entry, and the way out.
std::string why(int error) {
  if (error == EPERM || error == EACCES)
    return "headd lacks CAP_NET_ADMIN; start it as root or with that capability";
  if (error == ENOBUFS)
    return "the table is full, or the kernel is short of memory; see `headctl neigh`";
  return std::error_code(error, std::system_category()).message() + "; headd goes on trying";
}

}  // namespace

BindingStatus Keeper::Work::explain(const std::string& disc, Facts facts) {
  BindingStatus status = std::move(facts.status);
  if (status.state == BindingState::lost) return status;
  const bool usable = status.state != BindingState::waiting;
  if (!usable && !status.problem.empty()) return status;  // Its route is what is missing.
  if (!facts.held || (usable && (!facts.told || status.on_link))) return status;
  const std::string who =
      fmt::format("{}: {} on {}", disc, netlink::to_string(status.neighbour.address), status.dev);
  if (usable) {
    status.problem = who + " is a gateway; the given link-layer address is not used";
  } else if (facts.error != 0) {
    status.obstacle = Obstacle::unwritten;
    status.problem = who + " could not be entered in the neighbour table: " + why(facts.error);
  } else if (status.binding.lladdr && facts.phase < Phase::held) {
    status.problem = who + " is being entered in the neighbour table";
  } else if (!facts.asked) {
    status.obstacle = Obstacle::unasked;
    status.problem = who + " has not been asked yet; neighbour solicitations are paced";
  } else if (facts.phase == Phase::failed) {
    status.obstacle = Obstacle::unanswered;
    status.problem =
        fmt::format("{} does not answer at {}", who,
                    netlink::to_string(status.binding.lladdr.value_or(netlink::Mac{})));
  } else {
    status.obstacle = Obstacle::unanswered;
    status.problem = who + " does not answer neighbour solicitations; headd goes on asking";
  }
  return status;
}

Snapshot Keeper::Work::snapshot(Detail detail) const {
  const bool of_kernel = detail >= Detail::entries;
  std::vector<Neighbour> all;
  netlink::TableState table;
  netlink::Table reader;
  netlink::read_table(reader.socket(), table);
  std::vector<netlink::HostRoute> routes;
  if (of_kernel) all.reserve(table.entries);
  if (of_kernel) reader.dump(all);
  if (detail != Detail::counts && options_.mode == Mode::routes)
    netlink::dump_routes(reader.socket(), routes);

  Snapshot now;
  std::vector<Facts> facts = copy_state(now, detail);
  // Not under the lock: the keeper does not wait for those who look.
  for (std::size_t i = 0; i < facts.size(); ++i)
    now.discs[i].status = explain(now.discs[i].disc, std::move(facts[i]));
  auto kernel = all.begin();
  for (EntryStatus& entry : now.entries) {  // Both by key.
    std::sort(entry.discs.begin(), entry.discs.end());
    while (kernel != all.end() && kernel->key < entry.kernel.key) ++kernel;
    if (kernel != all.end() && kernel->key == entry.kernel.key) entry.kernel = *kernel;
  }
  for (RouteStatus& route : now.routes) {
    std::sort(route.discs.begin(), route.discs.end());
    const auto actual = std::lower_bound(
        routes.begin(), routes.end(), route.address,
        [](const netlink::HostRoute& a, const netlink::Ip6& b) { return a.address < b; });
    route.present = actual != routes.end() && actual->address == route.address &&
                    actual->next_hop == route.next_hop;
    if (route.present) route.lease = actual->lease;
  }
  now.table.table = table;
  now.namespace_cookie = netlink::namespace_cookie();
  return now;
}

std::vector<Keeper::Work::Facts> Keeper::Work::copy_state(Snapshot& now, Detail detail) const {
  const bool with_entries = detail != Detail::counts;
  std::vector<Facts> all;
  const std::lock_guard lock(state_lock_);
  now.enabled = options_.enabled;
  now.permitted = permitted_;
  now.capabilities = capabilities_;
  now.choice = choice_;
  now.strategy = choice_.strategy;
  if (now.strategy == Strategy::validated && !ledger_.validated()) now.strategy = Strategy::learned;
  now.began = began_;
  now.silent_mover = silent_mover_;
  now.table = limits_.status();
  now.counters = ledger_.counters();
  now.counters.notifications_lost = notifications_lost_;
  now.counters.raises = raises_;
  now.counters.moves = moves_;
  now.counters.silent_moves += silent_moves_;
  now.counters.removed = removed_;
  now.counters.looks = looks_;
  now.counters.looks_bad = looks_bad_;
  now.counters.looks_dropped = looks_dropped_.load(std::memory_order_relaxed);
  now.devices = devices_.status();
  now.silent_hosts = ledger_.silent_hosts();
  copy_routes(now, with_entries);
  for (const auto& disc : discs_) {
    const BindingState at = state(*disc);
    ++(at == BindingState::held ? now.held : is_ready(at) ? now.others : now.unready);
    now.lost += at == BindingState::lost;
    if (detail != Detail::all) continue;
    now.discs.push_back({disc->name, {}});
    all.push_back(facts(*disc));
  }
  if (!with_entries) return all;
  now.entries.reserve(users_.size());
  for (const Disc* disc : users_) {
    const netlink::NeighbourKey& key = disc->placed.neighbour;
    if (!now.entries.empty() && now.entries.back().kernel.key == key) {
      now.entries.back().discs.push_back(disc->name);
      continue;
    }
    EntryStatus entry;
    entry.kernel.key = key;
    entry.discs.push_back(disc->name);
    if (const Hold* hold = ledger_.find(key)) {
      entry.binding = hold->binding;
      entry.told = hold->told;
      entry.pinned = hold->told_generation > 0 && ledger_.is_pinned(key);
      entry.repairs = hold->repairs;
    }
    if (const Dispute* dispute = ledger_.dispute(key)) {
      entry.flapping = dispute->flaps.flapping(Instant::clock::now());
      entry.conflicts = dispute->conflicts;
      entry.claimed = dispute->claimed;
      entry.claimed_lately = ledger_.was_claimed_since(key, Instant::clock::now() - claims_kept);
    }
    now.entries.push_back(std::move(entry));
  }
  return all;
}

}  // namespace head::neigh
