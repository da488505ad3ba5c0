// What outlives a headd that is killed: records of what its tails may still carry out.
#include "head/control/trace_file.hpp"
#include "head/disc/fence.hpp"
#include "head/disc/traces.hpp"
#include "tests/folder.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace head;
using namespace std::chrono_literals;
using disc::Fence;
using disc::LeftTraces;
using disc::Range;
using disc::Trace;
using disc::Traces;

namespace {

constexpr iouring::Instant now{1h};
constexpr std::uint64_t key = 7, other_key = 8;
constexpr Range here{.offset = 4096, .length = 512}, there{.offset = 9000, .length = 8};

// What is found by who comes after.
std::vector<Trace> left_of(std::span<const Traces::Record> memory) {
  return Traces::read(memory, now, 30s);
}

}  // namespace

TEST_CASE("a trace counts from when it is noted to when it is forgotten", "[disc]") {
  std::array<Traces::Record, 4> memory{};
  LeftTraces left_behind;
  Traces traces(memory, left_behind);
  CHECK(left_of(memory).empty());
  Traces::Record* const one = traces.note({.export_key = key, .range = here, .content = 11});
  Traces::Record* const two = traces.note(
      {.export_key = other_key, .range = there, .until = now + 5s, .acknowledged = true});
  CHECK(left_of(memory) ==
        std::vector<Trace>{
            {.export_key = key, .range = here, .content = 11, .until = now + 30s},
            {.export_key = other_key, .range = there, .until = now + 5s, .acknowledged = true}});
  traces.set_end(one, now + 1s);
  traces.forget(two);
  CHECK(left_of(memory) ==
        std::vector<Trace>{{.export_key = key, .range = here, .content = 11, .until = now + 1s}});
  traces.set_end(one, now - 1s);  // Nothing comes any more.
  CHECK(left_of(memory).empty());
}

TEST_CASE("what finds no room among the traces puts every disc in doubt", "[disc]") {
  std::array<Traces::Record, 3> memory{};
  LeftTraces left_behind;
  Traces traces(memory, left_behind);
  traces.note({.export_key = key, .range = here, .content = 1});
  Traces::Record* const last = traces.note({.export_key = key, .range = there, .content = 2});
  std::array<Traces::Record*, 3> more{};
  for (auto*& one : more)
    one = traces.note({.export_key = key, .range = here, .content = 3, .until = now + 1s});
  const auto whole = [&] {
    const auto left = left_of(memory);
    return std::count_if(left.begin(), left.end(), [](const Trace& trace) {
      return trace.export_key == Trace::any_export && trace.range.length == UINT64_MAX &&
             trace.until == now + 30s;
    });
  };
  CHECK(whole() == 1);
  for (auto* one : more) {
    CHECK(whole() == 1);
    traces.forget(one);
  }
  CHECK(whole() == 0);
  traces.forget(last);
  CHECK(traces.note({.export_key = key, .range = here, .content = 4}) == last);
}

TEST_CASE("the next disc of an export finds what the one before has left", "[disc]") {
  std::array<Traces::Record, 8> memory{};
  const Trace old{.export_key = key, .range = there, .content = 5, .until = now + 2s};
  const Trace any{.range = {.offset = 0, .length = 9}, .until = now + 3s};
  LeftTraces left_behind;
  for (const Trace& trace : {old, any}) left_behind.add(trace, now);
  Traces traces(memory, left_behind);
  traces.abandon(traces.note({.export_key = key, .range = here, .content = 6}), now + 4s, now);
  traces.abandon(traces.note({.export_key = other_key, .range = here, .content = 7}), now + 4s,
                 now);
  traces.abandon(nullptr, now + 4s, now);
  const Trace mine{.export_key = key, .range = here, .content = 6, .until = now + 4s};
  CHECK(traces.left(key, now) == std::vector<Trace>{old, any, mine});
  CHECK(traces.left(other_key, now).size() == 2);
  CHECK(traces.left(key, now + 2s) == std::vector<Trace>{any, mine});
  CHECK(traces.left(key, now + 4s).empty());
  traces.abandon(nullptr, {}, now + 4s);
  CHECK(left_of(memory).empty());  // And its place is free again.
}

TEST_CASE("what a disc has left is known on every thread", "[disc]") {
  std::array<Traces::Record, 4> memory{}, others{};
  LeftTraces left_behind;
  Traces traces(memory, left_behind), other(others, left_behind);
  traces.abandon(traces.note({.export_key = key, .range = here, .content = 6}), now + 4s, now);
  const std::vector<Trace> mine{
      {.export_key = key, .range = here, .content = 6, .until = now + 4s}};
  CHECK(other.left(key, now) == mine);
  // However often it is attached and detached, it is one.
  for (int i = 0; i < 10; ++i) {
    Fence fence(&other, key);
    for (const Trace& trace : other.left(key, now)) fence.doubt(trace);
    fence.leave(now, now + 4s);
  }
  CHECK(other.left(key, now) == mine);
  CHECK(left_of(others).empty());
}

