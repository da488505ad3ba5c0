#include "head/control/doctor.hpp"

#include "head/control/descriptors.hpp"
#include "head/control/memory_here.hpp"
#include "head/neigh/echo.hpp"
#include "netlink/connections.hpp"
#include "netlink/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <string_view>
#include <system_error>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace head::control {

namespace {

constexpr std::size_t twins_max = 20;
// Hosts that large packets are tried with, and how long answers are waited for where they do not
// come.
constexpr std::size_t echoes_max = 64;
constexpr std::chrono::milliseconds echo_patience{450};
// A connection that takes another's place is one soon.
constexpr std::chrono::seconds unconnected_least{1};

void look_at_files(const Agent& agent, neigh::DaemonEvidence& daemon) {
  const Descriptors descriptors = descriptors_here();
  daemon.files = descriptors.open;
  daemon.files_max = descriptors.most;
  const auto deaf = agent.without_listener();
  daemon.deaf = deaf.size();
  if (!deaf.empty())
    daemon.deaf_disc = fmt::format("disc {}: {}", deaf.begin()->first, deaf.begin()->second);
}

void look_at_memory(const Agent& agent, neigh::DaemonEvidence& daemon) {
  const auto account = agent.memory();
  if (!account) return;
  const MemoryHere here = memory_here();
  daemon.memory_objection = account->objection().value_or("");
  daemon.memory = account->total(MemoryOf::headd);
  daemon.kernel_memory = account->total(MemoryOf::kernel);
  daemon.memory_there = here.there_is();
  daemon.memory_of = here.group_limit == here.there_is() ? "headd's control group" : "this machine";
  daemon.tcp_limit = here.tcp_limit;
  for (const MemoryPart& part : account->parts)
    if (part.name == "tail_sockets") daemon.tail_sockets = part.bytes();
}

std::set<std::string_view> look_at_ways(const neigh::Snapshot& now, neigh::DaemonEvidence& daemon) {
  std::set<std::string_view> hindered;
  for (const neigh::DiscBinding& disc : now.discs) {
    if (disc.status.obstacle == neigh::Obstacle::none) continue;
    hindered.insert(disc.disc);
    auto at = std::find_if(daemon.hindered.begin(), daemon.hindered.end(),
                           [&](const auto& one) { return one.why == disc.status.obstacle; });
    if (at == daemon.hindered.end())
      at = daemon.hindered.insert(at,
                                  {disc.status.obstacle, 0, disc.status.problem, disc.status.dev});
    ++at->discs;
  }
  return hindered;
}

// One whose way is not there is told of as that.
void look_at_connections(const Agent& agent, const std::set<std::string_view>& hindered,
                         neigh::DaemonEvidence& daemon) {
  const auto before = std::chrono::steady_clock::now() - unconnected_least;
  agent.each_disc([&](const DiscStatus& disc) {
    const std::string& name = disc.spec->name;
    const std::chrono::nanoseconds since(disc.stats.state_since_ns);
    const bool served = is_attached(disc.state) && disc.state != State::detaching &&
                        disc.spec->order == disc::Order::serve;
    const bool apart = served && disc.stats.connections == 0 && since.count() != 0 &&
                       std::chrono::steady_clock::time_point(since) <= before;
    if (!apart || hindered.contains(name)) return;
    if (daemon.unconnected++ != 0) return;
    daemon.unconnected_disc = fmt::format("disc {} is {}{}{}", name, to_string(disc.state),
                                          disc.problem.empty() ? "" : ": ", disc.problem);
  });
}

void look_at_bindings(neigh::DaemonEvidence& daemon, const neigh::Snapshot& now) {
  const auto text = [](const std::optional<netlink::Mac>& lladdr) {
    return lladdr ? netlink::to_string(*lladdr) : std::string("none");
  };
  const auto look = [&](const auto& entry) {
    if (entry.discs.empty()) return;
    if (entry.flapping && daemon.flapping++ == 0)
      daemon.flapper = fmt::format("disc {}, {} times, now at {}", entry.discs.front(),
                                   entry.conflicts, text(entry.binding.lladdr));
    const bool elsewhere = entry.told && entry.told != entry.binding.lladdr;
    if (elsewhere && daemon.conflicts++ == 0)
      daemon.conflict = fmt::format("disc {} was told to be at {}, and the {} says {}",
                                    entry.discs.front(), text(entry.told),
                                    to_string(entry.binding.source), text(entry.binding.lladdr));
  };
  for (const neigh::EntryStatus& entry : now.entries) {
    look(entry);
    const bool refused =
        entry.pinned && entry.claimed_lately && entry.claimed != entry.binding.lladdr;
    if (refused && !entry.discs.empty() && daemon.claims++ == 0)
      daemon.claim = fmt::format("disc {} is at {}, and {} claims its address", entry.discs.front(),
                                 text(entry.binding.lladdr), text(entry.claimed));
  }
  for (const neigh::RouteStatus& route : now.routes) look(route);
}

// One connection to each host, over which the largest packets go, is tried.
void look_at_packets(const std::vector<DiscCounts>& discs, const neigh::Snapshot& now,
                     neigh::DaemonEvidence& daemon) {
  if (discs.empty()) return;
  std::vector<netlink::TcpConnection> connections;
  std::error_code unread;
  try {
    unread = netlink::dump_connections(connections);
  } catch (const std::system_error& error) {
    unread = error.code();
  }
  if (unread) {
    daemon.connections_untold = "reading connections: " + unread.message();
    return;
  }
  std::map<std::pair<netlink::Ip6, std::uint16_t>, std::uint32_t> packets;
  for (const netlink::TcpConnection& one : connections) {
    std::uint32_t& packet = packets[{one.remote, one.port}];
    packet = std::max(packet, one.packet);
  }
  std::unordered_map<std::string_view, neigh::EchoTrial> by_disc;
  for (const DiscCounts& disc : discs) {
    const nbd::Uri& uri = disc.spec->uri;
    const auto found = packets.find({uri.address, uri.port});
    if (found != packets.end())
      by_disc[disc.spec->name] = {.address = uri.address, .packet = found->second};
  }
  std::map<netlink::Mac, std::pair<neigh::EchoTrial, std::string_view>> hosts;
  for (const neigh::EntryStatus& entry : now.entries)
    for (const std::string& disc : entry.discs) {
      const auto found = by_disc.find(disc);
      const bool large =
          found != by_disc.end() && found->second.packet > neigh::EchoTrial::small_packet;
      if (!large || !entry.kernel.lladdr) continue;
      if (hosts.size() == echoes_max && !hosts.contains(*entry.kernel.lladdr)) continue;
      auto& [trial, name] = hosts[*entry.kernel.lladdr];
      if (found->second.packet <= trial.packet) continue;
      trial = found->second;
      name = disc;
    }
  std::vector<neigh::EchoTrial> trials;
  for (const auto& [lladdr, host] : hosts) trials.push_back(host.first);
  if (trials.empty()) return;
  if (const auto error = neigh::try_echoes(trials, echo_patience)) {
    daemon.echoes_refused = "ICMPv6 echoes: " + error.message();
    return;
  }
  for (std::size_t i = 0; const auto& [lladdr, host] : hosts) {
    const neigh::EchoTrial& trial = trials[i++];
    if (!trial.swallows_large()) continue;
    if (daemon.swallowed++ != 0) continue;
    daemon.swallowed_packet = trial.packet;
    daemon.swallowed_at = fmt::format("{}, disc {}", netlink::to_string(lladdr), host.second);
  }
}

neigh::DaemonEvidence of_itself(const Agent& agent, const neigh::Snapshot& now) {
  neigh::DaemonEvidence daemon;
  daemon.enabled = now.enabled;
  daemon.permitted = now.permitted;
  daemon.began = now.began;
  daemon.limits_problem = now.table.problem;
  daemon.capabilities = now.capabilities;
  daemon.choice = now.choice;
  daemon.strategy = now.strategy;
  daemon.route_mode = now.mode == neigh::Mode::routes;
  daemon.listening = now.listening;
  daemon.tails_bad = now.tails_bad;
  look_at_connections(agent, look_at_ways(now, daemon), daemon);
  look_at_bindings(daemon, now);
  daemon.notifications_lost = now.counters.notifications_lost;
  daemon.silent_moves = now.counters.silent_moves;
  daemon.silent_mover = now.silent_mover;
  const AgentStatus status = agent.status();
  const auto& stalls = status.stalls[static_cast<std::size_t>(stats::Cause::neighbour)];
  daemon.discs = status.discs;
  daemon.stalls = stalls.count;
  daemon.stall_seconds = static_cast<double>(stalls.time_ns) / 1e9;
  look_at_files(agent, daemon);
  look_at_memory(agent, daemon);
  return daemon;
}

}  // namespace

