#include "head/base/log.hpp"

#include <catch2/catch.hpp>

using namespace head;
using namespace std::chrono_literals;

TEST_CASE("levels have names that parse back", "[base]") {
  for (const auto level :
       {log::Level::debug, log::Level::info, log::Level::warning, log::Level::error})
    CHECK(log::parse_level(log::to_string(level)) == level);
  CHECK_FALSE(log::parse_level("verbose"));
  CHECK_FALSE(log::parse_level(""));
}

TEST_CASE("a rate limit lets a burst through, then tells how many it held back", "[base]") {
  log::RateLimit limit(2, 10s);
  const log::RateLimit::Instant start{100s};
  CHECK(limit.pass(start)->held == 0);
  CHECK(limit.pass(start + 1s));
  CHECK_FALSE(limit.pass(start + 2s));
  CHECK_FALSE(limit.pass(start + 9s));
  const auto next = limit.pass(start + 10s);
  REQUIRE(next);
  CHECK(next->held == 2);
  CHECK(limit.pass(start + 11s)->held == 0);
  CHECK_FALSE(limit.pass(start + 12s));
}
