// What the bytes of a sector say of their origin.
#include "tests/check/pattern.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

using namespace check;

namespace {

using Block = std::array<std::byte, sector_bytes>;

Block block(const Origin& origin) {
  Block bytes;
  fill(bytes, origin.change, origin.disc, origin.sector);
  return bytes;
}

}  // namespace

TEST_CASE("a sector names its change, its disc and its sector", "[check]") {
  const Origin origin{.change = GENERATE(1u, 2u, 77u, 1u << 31, no_change - 1),
                      .disc = GENERATE(0u, 3u, 255u),
                      .sector = GENERATE(0u, 5u, 0x123456u, 0xffffffu)};
  CAPTURE(origin.change, origin.disc, origin.sector);
  const Block bytes = block(origin);
  // Whoever is asked about.
  CHECK(origin_of(bytes, {}) == origin);
  CHECK(origin_of(bytes, origin) == origin);
  const auto runs = runs_of(bytes, {});
  REQUIRE(runs.size() == 1);
  CHECK(runs[0].origin == origin);
  CHECK(runs[0].words == 64);
}

TEST_CASE("several sectors are filled, each with its own name", "[check]") {
  std::array<std::byte, 3 * sector_bytes> bytes;
  fill(bytes, 9, 1, 100);
  for (std::uint64_t i = 0; i < 3; ++i) {
    const auto sector = std::span<const std::byte>(bytes).subspan(i * sector_bytes);
    CHECK(origin_of(sector.first<sector_bytes>(), {}) == Origin{9, 1, 100 + i});
  }
}

TEST_CASE("zeroes are change 0 of whatever is asked about", "[check]") {
  const Block zeroes{};
  const Origin asked{.change = 4, .disc = 7, .sector = 12};
  CHECK(origin_of(zeroes, asked) == Origin{0, 7, 12});
  CHECK(describe(zeroes, asked) == "zeroes (words 0-63)");
}

TEST_CASE("every damaged bit is seen", "[check]") {
  const Origin origin{.change = 5, .disc = 2, .sector = 8};
  const Block whole = GENERATE_COPY(Block{}, block(origin));
  unsigned missed = 0;
  for (std::size_t bit = 0; bit < sector_bytes * 8; ++bit) {
    Block bytes = whole;
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    if (origin_of(bytes, origin)) ++missed;
    if (runs_of(bytes, origin).size() < 2) ++missed;
  }
  CHECK(missed == 0);
}

TEST_CASE("a sector that is shifted, or put together of two, says what is where", "[check]") {
  const Origin first{.change = 5, .disc = 2, .sector = 8},
      second{.change = 6, .disc = 2, .sector = 8};
  Block bytes = block(first);
  SECTION("by 28 bytes") {
    std::rotate(bytes.begin(), bytes.begin() + 28, bytes.end());
    CHECK_FALSE(origin_of(bytes, first));
    for (const Run& run : runs_of(bytes, first)) CHECK(run.origin != first);
  }
  SECTION("by a word") {
    std::rotate(bytes.begin(), bytes.begin() + 8, bytes.end());
    CHECK_FALSE(origin_of(bytes, first));
    for (const Run& run : runs_of(bytes, first)) CHECK(run.origin != first);
  }
  SECTION("of two changes") {
    std::memcpy(bytes.data(), block(second).data(), 32);
    CHECK_FALSE(origin_of(bytes, first));
    const auto runs = runs_of(bytes, first);
    REQUIRE(runs.size() == 2);
    CHECK(runs[0].origin == second);
    CHECK(runs[0].words == 4);
    CHECK(runs[1].origin == first);
    CHECK(describe(bytes, first) == "change 6 (words 0-3), change 5 (words 4-63)");
  }
  SECTION("of a change and zeroes") {
    std::fill(bytes.begin() + 256, bytes.end(), std::byte{0});
    CHECK_FALSE(origin_of(bytes, first));
    CHECK(describe(bytes, first) == "change 5 (words 0-31), zeroes (words 32-63)");
  }
  SECTION("of another place") {
    const Block other = block({.change = 5, .disc = 3, .sector = 9});
    std::memcpy(bytes.data(), other.data(), 8);
    CHECK(describe(bytes, first) ==
          "change 5 of disc 3 of sector 9 (words 0-0), change 5 (words 1-63)");
  }
  SECTION("of many") {
    for (std::size_t word = 0; word < 64; word += 2) std::memset(bytes.data() + word * 8, 0, 8);
    CHECK(runs_of(bytes, first).size() == 64);
    CHECK(describe(bytes, first).ends_with("zeroes (words 4-4), change 5 (words 5-5) and 58 more"));
  }
}

// Nobody writes change 0: what looks like it is damage, not zeroes.
TEST_CASE("bytes that look like data of change 0 are of no change", "[check]") {
  const Block bytes = block({.change = 0, .disc = 2, .sector = 8});
  const auto origin = origin_of(bytes, {.change = 0, .disc = 2, .sector = 8});
  REQUIRE(origin);
  CHECK(origin->change == no_change);
  CHECK(describe(bytes, {}).starts_with("nothing that was written"));
}
