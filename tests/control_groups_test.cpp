// Counters that a Prometheus reads may never go back: it would take the whole of what is left for
// new.
#include "head/control/groups.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <map>
#include <random>
#include <utility>
#include <vector>

using namespace head;
using namespace std::chrono_literals;
using control::GroupKey;
using control::GroupLatency;
using control::Groups;
using control::GroupSums;
using control::Member;
using stats::Operation;

namespace {

std::shared_ptr<stats::DiscStats> asked(int requests) {
  auto disc = std::make_shared<stats::DiscStats>();
  for (int i = 0; i < requests; ++i)
    disc->record(Operation::read, 4096, 0, {.whole = 1ms, .away = 500us, .wire = 100us});
  return disc;
}

GroupLatency of(const GroupSums& sums, const GroupKey& key) {
  for (const GroupLatency& group : sums.groups)
    if (group.key == key) return group;
  FAIL("no group " << key.grade << ", " << key.tail);
  return {};
}

const stats::OperationSnapshot& reads(const GroupLatency& group) {
  return group.latency.by_operation[static_cast<std::size_t>(Operation::read)];
}

}  // namespace

TEST_CASE("discs are summed up by grade and tail", "[control]") {
  Groups groups(10);
  const auto a = asked(1), b = asked(2), c = asked(4), d = asked(8);
  const GroupSums sums =
      groups.sum({{a, {"gold", "t"}}, {b, {"gold", "t"}}, {c, {"gold", "u"}}, {d, {"tin", "t"}}});
  REQUIRE(sums.groups.size() == 3);
  CHECK(of(sums, {"gold", "t"}).discs == 2);
  CHECK(reads(of(sums, {"gold", "t"})).requests == 3);
  CHECK(reads(of(sums, {"gold", "t"})).bytes == 3 * 4096);
  CHECK(reads(of(sums, {"gold", "t"})).latency.count == 3);
  CHECK(reads(of(sums, {"gold", "u"})).requests == 4);
  CHECK(reads(of(sums, {"tin", "t"})).requests == 8);
}

TEST_CASE("what a disc has counted stays when it is gone", "[control]") {
  Groups groups(10);
  auto a = asked(3), b = asked(5);
  a->record_stall(stats::Cause::network, 1s);
  a->record_slow_opening(stats::Cause::tail, 4s);
  a->interface_back_at_ns = 500'000'000;
  a->record_parked(stats::Instant(100ms), 200ms);
  a->record_parked(stats::Instant(1s), 3s);
  a->reconnects = 2;
  groups.sum({{a, {"gold", "t"}}, {b, {"gold", "t"}}});
  // It may have gone on until it was detached.
  a->record(Operation::read, 4096, 0, {.whole = 1ms});
  a.reset();
  for (int i = 0; i < 2; ++i) {
    const GroupSums sums = groups.sum({{b, {"gold", "t"}}});
    CHECK(of(sums, {"gold", "t"}).discs == 1);
    CHECK(reads(of(sums, {"gold", "t"})).requests == 9);
    CHECK(reads(of(sums, {"gold", "t"})).latency.count == 9);
    CHECK(sums.reconnects == 2);
    CHECK(sums.stalls[static_cast<std::size_t>(stats::Cause::network)].count == 1);
    CHECK(sums.slow_openings[static_cast<std::size_t>(stats::Cause::tail)].count == 1);
    CHECK(sums.slow_openings[static_cast<std::size_t>(stats::Cause::tail)].time_ns ==
          4'000'000'000);
    CHECK(sums.interface_waits.count == 1);
    CHECK(sums.interface_waits.time_ns == 200'000'000);
    CHECK(sums.neighbour_stalls.count == 1);
    CHECK(sums.neighbour_stalls.time_ns == 3'000'000'000);
  }
}

TEST_CASE("a disc that moves to another tail leaves there what it counted", "[control]") {
  Groups groups(10);
  const auto a = asked(3);
  groups.sum({{a, {"gold", "t"}}});
  GroupSums sums = groups.sum({{a, {"gold", "u"}}});
  CHECK(reads(of(sums, {"gold", "t"})).requests == 3);
  CHECK(of(sums, {"gold", "t"}).discs == 0);
  CHECK(reads(of(sums, {"gold", "u"})).requests == 0);
  CHECK(reads(of(sums, {"gold", "u"})).wire.sum_ns == 0);
  CHECK(reads(of(sums, {"gold", "u"})).tail.sum_ns == 0);
  a->record(Operation::read, 4096, 0, {.whole = 1ms});
  sums = groups.sum({{a, {"gold", ""}}});  // Its entry is absent just now.
  CHECK(reads(of(sums, {"gold", "u"})).requests == 1);
  CHECK(reads(of(sums, {"gold", "u"})).latency.count == 1);
  CHECK(of(sums, {"gold", "u"}).discs == 1);
}

TEST_CASE("there are only so many groups", "[control]") {
  Groups groups(2);
  const auto a = asked(1), b = asked(2), c = asked(4);
  GroupSums sums = groups.sum({{a, {"a", "t"}}, {b, {"b", "t"}}, {c, {"c", "t"}}});
  CHECK(sums.groups.size() == 3);
  CHECK(reads(of(sums, {"others", "others"})).requests == 4);
  sums = groups.sum({{c, {"c", "t"}}});
  const auto d = asked(8);
  d->reconnects = 1;
  sums = groups.sum({{c, {"c", "t"}}, {d, {"d", "t"}}});
  CHECK(sums.groups.size() == 3);
  CHECK(reads(of(sums, {"d", "t"})).requests == 8);
}

TEST_CASE("no counter of a group goes back, whatever discs do", "[control]") {
  const auto seed = GENERATE(range(0u, 50u));
  CAPTURE(seed);
  std::mt19937 random(seed);
  Groups groups(100);
  std::vector<std::pair<std::shared_ptr<stats::DiscStats>, GroupKey>> discs;
  std::map<GroupKey, std::pair<std::uint64_t, std::uint64_t>> before;
  std::uint64_t asked_ever = 0;
  for (int round = 0; round < 60; ++round) {
    if (random() % 3 == 0) discs.push_back({asked(0), {"g", "t0"}});
    if (!discs.empty() && random() % 5 == 0)
      discs.erase(discs.begin() + static_cast<std::ptrdiff_t>(random() % discs.size()));
    for (auto& [disc, key] : discs) {
      if (random() % 4 == 0) key.tail = fmt::format("t{}", random() % 4);
      if (round == 0 || random() % 2 == 0) continue;
      disc->record(Operation::read, 1, 0, {.whole = 1ms});
      ++asked_ever;
    }
    std::vector<Member> members;
    for (const auto& [disc, key] : discs) members.push_back({disc, key});
    const GroupSums sums = groups.sum(members);
    std::uint64_t all = 0;
    for (const GroupLatency& group : sums.groups) {
      auto& [requests, time] = before[group.key];
      CHECK(reads(group).requests >= requests);
      CHECK(reads(group).latency.sum_ns >= time);
      CHECK(reads(group).latency.count == reads(group).requests);
      requests = reads(group).requests;
      time = reads(group).latency.sum_ns;
      all += requests;
    }
    CHECK(all == asked_ever);
  }
}
