// Why requests were slow: the decision, what a held-up thread knows, and the log of stalls.
#include "head/stats/stalls.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <thread>

using namespace head::stats;
using namespace std::chrono_literals;

namespace {

constexpr Duration threshold = 20ms;
const Instant start{1h};

struct Case {
  const char* what;
  Evidence seen;
  Cause cause;
};

}  // namespace

TEST_CASE("the cause of a stall", "[stats]") {
  const Case cases[] = {
      {"the tail is slow", {.journey = {100ms, 99ms}}, Cause::tail},
      {"it waited for others", {.journey = {100ms, 10ms}}, Cause::queue},
      {"half and half, each enough to be too much", {.journey = {100ms, 50ms}}, Cause::tail},
      {"without the wait it was in time", {.journey = {30ms, 19ms}}, Cause::queue},
      {"a hair's breadth is not to blame", {.journey = {20'050us, 19'950us}}, Cause::tail},
      {"nor is a thread that was hardly late",
       {.journey = {20'900us, 20'800us}, .held_up = 1ms},
       Cause::tail},
      {"no neighbour", {.journey = {3s, 1s}, .neighbour_missing = true}, Cause::neighbour},
      {"no neighbour, so no connection",
       {.journey = {3s, 1s}, .neighbour_missing = true, .no_connection = true},
       Cause::neighbour},
      {"no connection", {.journey = {3s, 1s}, .no_connection = true}, Cause::reconnect},
      {"no connection, as packets were lost",
       {.journey = {3s, 1s}, .no_connection = true, .packets_lost = true},
       Cause::reconnect},
      {"packets lost", {.journey = {210ms, 209ms}, .packets_lost = true}, Cause::network},
      {"the thread slept", {.journey = {30ms, 29ms}, .held_up = 25ms}, Cause::head},
      {"the thread slept, and would not have helped",
       {.journey = {100ms, 99ms}, .held_up = 10ms},
       Cause::tail},
      {"the thread slept while a packet was lost",
       {.journey = {210ms, 209ms}, .held_up = 10ms, .packets_lost = true},
       Cause::network},
      {"the guest is slow", {.journey = {90ms, 1ms}, .receiving = 88ms}, Cause::guest},
      {"the guest is slow and the tail slower",
       {.journey = {900ms, 800ms}, .receiving = 88ms},
       Cause::tail},
  };
  for (const Case& one : cases) {
    INFO(one.what);
    CHECK(to_string(cause_of(one.seen, threshold)) == to_string(one.cause));
  }
}

TEST_CASE("a thread knows for how long it was held up", "[stats]") {
  HoldUps thread;
  CHECK(thread.within(start, start + 1s) == 0ms);

  thread.expect(start + 5ms);
  CHECK(thread.within(start, start + 4ms) == 0ms);
  CHECK(thread.within(start, start + 5ms + 500us) == 0ms);  // That is how timers are.
  CHECK(thread.within(start, start + 45ms) == 40ms);        // Still late.
  thread.called(start + 65ms);
  CHECK(thread.within(start, start + 100ms) == 60ms);
  CHECK(thread.within(start + 35ms, start + 100ms) == 30ms);
  CHECK(thread.within(start + 65ms, start + 100ms) == 0ms);

  thread.expect(start + 70ms);
  thread.called(start + 70ms);
  CHECK(thread.within(start, start + 100ms) == 60ms);

  SECTION("the oldest hold-ups are forgotten") {
    for (std::size_t i = 0; i < HoldUps::kept; ++i) {
      const auto at = start + 1s + i * 10ms;
      thread.expect(at);
      thread.called(at + 2ms);
    }
    CHECK(thread.within(start, start + 1s) == 0ms);
    CHECK(thread.within(start, start + 10s) == 2ms * HoldUps::kept);
  }
}

TEST_CASE("a wait for a neighbour is counted though it is no stall", "[stats]") {
  StallLog log;
  Stalls stalls(threshold, log);
  DiscStats disc;
  Answered request{.disc = "web1", .arrived = start, .journey = {10ms, 10ms}};
  stalls.look_at(disc, request);
  CHECK(disc.neighbour_stalls().count == 0);  // Its entry was not missing;
  disc.neighbour_missing_at_ns = std::chrono::nanoseconds(start.time_since_epoch()).count() + 1;
  request.journey.whole = DiscStats::without_neighbour_min;
  stalls.look_at(disc, request);
  CHECK(disc.neighbour_stalls().count == 0);  // or it was so quick that nobody can have looked.
  request.journey.whole = 10ms;
  stalls.look_at(disc, request);
  CHECK(disc.neighbour_stalls().count == 1);
  CHECK(disc.neighbour_stalls().time_ns == 10'000'000);
  CHECK(log.recorded() == 0);
}