TEST_CASE("a fence leaves a trace of whatever may be carried out, at any moment", "[disc]") {
  std::array<Traces::Record, 64> memory{};
  LeftTraces left_behind;
  Traces traces(memory, left_behind);
  const int a = 0, b = 0, connection = 0;
  const auto ranges = [&] {
    std::vector<std::uint64_t> contents;
    for (const Trace& trace : left_of(memory)) contents.push_back(trace.content);
    std::sort(contents.begin(), contents.end());
    return contents;
  };
  using Contents = std::vector<std::uint64_t>;
  std::optional<Fence> fence;
  fence.emplace(&traces, key);
  fence->begin(&b, there, false);  // Its blocks are read first.
  CHECK(ranges().empty());
  fence->begin(&b, there, false, 2);
  fence->begin(&a, here, false, 1);
  CHECK(ranges() == Contents{1, 2});

  // Lost with its connection, and merged with another block then.
  fence->doubt(&b, there, Fence::Term{now + 3s, now + 3s}, *fence->sent(&b));
  fence->begin(&b, there, true);
  fence->rest(&b);
  fence->begin(&b, there, false, 3);
  CHECK(ranges() == Contents{1, 2, 3});
  fence->end(&b);
  CHECK(ranges() == Contents{1, 2});

  // Still to be answered elsewhere, and lost there as well.
  fence->doubt(&a, here, Fence::Witness{.connection = &connection, .cookie = 4}, 1);
  fence->end(&a);
  CHECK(ranges() == Contents{1, 2});
  fence->lose_witness(&connection, Fence::Term{now + 1s, now + 2s});
  const auto left = left_of(memory);
  CHECK(std::any_of(left.begin(), left.end(), [](const Trace& trace) {
    return trace.content == 1 && trace.until == now + 2s;
  }));
  fence->expire(now + 2s);
  CHECK(ranges() == Contents{2});

  // What is under way when the disc ends.
  fence->begin(&a, here, false, 9);
  fence->leave(now, now + 10s);
  fence.reset();
  CHECK(ranges() == Contents{2, 9});
  CHECK(traces.left(key, now + 3s).size() == 1);
  CHECK(traces.left(key, now + 10s).empty());
}

TEST_CASE("what is written again as a ghost does may pass it, and nothing else", "[disc]") {
  Fence fence;
  const int a = 0, b = 0;
  fence.doubt(nullptr, here, Fence::Term{now + 5s, now + 5s}, 42);
  CHECK(fence.may_adopt(here));
  CHECK_FALSE(fence.may_adopt({.offset = here.offset, .length = here.length - 1}));
  fence.adopt(&a, here, 41);
  CHECK(fence.holds(&a, here, true, now));
  fence.adopt(&a, here, 42);
  CHECK_FALSE(fence.holds(&a, here, true, now));
  CHECK(fence.holds(&b, here, true, now));
  fence.begin(&a, here, false, 42);
  fence.end(&a);
  CHECK(fence.holds(&b, here, true, now));  // The ghost may come still.
  fence.adopt(&b, here, 42);
  CHECK_FALSE(fence.holds(&b, here, true, now));
}

// Each state of memory that a kill can find holds what is in flight.
TEST_CASE("traces are those of what is under way, whatever happens", "[disc]") {
  std::mt19937_64 dice(11);
  std::array<Traces::Record, 16> memory{};
  LeftTraces left_behind;
  Traces traces(memory, left_behind);
  std::vector<Traces::Record*> noted;
  std::vector<std::uint64_t> contents;
  for (std::uint64_t step = 1; step < 20'000; ++step) {
    if (noted.empty() || dice() % 2 == 0) {
      noted.push_back(traces.note({.export_key = key, .range = here, .content = step}));
      contents.push_back(step);
    } else {
      const std::size_t which = dice() % noted.size();
      traces.forget(noted[which]);
      noted.erase(noted.begin() + static_cast<std::ptrdiff_t>(which));
      contents.erase(contents.begin() + static_cast<std::ptrdiff_t>(which));
    }
    const auto left = left_of(memory);
    const bool all = std::any_of(left.begin(), left.end(), [](const Trace& trace) {
      return trace.export_key == Trace::any_export;
    });
    const bool each = std::all_of(contents.begin(), contents.end(), [&](std::uint64_t content) {
      return all || std::any_of(left.begin(), left.end(),
                                [&](const Trace& trace) { return trace.content == content; });
    });
    REQUIRE(each);
    REQUIRE(left.size() <= contents.size());
  }
}

