// Who must wait for whom, and what is kept: the pure parts of what a disc promises.
#include "head/disc/fence.hpp"
#include "head/disc/replay_log.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <vector>

using namespace head::disc;
using head::nbd::Command;
using namespace std::chrono_literals;

namespace {

const iouring::Instant now{1h};
const int a = 0, b = 0, c = 0;  // Their addresses are names.

struct Write final : head::nbd::Request {
  Write(Command what, std::uint64_t from, std::uint32_t size, std::byte with) : bytes(size, with) {
    command = what;
    offset = from;
    length = size;
    const std::size_t cut = size / 3;
    parts = {{{bytes.data(), cut}, {bytes.data() + cut, size - cut}}};
    if (what == Command::write) memory = parts;
  }
  void on_done(int) noexcept override {}
  std::vector<std::byte> bytes;
  std::array<iovec, 2> parts{};
};

}  // namespace

TEST_CASE("what overlaps a change that is sent again waits until that is answered", "[disc]") {
  Fence fence;
  CHECK(fence.idle());
  fence.begin(&a, {.offset = 100, .length = 50}, true);
  CHECK(fence.holds(&b, {.offset = 149, .length = 1}, true, now));
  CHECK(fence.holds(&b, {.offset = 0, .length = 101}, false, now));  // Reads as well.
  CHECK_FALSE(fence.holds(&b, {.offset = 150, .length = 9}, true, now));
  CHECK_FALSE(fence.holds(&a, {.offset = 100, .length = 50}, true, now));
  CHECK(fence.end(&a));
  CHECK_FALSE(fence.end(&a));
  CHECK_FALSE(fence.holds(&b, {.offset = 149, .length = 1}, true, now));
  CHECK(fence.idle());
}

TEST_CASE("changes that are sent again go one after the other where they overlap", "[disc]") {
  Fence fence;
  const Range range{.offset = 0, .length = 10};
  fence.begin(&a, range, true);
  fence.begin(&b, range, true);
  CHECK_FALSE(fence.holds(&a, range, true, now));
  CHECK(fence.holds(&b, range, true, now));
  CHECK(fence.holds(&c, range, true, now));
  fence.end(&a);
  CHECK_FALSE(fence.holds(&b, range, true, now));
  CHECK(fence.holds(&c, range, true, now));
}

TEST_CASE("where a ghost may come only its own change may go, for a while", "[disc]") {
  Fence fence;
  const Range range{.offset = 0, .length = 10};
  fence.doubt(&a, range, {now + 1s, now + 1s});
  CHECK_FALSE(fence.holds(&a, range, true, now));
  CHECK(fence.holds(&b, range, true, now));
  CHECK_FALSE(fence.holds(&b, range, false, now));  // What is read there does not change.
  fence.end(&a);
  CHECK(fence.holds(&a, range, true, now));  // It is another change, if at the same place.
  CHECK(fence.next_end() == now + 1s);
  CHECK_FALSE(fence.holds(&a, range, true, now + 1s));
  fence.expire(now);
  CHECK_FALSE(fence.idle());
  fence.expire(now + 1s);
  CHECK_FALSE(fence.next_end());
  CHECK(fence.idle());
}

TEST_CASE("more ghosts than can be told apart put all of a disc in doubt", "[disc]") {
  Fence fence;
  for (std::size_t i = 0; i <= Fence::doubts_max; ++i)
    fence.doubt(nullptr, {.offset = i * 10, .length = 1}, {now + 1s, now + 1s});
  CHECK(fence.holds(&b, {.offset = 1u << 30, .length = 1}, true, now));
  CHECK_FALSE(fence.holds(&b, {.offset = 1u << 30, .length = 1}, true, now + 1s));
  fence.expire(now + 1s);
  CHECK(fence.idle());
}

TEST_CASE("a ghost that is still to be answered ends with its answer", "[disc]") {
  Fence fence;
  const Range range{.offset = 0, .length = 10};
  const int connection = 0, another = 0;
  fence.doubt(&a, range, Fence::Witness{&connection, 7});
  CHECK(fence.holds(&b, range, true, now + 1000h));
  CHECK_FALSE(fence.holds(&a, range, true, now));
  CHECK_FALSE(fence.next_end());
  CHECK_FALSE(fence.settle({&connection, 8}));
  CHECK_FALSE(fence.settle({&another, 7}));
  CHECK(fence.settle({&connection, 7}));
  CHECK(fence.idle());
}

TEST_CASE("a ghost whose answer is lost has its time", "[disc]") {
  Fence fence;
  const Range range{.offset = 0, .length = 10};
  const int connection = 0, another = 0;
  fence.doubt(&a, range, Fence::Witness{&connection, 7});
  fence.lose_witness(&another, {});
  CHECK(fence.holds(&b, range, true, now + 1000h));
  fence.lose_witness(&connection, {now + 1s, now + 1s});
  CHECK(fence.next_end() == now + 1s);
  CHECK(fence.holds(&b, range, true, now));
  CHECK_FALSE(fence.holds(&b, range, true, now + 1s));
}

