#include "head/stats/disc_stats.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <string>
#include <vector>

using namespace head::stats;
using namespace std::chrono_literals;

namespace {

struct Listener final : DiscStats::Watcher {
  void on_state(DiscState state) noexcept override { heard.push_back(state); }
  std::vector<DiscState> heard;
};

}  // namespace

TEST_CASE("requests, bytes and errors are told apart by operation", "[stats]") {
  DiscStats stats;
  stats.record(Operation::read, 4096, 0, {.whole = 120us, .away = 100us, .wire = 30us});
  stats.record(Operation::read, 4096, EIO, {.whole = 80us, .away = 80us, .wire = 80us});
  stats.record(Operation::write, 512, 0, {.whole = 1ms});

  const DiscSnapshot now = stats.snapshot();
  const auto& read = now.by_operation[static_cast<std::size_t>(Operation::read)];
  CHECK(read.requests == 2);
  CHECK(read.bytes == 4096);
  CHECK(read.errors == 1);
  CHECK(read.latency.count == 2);
  CHECK(read.latency.sum_ns == 200'000);
  CHECK(read.head.sum_ns == 20'000);
  CHECK(read.wire.sum_ns == 110'000);
  CHECK(read.tail.sum_ns == 70'000);
  CHECK(now.by_operation[static_cast<std::size_t>(Operation::write)].bytes == 512);
  CHECK(now.by_operation[static_cast<std::size_t>(Operation::flush)].requests == 0);
}

TEST_CASE("stalls are counted with the time they cost, by cause", "[stats]") {
  DiscStats stats;
  stats.record_stall(Cause::neighbour, 1s);
  stats.record_stall(Cause::neighbour, 2s);
  stats.record_stall(Cause::tail, 30ms);

  const DiscSnapshot now = stats.snapshot(false);
  CHECK(now.stalls[static_cast<std::size_t>(Cause::neighbour)].count == 2);
  CHECK(now.stalls[static_cast<std::size_t>(Cause::neighbour)].time_ns == 3'000'000'000);
  CHECK(now.stalls[static_cast<std::size_t>(Cause::tail)].count == 1);
  CHECK(now.stalls[static_cast<std::size_t>(Cause::reconnect)].count == 0);
}

TEST_CASE("waits for neighbour discovery that overlap are counted once", "[stats]") {
  DiscStats stats;
  const Instant start{100s};
  const auto expect = [&](std::uint64_t count, std::chrono::milliseconds time) {
    CHECK(stats.neighbour_stalls().count == count);
    CHECK(stats.snapshot().neighbour_stalls.time_ns ==
          static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count()));
  };
  // Nothing is told: what waited counts, however many they were.
  stats.record_without_neighbour(start, start + 300ms);
  stats.record_without_neighbour(start - 1ms, start + 301ms);
  expect(1, 301ms);
  stats.record_without_neighbour(start + 400ms, start + 405ms);
  expect(1, 301ms);  // Too short to know.

  // The kernel told how long it was; what else the request waited for does not count,
  const Instant later = start + 10s;
  stats.record_parked(later, 200ms);
  expect(2, 501ms);
  stats.record_without_neighbour(later - 1ms, later + 250ms);
  // nor that of a request behind it,
  stats.record_without_neighbour(later + 100ms, later + 250ms);
  // nor that of another connection's packet.
  stats.record_parked(later + 50ms, 150ms);
  expect(2, 501ms);

  // It was not parked: the tail took so long, and the entry was not missed.
  stats.record_parked(later + 1s, 0ms);
  stats.record_without_neighbour(later + 1s, later + 5s);
  expect(2, 501ms);
  // But it waited for that, unsent, before.
  stats.record_parked(later + 30s, 0ms);
  stats.record_without_neighbour(later + 20s, later + 31s);
  expect(3, 10'501ms);
}

TEST_CASE("a change of state is stamped and told", "[stats]") {
  Listener listener;
  DiscStats stats(&listener);
  const Instant now{5s};
  stats.enter(DiscState::ready, now);
  stats.enter(DiscState::reconnecting, now + 1s);
  CHECK(listener.heard == std::vector{DiscState::ready, DiscState::reconnecting});
  CHECK(stats.snapshot().state == DiscState::reconnecting);
  CHECK(stats.snapshot().state_since_ns == 6'000'000'000);
}

TEST_CASE("a problem is kept short, however long a peer made it", "[stats]") {
  DiscStats stats;
  stats.set_problem(std::string(10'000, 'x'));
  CHECK(stats.problem() == std::string(200, 'x'));
  stats.set_problem("");
  CHECK(stats.problem().empty());
  stats.set_note(std::string(10'000, 'y'));
  CHECK(stats.snapshot().note == std::string(200, 'y'));
}

TEST_CASE("a snapshot without latency holds no histogram", "[stats]") {
  DiscStats stats;
  stats.record(Operation::read, 4096, 0, {.whole = 120us, .away = 100us});
  CHECK(stats.snapshot(false).by_operation[0].requests == 1);
  CHECK(stats.snapshot(false).by_operation[0].latency.buckets.empty());
}

TEST_CASE("states, causes and operations have names", "[stats]") {
  CHECK(to_string(Operation::block_status) == "block_status");
  CHECK(to_string(Cause::neighbour) == "neighbour");
  CHECK(to_string(DiscState::detaching) == "detaching");
}

TEST_CASE("of the parts of a latency the times can be had without the counts", "[stats]") {
  DiscStats disc;
  disc.record(Operation::read, 1, 0, {.whole = 4ms, .away = 3ms, .wire = 1ms});
  std::array<OperationSnapshot, operations> sum{};
  disc.add_to(sum, Detail::guest);
  CHECK(sum[0].latency.count == 1);
  CHECK(sum[0].head.sum_ns == 1'000'000);
  CHECK(sum[0].wire.sum_ns == 1'000'000);
  CHECK(sum[0].tail.sum_ns == 2'000'000);
  CHECK(sum[0].tail.max_ns == 2'000'000);
  CHECK(sum[0].tail.buckets.empty());
}

TEST_CASE("who waited while the interface was away did not wait for neighbour discovery",
          "[stats]") {
  const Instant start(1h);
  DiscStats stats;
  stats.interface_back_at_ns = std::chrono::nanoseconds((start + 300ms).time_since_epoch()).count();
  stats.record_parked(start, 400ms);
  stats.record_without_neighbour(start + 100ms, start + 500ms);
  CHECK(stats.neighbour_stalls().count == 0);
  stats.record_parked(start + 301ms, 100ms);  // The interface was there.
  CHECK(stats.neighbour_stalls().count == 1);
}

// These waits were counted nowhere.
TEST_CASE("who waited while the interface was away is counted apart, and no moment twice",
          "[stats]") {
  const Instant start(1h);
  DiscStats stats;
  stats.interface_back_at_ns = std::chrono::nanoseconds((start + 300ms).time_since_epoch()).count();
  const auto expect = [&](StallSnapshot told, std::uint64_t count, std::uint64_t ms) {
    CHECK(told.count == count);
    CHECK(told.time_ns == ms * 1'000'000);
  };
  stats.record_parked(start, 400ms);
  expect(stats.interface_waits(), 1, 400);
  stats.record_without_neighbour(start + 410ms, start + 414ms);  // Too short to be looked at.
  stats.record_parked(start + 200ms, 300ms);                     // It overlaps the first.
  expect(stats.interface_waits(), 1, 500);
  expect(stats.neighbour_stalls(), 0, 0);
  stats.record_parked(start + 301ms, 299ms);  // The interface was there; the rest of it counts.
  expect(stats.neighbour_stalls(), 1, 100);
  stats.record_parked(start + 299ms, 401ms);  // The other kind again.
  expect(stats.interface_waits(), 2, 600);
  stats.record_parked(start + 800ms, 50ms);
  expect(stats.neighbour_stalls(), 2, 150);
  expect(stats.snapshot().interface_waits, 2, 600);
}
