// What a scrape of the metrics gathers.
#include "head/control/metrics.hpp"
#include "netlink/format.hpp"

#include <sys/resource.h>
#include <unordered_map>
#include <utility>

namespace head::control {

namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// The tail of each disc whose neighbour entry says it.
std::unordered_map<std::string, std::string> tails_of(const neigh::Snapshot& neighbours) {
  std::unordered_map<std::string, std::string> tails;
  for (const neigh::EntryStatus& entry : neighbours.entries) {
    const auto& lladdr = entry.kernel.lladdr ? entry.kernel.lladdr : entry.binding.lladdr;
    if (!lladdr) continue;
    for (const std::string& disc : entry.discs) tails[disc] = netlink::to_string(*lladdr);
  }
  return tails;
}

}  // namespace

Scrape scrape(const Agent& agent, Groups& groups, std::string version,
              std::span<const std::string> discs) {
  Scrape scrape;
  scrape.version = std::move(version);
  scrape.agent = agent.status();
  scrape.neighbours = agent.neighbours(neigh::Detail::entries);
  scrape.memory = agent.memory();
  scrape.here = memory_here();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  scrape.processor_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);

  const auto tails = tails_of(scrape.neighbours);
  std::vector<Member> members;
  for (DiscCounts& disc : agent.all_stats()) {
    const auto tail = tails.find(disc.spec->name);
    members.push_back({.stats = std::move(disc.stats),
                       .key = {.grade = disc.spec->grade,
                               .tail = tail == tails.end() ? std::string() : tail->second}});
  }
  GroupSums sums = groups.sum(std::move(members));
  scrape.groups = std::move(sums.groups);
  scrape.agent.stalls = sums.stalls;
  scrape.agent.slow_openings = sums.slow_openings;
  scrape.agent.neighbour_stalls = sums.neighbour_stalls;
  scrape.agent.interface_waits = sums.interface_waits;
  scrape.agent.reconnects = sums.reconnects;
  for (const std::string& name : discs) {
    if (scrape.discs.size() == metric_discs_max) break;
    const auto disc = agent.disc(name);
    const auto latency = agent.latency(name);
    if (!disc || !latency) continue;
    scrape.discs.push_back({.name = name, .in_flight = disc->stats.in_flight, .latency = *latency});
  }
  return scrape;
}

}  // namespace head::control
