#include "head/control/groups.hpp"

#include <algorithm>
#include <utility>

namespace head::control {

namespace {

GroupLatency read(const stats::DiscStats& disc) {
  GroupLatency now;
  now.reconnects = disc.reconnects.load(std::memory_order_relaxed);
  disc.add_to(now.latency.by_operation, stats::Detail::guest);
  disc.add_to(now.latency.stalls);
  disc.add_slow_openings_to(now.latency.slow_openings);
  now.latency.neighbour_stalls = disc.neighbour_stalls();
  now.latency.interface_waits = disc.interface_waits();
  return now;
}

void add_stalls(LatencyStatus& to, const LatencyStatus& from) {
  for (std::size_t i = 0; i < stats::causes; ++i) {
    to.stalls[i] += from.stalls[i];
    to.slow_openings[i] += from.slow_openings[i];
  }
  to.neighbour_stalls += from.neighbour_stalls;
  to.interface_waits += from.interface_waits;
}

void add(GroupLatency& to, const GroupLatency& from) {
  to.reconnects += from.reconnects;
  for (std::size_t i = 0; i < stats::operations; ++i)
    to.latency.by_operation[i] += from.latency.by_operation[i];
  add_stalls(to.latency, from.latency);
}

void negate(std::uint64_t& value) {
  value = 0 - value;
}

void negate(stats::StallSnapshot& stall) {
  negate(stall.count);
  negate(stall.time_ns);
}

void negate(stats::HistogramSnapshot& histogram) {
  negate(histogram.count);
  negate(histogram.sum_ns);
  histogram.max_ns = 0;
  for (std::uint64_t& count : histogram.buckets) negate(count);
}

// What undoes add(), modulo 2^64.
GroupLatency negative(GroupLatency of) {
  negate(of.reconnects);
  for (stats::OperationSnapshot& operation : of.latency.by_operation) {
    negate(operation.requests);
    negate(operation.bytes);
    negate(operation.errors);
    negate(operation.latency);
    negate(operation.head);
    negate(operation.wire);
    negate(operation.tail);
  }
  for (stats::StallSnapshot& stall : of.latency.stalls) negate(stall);
  for (stats::StallSnapshot& opening : of.latency.slow_openings) negate(opening);
  negate(of.latency.neighbour_stalls);
  negate(of.latency.interface_waits);
  return of;
}

}  // namespace

GroupSums Groups::sum(std::vector<Member> discs) {
  ++round_;
  for (Member& member : discs) place(std::move(member));
  for (auto at = known_.begin(); at != known_.end();) {
    if (at->second.seen == round_) {
      ++at;
      continue;
    }
    leave(at->second);
    at = known_.erase(at);
  }

  std::map<const Group*, std::size_t> places;
  GroupSums sums;
  for (const auto& [key, group] : groups_) {
    places[&group] = sums.groups.size();
    GroupLatency& sum = sums.groups.emplace_back(group.carried);
    sum.key = key;
    sum.discs = group.discs;
  }
  for (const auto& [key, disc] : known_) {
    GroupLatency& sum = sums.groups[places.at(&disc.group->second)];
    sum.reconnects += disc.stats->reconnects.load(std::memory_order_relaxed);
    disc.stats->add_to(sum.latency.by_operation, stats::Detail::guest);
    disc.stats->add_to(sum.latency.stalls);
    disc.stats->add_slow_openings_to(sum.latency.slow_openings);
    sum.latency.neighbour_stalls += disc.stats->neighbour_stalls();
    sum.latency.interface_waits += disc.stats->interface_waits();
  }
  GroupLatency all = evicted_;
  for (const GroupLatency& sum : sums.groups) {
    all.reconnects += sum.reconnects;
    add_stalls(all.latency, sum.latency);
  }
  sums.reconnects = all.reconnects;
  sums.stalls = all.latency.stalls;
  sums.slow_openings = all.latency.slow_openings;
  sums.neighbour_stalls = all.latency.neighbour_stalls;
  sums.interface_waits = all.latency.interface_waits;
  return sums;
}

void Groups::place(Member member) {
  const auto found = known_.find(member.stats.get());
  if (found == known_.end()) {
    const auto group = group_of(member.key);
    const auto* const disc = member.stats.get();
    known_.try_emplace(disc, Known{.stats = std::move(member.stats),
                                   .wanted = std::move(member.key),
                                   .group = group,
                                   .seen = round_});
    ++group->second.discs;
    return;
  }
  Known& disc = found->second;
  disc.seen = round_;
  if (member.key.tail.empty()) member.key.tail = disc.wanted.tail;
  if (disc.wanted == member.key) return;
  const GroupLatency now = read(*disc.stats);
  const auto next = group_of(member.key);  // Before this one may be without discs.
  add(disc.group->second.carried, now);
  --disc.group->second.discs;
  add(next->second.carried, negative(now));
  ++next->second.discs;
  disc.group = next;
  disc.wanted = std::move(member.key);
}

void Groups::leave(Known& disc) {
  add(disc.group->second.carried, read(*disc.stats));
  --disc.group->second.discs;
}

Groups::All::iterator Groups::group_of(const GroupKey& key) {
  const auto at = groups_.find(key);
  if (at != groups_.end()) return at;
  if (groups_.size() < most_ || make_room()) return groups_.try_emplace(key).first;
  return groups_.try_emplace({"others", "others"}).first;
}

bool Groups::make_room() {
  const auto empty = std::find_if(groups_.begin(), groups_.end(),
                                  [](const auto& group) { return group.second.discs == 0; });
  if (empty == groups_.end()) return false;
  add(evicted_, empty->second.carried);
  groups_.erase(empty);
  return true;
}

}  // namespace head::control