TEST_CASE("traces in RUN/ are found by the next headd, as often as it is killed", "[control]") {
  const test::Folder folder;
  const auto files = [&] {
    return std::distance(std::filesystem::directory_iterator(folder.path), {});
  };
  auto first = std::make_unique<control::TraceFile>(folder.path, 2, 30s);
  first->of(0).note({.export_key = key, .range = here, .content = 1});
  first->of(1).note({.export_key = key, .range = there, .content = 2});
  {
    // While the first one lives its traces are its own.
    control::TraceFile beside(folder.path, 1, 30s);
    CHECK(beside.of(0).left(key, iouring::Instant::clock::now()).empty());
    CHECK(files() == 2);
  }
  CHECK(files() == 1);
  first.reset();
  CHECK(files() == 1);
  for (int kills = 0; kills < 3; ++kills) {
    control::TraceFile next(folder.path, 3, 30s);
    CHECK(files() == 1);
    for (unsigned thread = 0; thread < 3; ++thread)
      CHECK(next.of(thread).left(key, iouring::Instant::clock::now()).size() == 2);
  }
  {
    control::TraceFile last(folder.path, 1, 0s);  // Tails carry out nothing more.
    CHECK(last.of(0).left(key, iouring::Instant::clock::now()).empty());
  }
  CHECK(files() == 0);
}

TEST_CASE("a headd that runs finds what one that ends beside it has left", "[control]") {
  const test::Folder folder;
  const auto seen = [](control::TraceFile& by) {
    return by.of(1).left(key, iouring::Instant::clock::now()).size();
  };
  auto old = std::make_unique<control::TraceFile>(folder.path, 1, 30s);
  control::TraceFile next(folder.path, 2, 30s);
  old->of(0).note({.export_key = key, .range = here, .content = 1});
  next.look();
  CHECK(seen(next) == 0);
  old.reset();
  next.look();
  CHECK(seen(next) == 1);
  next.look();
  CHECK(seen(next) == 1);
}

TEST_CASE("a headd that takes over finds what one that still runs has left", "[control]") {
  const test::Folder folder;
  control::TraceFile old(folder.path, 1, 30s), next(folder.path, 1, 30s);
  const auto seen = [&] { return next.of(0).left(key, iouring::Instant::clock::now()).size(); };
  old.of(0).note({.export_key = key, .range = here, .content = 1});
  next.look();
  CHECK(seen() == 0);
  next.look_at_running();
  CHECK(seen() == 1);
  CHECK(old.of(0).left(key, iouring::Instant::clock::now()).empty());  // Nothing of `next` is left.
}

TEST_CASE("nobody takes the file of a headd that begins", "[control]") {
  const test::Folder folder;
  control::TraceFile runs(folder.path, 1, 30s);
  std::atomic<bool> stop = false;
  std::thread looks([&] {
    while (!stop) runs.look();
  });
  std::size_t lost = 0;
  for (int i = 0; i < 300; ++i) {
    control::TraceFile begins(folder.path, 1, 30s);
    const auto all = std::filesystem::directory_iterator(folder.path);
    if (std::distance(all, {}) != 2) ++lost;
  }
  stop = true;
  looks.join();
  CHECK(lost == 0);
}

TEST_CASE("traces that cannot be read put every disc in doubt", "[control]") {
  const auto with = [](const std::string& bytes) {
    const test::Folder folder;
    std::ofstream(folder.path / "traces.old", std::ios::binary) << bytes;
    control::TraceFile file(folder.path, 1, 30s);
    return file.of(0).left(key, iouring::Instant::clock::now());
  };
  for (const std::string& bytes : {std::string(), std::string(64, '\0')})
    CHECK(with(bytes).empty());  // Its headd had not begun.
  for (const std::string& bytes : {std::string("x"), std::string(4096, 'x')}) {
    const auto left = with(bytes);
    REQUIRE(left.size() == 1);
    CHECK(left[0].export_key == Trace::any_export);
    CHECK(left[0].range == Range{.offset = 0, .length = UINT64_MAX});
  }
}

TEST_CASE("exports are told apart by address, port and name", "[disc]") {
  std::array<std::byte, 16> address{};
  const auto first = disc::key_of(address, 10809, "a");
  CHECK(first == disc::key_of(address, 10809, "a"));
  CHECK(first != disc::key_of(address, 10810, "a"));
  CHECK(first != disc::key_of(address, 10809, "b"));
  address[15] = std::byte{1};
  CHECK(first != disc::key_of(address, 10809, "a"));
}
