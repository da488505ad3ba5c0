// What Prometheus scrapes: one moment of the head in its text format.
#pragma once

#include "head/control/disc_status.hpp"
#include "head/neigh/snapshot.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace head::control {

// The discs of one tail and grade together.
struct GroupLatency {
  std::string tail;  // Its link-layer address; "" where that is not known.
  std::string grade;
  std::size_t discs = 0;
  LatencyStatus latency;
};

// One disc, where a scrape asks for it by name.
struct DiscSeries {
  std::string name;
  DiscStatus status;
  LatencyStatus latency;
};

struct Scrape {
  std::string version;
  AgentStatus agent;
  std::vector<GroupLatency> groups;
  std::vector<DiscSeries> discs;
  neigh::Snapshot neighbours;        // With entries.
  std::uint64_t resident_bytes = 0;  // Of this process.
  double processor_seconds = 0;
};

// Never throws but for want of memory.
std::string metrics_text(const Scrape& scrape);

// Which of these a scrape of everything shows apart; the rest are added up as tail "others".
inline constexpr std::size_t metric_groups_max = 200;
inline constexpr std::size_t metric_discs_max = 1000;

}  // namespace head::control