TEST_CASE("a stall is counted with its disc, and kept", "[stats]") {
  StallLog log;
  Stalls stalls(threshold, log);
  DiscStats disc;
  Answered request{.disc = "web1",
                   .operation = Operation::write,
                   .offset = 4096,
                   .length = 512,
                   .error = 5,
                   .arrived = start,
                   .journey = {20ms, 19ms}};
  stalls.look_at(disc, request);
  CHECK(log.recorded() == 0);  // At the threshold is not over it.

  request.journey = {50ms, 49ms, 2ms};
  const auto expect = [&](Cause cause) {
    stalls.look_at(disc, request);
    const Stall last = log.read().back();
    CHECK(to_string(last.cause) == to_string(cause));
  };
  expect(Cause::tail);
  const auto at = [](Duration after) {
    return std::chrono::nanoseconds((start + after).time_since_epoch()).count();
  };
  disc.packets_lost_at_ns = at(-1ns);
  expect(Cause::tail);  // That was before.
  disc.packets_lost_at_ns = at(10ms);
  expect(Cause::network);
  disc.replaced_at_ns = at(-1ns);
  expect(Cause::network);
  disc.replaced_at_ns = at(10ms);  // Another connection took over, and the disc stayed ready.
  expect(Cause::reconnect);
  disc.replaced_at_ns = 0;
  disc.enter(DiscState::ready, start + 20ms);
  expect(Cause::reconnect);
  disc.neighbour_missing_at_ns = at(0ms);
  expect(Cause::neighbour);

  const Stall first = log.read().front();
  CHECK(first.disc() == "web1");
  CHECK(first.operation == Operation::write);
  CHECK(first.offset == 4096);
  CHECK(first.length == 512);
  CHECK(first.error == 5);
  CHECK(first.whole_ns == 50'000'000);
  CHECK(first.away_ns == 49'000'000);
  CHECK(first.wire_ns == 2'000'000);
  const DiscSnapshot now = disc.snapshot();
  CHECK(now.stalls[static_cast<std::size_t>(Cause::tail)].count == 2);
  CHECK(now.stalls[static_cast<std::size_t>(Cause::tail)].time_ns == 100'000'000);
  CHECK(now.stalls[static_cast<std::size_t>(Cause::neighbour)].count == 1);
}

// It was counted as a stalled request, and told of as one that waited for neighbour discovery.
TEST_CASE("a disc that was long in opening is told of apart, once it is over", "[stats]") {
  StallLog log;
  Stalls stalls(threshold, log);
  DiscStats disc;
  Opening opening{.since = start, .until = start + 1s};
  stalls.look_at(disc, "web1", opening);
  CHECK(log.openings_recorded() == 0);  // Several round trips, and thousands at once: in order.

  opening.until = start + 3s;
  const auto expect = [&](Cause cause) {
    stalls.look_at(disc, "web1", opening);
    const Stall last = log.read_openings().back();
    CHECK(to_string(last.cause) == to_string(cause));
    CHECK(last.operation == Operation::open);
    CHECK(last.whole_ns == 3'000'000'000);
    CHECK(last.disc() == "web1");
  };
  expect(Cause::tail);  // The one attempt took that long.
  opening.failed_before = true;
  expect(Cause::reconnect);
  disc.neighbour_missing_at_ns = std::chrono::nanoseconds((start + 1s).time_since_epoch()).count();
  opening.error = 108;
  expect(Cause::neighbour);
  CHECK(log.read_openings().back().error == 108);
  const DiscSnapshot now = disc.snapshot();
  const auto opened = [&](Cause cause) {
    return now.slow_openings[static_cast<std::size_t>(cause)];
  };
  CHECK(opened(Cause::neighbour).count == 1);
  CHECK(opened(Cause::neighbour).time_ns == 3'000'000'000);
  CHECK(opened(Cause::reconnect).count == 1);
  CHECK(opened(Cause::head).count == 0);
  for (const StallSnapshot& requests : now.stalls) CHECK(requests.count == 0);
  CHECK(now.neighbour_stalls.count == 0);
  CHECK(now.by_operation[0].requests == 0);
  CHECK(log.recorded() == 0);
  CHECK(log.read().empty());

  stalls.set_threshold(5s);
  stalls.look_at(disc, "web1", opening);
  CHECK(log.openings_recorded() == 3);
}

TEST_CASE("the log keeps the last stalls", "[stats]") {
  StallLog log;
  CHECK(log.read().empty());
  const std::string longest(Stall::name_max, 'x');
  for (std::uint64_t i = 0; i < StallLog::kept + 10; ++i) {
    Stall stall{.offset = i};
    stall.set_disc(longest);
    log.record(stall);
  }
  const auto stalls = log.read();
  REQUIRE(stalls.size() == StallLog::kept);
  CHECK(stalls.front().offset == 10);
  CHECK(stalls.back().offset == StallLog::kept + 9);
  CHECK(stalls.front().disc() == longest);
  CHECK(log.recorded() == StallLog::kept + 10);
}

TEST_CASE("whoever reads the log while it is written sees whole stalls, in order", "[stats]") {
  StallLog log;
  std::atomic<bool> over{false};
  std::thread writer([&] {
    for (std::uint64_t i = 0; !over; ++i) {
      Stall stall{.offset = i, .whole_ns = static_cast<std::int64_t>(i)};
      stall.length = static_cast<std::uint32_t>(i);
      log.record(stall);
    }
  });
  std::uint64_t torn = 0, unordered = 0, seen = 0;
  while (log.recorded() < 4 * StallLog::kept) std::this_thread::yield();
  for (int i = 0; i < 200; ++i) {
    std::uint64_t last = 0;
    for (const Stall& stall : log.read()) {
      ++seen;
      if (stall.offset != static_cast<std::uint64_t>(stall.whole_ns) ||
          stall.length != static_cast<std::uint32_t>(stall.offset))
        ++torn;
      if (stall.offset < last) ++unordered;
      last = stall.offset;
    }
  }
  over = true;
  writer.join();
  CHECK(torn == 0);
  CHECK(unordered == 0);
  CHECK(seen > 0);
}