TEST_CASE("a ghost may come for longer where the disc turns out to have moved", "[disc]") {
  Fence fence;
  const Range range{.offset = 0, .length = 10};
  fence.doubt(&a, range, {now + 1s, now + 5s});
  CHECK(fence.next_end() == now + 1s);
  fence.tail_moved();
  CHECK(fence.holds(&b, range, true, now + 4s));
  CHECK_FALSE(fence.holds(&b, range, true, now + 5s));
  fence.doubt(&a, range, Fence::Term{});  // None comes.
  fence.expire(now + 5s);
  CHECK_FALSE(fence.next_end());
  CHECK(fence.idle());
}

TEST_CASE("what an earlier headd has left unanswered goes first, and passes its own ghost only",
          "[disc]") {
  Fence fence;
  const Range range{.offset = 0, .length = 10};
  fence.doubt(nullptr, range, {now + 9s, now + 9s}, 7);
  fence.expect(range, 7, now + 5s);
  CHECK(fence.holds(&b, range, false, now));  // Reads as well, but not for ever.
  CHECK_FALSE(fence.holds(&b, range, false, now + 5s));
  CHECK_FALSE(fence.arrive(&a, range, 8));  // Another one.
  CHECK(fence.holds(&a, range, true, now));
  CHECK(fence.arrive(&a, range, 7));
  CHECK_FALSE(fence.expects(range));
  CHECK(fence.holds(&a, range, true, now));
  fence.adopt(&a, range, 7);
  CHECK_FALSE(fence.holds(&a, range, true, now));
  CHECK(fence.holds(&b, range, false, now));
  fence.end(&a);
  CHECK_FALSE(fence.holds(&b, range, false, now));
  CHECK(fence.holds(&b, range, true, now));
}

TEST_CASE("what an earlier headd has sent goes first, also in pieces", "[disc]") {
  Fence fence;
  const Range range{.offset = 2, .length = 6}, block{.offset = 0, .length = 16};
  fence.expect(range, 7, now + 5s);
  CHECK(fence.awaits_other(&b, block, now));
  CHECK_FALSE(fence.awaits_other(&b, {.offset = 16, .length = 16}, now));
  CHECK_FALSE(fence.awaits_other(&b, block, now + 5s));
  fence.arrive(&a, range, 7);
  CHECK(fence.was_awaited(&a));
  CHECK_FALSE(fence.awaits_other(&a, block, now));
  CHECK(fence.awaits_other(&b, block, now + 9s));  // However long it takes.
  // The read of the block that it changes a part of passes nobody else's change, and its own whole.
  const int piece = 0;
  CHECK_FALSE(fence.holds(&piece, block, true, now, &a));
  CHECK(fence.holds(&b, block, true, now, &b));
  CHECK(fence.holds(&b, range, false, now));
  fence.begin(&piece, block, false);
  fence.end(&piece);
  CHECK(fence.holds(&b, range, false, now));  // Until all of it is answered.
  CHECK(fence.end(&a));
  CHECK_FALSE(fence.was_awaited(&a));
  CHECK_FALSE(fence.awaits_other(&b, block, now));
  CHECK(fence.idle());
}

TEST_CASE("of two changes that are the same each is expected once", "[disc]") {
  Fence fence;
  const Range range{.offset = 0, .length = 4};
  for (int i = 0; i < 2; ++i) fence.expect(range, 7, now + 5s);
  CHECK(fence.arrive(&a, range, 7));
  CHECK(fence.holds(&c, range, false, now));
  CHECK_FALSE(fence.was_awaited(&c));
  CHECK(fence.arrive(&b, range, 7));
  CHECK(fence.was_awaited(&b));
  CHECK_FALSE(fence.arrive(&c, range, 7));
  fence.end(&a);
  CHECK(fence.holds(&c, range, false, now));
  fence.end(&b);
  CHECK_FALSE(fence.holds(&c, range, false, now));
}

TEST_CASE("who was expected and has not come is told of, and waited for no longer than that",
          "[disc]") {
  Fence fence;
  const Range first{.offset = 0, .length = 4}, second{.offset = 4, .length = 4};
  fence.expect(first, 7, now + 5s);
  fence.expect(second, 8, now + 6s);
  std::vector<std::uint64_t> told;
  const auto list = [&](iouring::Instant at) {
    told.clear();
    fence.list_expected(at, [&](Range, std::uint64_t content) { told.push_back(content); });
    return told;
  };
  CHECK(list(now) == std::vector<std::uint64_t>{7, 8});
  fence.arrive(&a, second, 8);
  CHECK(list(now) == std::vector<std::uint64_t>{7});
  fence.expire(now + 4s);
  CHECK(list(now) == std::vector<std::uint64_t>{7});
  fence.expire(now + 5s);
  CHECK(list(now).empty());
}

TEST_CASE("an expected change does not pass the ghost of another one", "[disc]") {
  Fence fence;
  const Range range{.offset = 0, .length = 10};
  fence.doubt(nullptr, range, {now + 9s, now + 9s}, 6);
  fence.expect(range, 7, now + 5s);
  fence.arrive(&a, range, 7);
  CHECK(fence.holds(&a, range, true, now));
}

