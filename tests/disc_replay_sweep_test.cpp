// A log, told a tail once for every byte: what it holds afterwards, and what it never holds.
#include "head/disc/replay_sweep.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <vector>

using namespace head;
using disc::Range;
using disc::ReplayLog;
using disc::ReplayMemory;
using disc::ReplaySweep;
using nbd::Command;

namespace {

struct Kept final : nbd::Request {
  void on_done(int) noexcept override {}
};

void keep(ReplayLog& log, Command what, Range range, std::byte value = {}) {
  std::vector<std::byte> bytes(what == Command::write ? range.length : 0, value);
  const iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  Kept kept;
  kept.command = what;
  kept.offset = range.offset;
  kept.length = static_cast<std::uint32_t>(range.length);
  kept.memory = {&part, 1};
  REQUIRE(log.reserve(bytes.size()));
  log.keep(kept);
}

std::vector<ReplaySweep::Part> all_of(const ReplayLog& log, std::uint64_t from = 0) {
  std::vector<ReplaySweep::Part> all;
  ReplaySweep sweep(log, from);
  while (const auto part = sweep.next()) all.push_back(*part);
  return all;
}

std::vector<Range> ranges_of(const ReplayLog& log) {
  std::vector<Range> all;
  for (const auto& part : all_of(log)) all.push_back(part.range);
  return all;
}

}  // namespace

TEST_CASE("of what a log holds twice the newest is told", "[disc][replay]") {
  ReplayMemory memory(1 << 20);
  ReplayLog log(memory);
  const auto ranges = [&log] { return ranges_of(log); };
  CHECK(ranges().empty());
  SECTION("the same again") {
    keep(log, Command::write, {.offset = 8, .length = 8});
    const auto second = log.end();
    keep(log, Command::write, {.offset = 8, .length = 8});
    REQUIRE(ranges() == std::vector<Range>{{.offset = 8, .length = 8}});
    CHECK(all_of(log).front().of == second);
  }
  SECTION("the middle again") {
    keep(log, Command::write, {.offset = 0, .length = 24});
    keep(log, Command::trim, {.offset = 8, .length = 8});
    CHECK(ranges() == std::vector<Range>{{.offset = 0, .length = 8},
                                         {.offset = 8, .length = 8},
                                         {.offset = 16, .length = 8}});
  }
  SECTION("all of some, and more") {
    keep(log, Command::write, {.offset = 8, .length = 8});
    keep(log, Command::write, {.offset = 24, .length = 8});
    keep(log, Command::write_zeroes, {.offset = 0, .length = 32});
    CHECK(ranges() == std::vector<Range>{{.offset = 0, .length = 32}});
  }
  SECTION("nothing is told of nothing") {
    keep(log, Command::trim, {.offset = 8, .length = 0});
    CHECK(ranges().empty());
  }
  SECTION("what is not kept any more") {
    keep(log, Command::write, {.offset = 0, .length = 8});
    const auto until = log.end();
    keep(log, Command::write, {.offset = 4, .length = 8});
    log.release(until);
    CHECK(ranges() == std::vector<Range>{{.offset = 4, .length = 8}});
  }
}

TEST_CASE("what is told is the log, made once for each byte", "[disc][replay]") {
  constexpr std::size_t size = 256;
  for (unsigned seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    std::minstd_rand random(seed + 1);
    ReplayMemory memory(4 << 20);
    ReplayLog log(memory);
    std::array<std::byte, size> should{}, is{};
    for (auto i = 1 + random() % 60; i != 0; --i) {
      const std::uint64_t offset = random() % size;
      const Range range{.offset = offset, .length = random() % (size - offset)};
      const bool write = random() % 4 != 0;
      const auto value = write ? static_cast<std::byte>(1 + random() % 255) : std::byte{};
      keep(log, write ? Command::write : Command::write_zeroes, range, value);
      std::fill_n(should.begin() + offset, range.length, value);
    }
    // Whoever goes on behind a part is told the rest.
    const auto all = all_of(log);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto rest = all_of(log, all[i].range.end());
      REQUIRE(rest.size() == all.size() - i - 1);
      for (std::size_t j = 0; j < rest.size(); ++j) {
        REQUIRE(rest[j].of == all[i + 1 + j].of);
        REQUIRE(rest[j].range == all[i + 1 + j].range);
      }
    }
    std::uint64_t told_until = 0;
    for (const auto& part : all) {
      REQUIRE(part.range.offset >= told_until);
      REQUIRE(part.range.length != 0);
      told_until = part.range.end();
      std::vector<iovec> data;
      log.data_at(part.of, part.range, data);
      std::byte* to = is.data() + part.range.offset;
      for (const iovec& some : data) {
        std::memcpy(to, some.iov_base, some.iov_len);
        to += some.iov_len;
      }
      const bool write = log.at(part.of).command == Command::write;
      REQUIRE(to == is.data() + (write ? told_until : part.range.offset));
    }
    REQUIRE(is == should);
  }
}
