// What a scrape of the metrics gathers.
#include "head/control/metrics.hpp"
#include "netlink/format.hpp"

#include <fstream>
#include <sys/resource.h>
#include <unistd.h>
#include <unordered_map>
#include <utility>

namespace head::control {

namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// proc(5), statm: the second number, in pages.
std::uint64_t resident_bytes() {
  std::uint64_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// The tail of each disc whose neighbour entry says it.
std::unordered_map<std::string, std::string> tails_of(const neigh::Snapshot& neighbours) {
  std::unordered_map<std::string, std::string> tails;
  for (const neigh::EntryStatus& entry : neighbours.entries) {
    const auto& lladdr = entry.kernel.lladdr ? entry.kernel.lladdr : entry.binding;
    if (!lladdr) continue;
    for (const std::string& disc : entry.discs) tails[disc] = netlink::to_string(*lladdr);
  }
  return tails;
}

}  // namespace

Scrape scrape(const Agent& agent, std::string version, std::span<const std::string> discs) {
  Scrape scrape;
  scrape.version = std::move(version);
  scrape.agent = agent.status();
  scrape.neighbours = agent.neighbours(true);
  scrape.resident_bytes = resident_bytes();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  scrape.processor_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);

  const auto tails = tails_of(scrape.neighbours);
  std::unordered_map<std::string, std::size_t> places;
  for (const auto& [disc, stats] : agent.all_stats()) {
    const auto known = tails.find(disc);
    std::string tail = known == tails.end() ? std::string() : known->second;
    if (places.count(tail) == 0 && places.size() >= metric_tails_max) tail = "others";
    const auto [place, fresh] = places.emplace(tail, scrape.tails.size());
    if (fresh) scrape.tails.push_back({.tail = tail, .discs = 0, .latency = {}});
    TailLatency& sum = scrape.tails[place->second];
    ++sum.discs;
    stats->add_to(sum.latency.by_operation);
    stats->add_to(sum.latency.stalls);
  }
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
