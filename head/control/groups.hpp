// The discs' statistics summed up by grade and tail, as counters that never go back: what a disc
// has counted stays where it was counted, though it goes, or moves to another tail. Bounded: beyond
// `most` groups a new one takes the place of one without discs, or else is part of "others".
#pragma once

#include "head/control/disc_status.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace head::control {

struct GroupKey {
  std::string grade;
  std::string tail;  // Its link-layer address; "" where that is not known.

  auto operator<=>(const GroupKey&) const = default;
};

struct Member {
  std::shared_ptr<const stats::DiscStats> stats;
  GroupKey key;
};

// The discs of a group together; of their parts only how long all took.
struct GroupLatency {
  GroupKey key;
  std::size_t discs = 0;
  std::uint64_t reconnects = 0;
  LatencyStatus latency;
};

struct GroupSums {
  std::vector<GroupLatency> groups;  // By grade and tail.
  // Of all that ever were.
  std::uint64_t reconnects = 0;
  std::array<stats::StallSnapshot, stats::causes> stalls{};
  std::array<stats::StallSnapshot, stats::causes> slow_openings{};
  stats::StallSnapshot neighbour_stalls{};
  stats::StallSnapshot interface_waits{};
};

class Groups {
 public:
  explicit Groups(std::size_t most) : most_(most) {}

  // `discs` are all there are now: one caller at a time, and no list older than the one before. A
  // disc whose tail is not known stays with the one it had.
  GroupSums sum(std::vector<Member> discs);

 private:
  struct Group {
    std::size_t discs = 0;
    // What to add to the sum of its discs: discs that left it have left theirs, and discs that came
    // have brought nothing. So parts of it can be below zero, and all of it counts modulo 2^64.
    GroupLatency carried;
  };
  using All = std::map<GroupKey, Group>;
  struct Known {
    std::shared_ptr<const stats::DiscStats> stats;
    GroupKey wanted;
    All::iterator group;
    std::uint64_t seen = 0;
  };

  void place(Member member);
  void leave(Known& disc);
  All::iterator group_of(const GroupKey& key);
  bool make_room();

  const std::size_t most_;
  All groups_;
  std::unordered_map<const stats::DiscStats*, Known> known_;
  GroupLatency evicted_;
  std::uint64_t round_ = 0;
};

}  // namespace head::control