// Against a queue, and never more memory than there is.
TEST_CASE("a log keeps what it was given, in order, until it is released", "[disc]") {
  const auto seed = GENERATE(range(0u, 30u));
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto pick = [&](std::size_t below) { return random() % below; };
  constexpr std::size_t chunks = 16;
  ReplayMemory memory(chunks * ReplayMemory::chunk_size);
  struct Model {
    ReplayLog log;
    std::deque<std::unique_ptr<Write>> kept;
    std::deque<std::unique_ptr<Write>> reserved;
    std::vector<std::pair<ReplayLog::Place, std::size_t>> marks;
    explicit Model(ReplayMemory& of) : log(of) {}
  };
  Model models[2] = {Model(memory), Model(memory)};
  std::size_t refused = 0;

  const auto compare = [](const Model& model) {
    ReplayLog::Place place = model.log.begin();
    std::vector<iovec> parts;
    for (const auto& write : model.kept) {
      const auto change = model.log.at(place);
      REQUIRE(change.command == write->command);
      REQUIRE(change.range == range_of(*write));
      model.log.data_at(place, parts);
      std::size_t at = 0;
      for (const iovec& part : parts) {
        REQUIRE(std::memcmp(part.iov_base, write->bytes.data() + at, part.iov_len) == 0);
        at += part.iov_len;
      }
      REQUIRE(at == data_of(*write));
      place = change.next;
    }
    REQUIRE(place == model.log.end());
  };

  for (int i = 0; i < 2'000; ++i) {
    Model& model = models[pick(2)];
    const std::size_t dice = pick(10);
    if (dice < 5) {
      auto write =
          std::make_unique<Write>(pick(4) == 0 ? Command::trim : Command::write, pick(5000),
                                  1 + pick(pick(20) == 0 ? 30'000 : 3'000), std::byte(i));
      if (model.log.reserve(data_of(*write)))
        model.reserved.push_back(std::move(write));
      else
        ++refused;
    } else if (dice < 8 && !model.reserved.empty()) {
      model.log.keep(*model.reserved.front());
      model.kept.push_back(std::move(model.reserved.front()));
      model.reserved.pop_front();
    } else if (dice == 8 && !model.reserved.empty()) {
      model.log.unreserve(data_of(*model.reserved.back()));
      model.reserved.pop_back();
    } else if (pick(2) == 0) {
      model.marks.emplace_back(model.log.end(), model.kept.size());
    } else if (!model.marks.empty()) {
      const auto [place, count] = model.marks.front();
      model.marks.erase(model.marks.begin());
      for (auto& mark : model.marks) mark.second -= count;
      model.log.release(place);
      for (std::size_t n = 0; n < count; ++n) model.kept.pop_front();
    }
    REQUIRE(memory.chunks_in_use() <= chunks);
    REQUIRE(model.log.bytes() <= memory.share() * ReplayMemory::chunk_size);
    REQUIRE(model.log.empty() == model.kept.empty());
    compare(model);
    const Range range{.offset = pick(5000), .length = 1 + pick(100)};
    REQUIRE(model.log.overlaps(range) ==
            std::any_of(model.kept.begin(), model.kept.end(),
                        [&](const auto& write) { return range_of(*write).overlaps(range); }));
  }
  CHECK(refused > 0);
  for (Model& model : models) {
    for (const auto& write : model.reserved) model.log.unreserve(data_of(*write));
    model.log.release(model.log.end());
  }
  CHECK(memory.chunks_in_use() == 0);  // A log that is empty has no memory.
}

TEST_CASE("a log that comes along has more memory than the disc may have, if need be", "[disc]") {
  ReplayMemory there(64 * ReplayMemory::chunk_size), here(8 * ReplayMemory::chunk_size);
  ReplayLog log(there);
  for (const auto with : {std::byte{1}, std::byte{2}, std::byte{3}}) {
    const Write write(Command::write, 0, 14'000, with);
    REQUIRE(log.reserve(write.length));
    log.keep(write);
  }
  ReplayLog next(here);
  CHECK(next.restore(log.dump()));
  CHECK(next.dump() == log.dump());
  CHECK_FALSE(next.reserve(14'000));  // What is new waits for a FLUSH.
  next.release(next.end());
  CHECK(next.reserve(14'000));
  next.unreserve(14'000);
  CHECK(here.chunks_in_use() == 0);
}

TEST_CASE("a log that is damaged is not kept in part", "[disc]") {
  ReplayMemory memory(64 * ReplayMemory::chunk_size);
  ReplayLog log(memory);
  for (int i = 0; i < 3; ++i) {
    const Write write(Command::write, 0, 14'000, std::byte{1});
    REQUIRE(log.reserve(write.length));
    log.keep(write);
  }
  auto dump = log.dump();
  dump.pop_back();
  ReplayLog next(memory);
  CHECK_FALSE(next.restore(dump));
  CHECK(next.empty());
}