std::vector<std::string> twins_of(const std::vector<DiscCounts>& discs, std::size_t most) {
  std::map<std::tuple<netlink::Ip6, std::string, std::uint16_t, std::string>,
           const catalogue::DiscSpec*>
      known;
  std::vector<const catalogue::DiscSpec*> specs;
  for (const DiscCounts& disc : discs) specs.push_back(disc.spec.get());
  std::sort(specs.begin(), specs.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
  std::vector<std::string> pairs;
  for (const catalogue::DiscSpec* spec : specs) {
    const nbd::Uri& uri = spec->uri;
    const auto [at, first] =
        known.try_emplace({uri.address, uri.zone, uri.port, uri.export_name}, spec);
    if (first || (spec->read_only && at->second->read_only) || pairs.size() == most) continue;
    pairs.push_back(fmt::format("{} and {}", at->second->name, spec->name));
  }
  return pairs;
}

neigh::Evidence evidence_of(const Agent& agent) {
  const neigh::Snapshot now = agent.neighbours(neigh::Detail::all);
  const std::vector<DiscCounts> discs = agent.all_stats();
  neigh::Examination asked;
  asked.neighbours.emplace();
  for (const neigh::EntryStatus& entry : now.entries) asked.neighbours->push_back(entry.kernel.key);
  std::sort(asked.neighbours->begin(), asked.neighbours->end());
  for (const DiscCounts& disc : discs)
    if (asked.destinations.size() < neigh::Examination::routes_max)
      asked.destinations.push_back({disc.spec->uri.address, "disc " + disc.spec->name});
  for (const neigh::DeviceStatus& device : now.devices) asked.devs.push_back(device.name);

  neigh::Evidence evidence{.kernel = neigh::examine(asked), .daemon = of_itself(agent, now)};
  evidence.daemon->twins = twins_of(discs, twins_max);
  look_at_packets(discs, now, *evidence.daemon);
  return evidence;
}

}  // namespace head::control
