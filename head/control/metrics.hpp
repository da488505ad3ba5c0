// What Prometheus scrapes: one moment of the head in its text format.
#pragma once

#include "head/control/agent.hpp"
#include "head/control/disc_status.hpp"
#include "head/control/groups.hpp"
#include "head/control/memory_here.hpp"
#include "head/neigh/snapshot.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace head::control {

// One disc, where a scrape asks for it by name.
struct DiscSeries {
  std::string name;
  std::uint32_t in_flight = 0;
  LatencyStatus latency;
};

struct Scrape {
  std::string version;
  AgentStatus agent;
  std::vector<GroupLatency> groups;
  std::vector<DiscSeries> discs;
  neigh::Snapshot neighbours;  // With entries.
  std::optional<MemoryAccount> memory{};
  MemoryHere here{};
  double processor_seconds = 0;
};

// So many pairs of a grade and a tail, and so many discs, are shown apart in one scrape.
inline constexpr std::size_t metric_groups_max = 200;
inline constexpr std::size_t metric_discs_max = 100;

std::string metrics_text(const Scrape& scrape);

// This moment. `discs`: those that are to be shown apart; the unknown ones are left out.
Scrape scrape(const Agent& agent, Groups& groups, std::string version,
              std::span<const std::string> discs);

}  // namespace head::control
