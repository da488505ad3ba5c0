// When it is said that a data thread hangs.
#include "head/control/hang_watch.hpp"

#include <catch2/catch.hpp>

using head::control::HangWatch;
using namespace std::chrono_literals;
using Say = HangWatch::Say;

TEST_CASE("a data thread that hangs is told of once, and its end", "[control]") {
  HangWatch watch;
  const HangWatch::Instant start{1h};
  CHECK(watch.look(true, start) == Say::nothing);
  CHECK(watch.look(false, start + 1s) == Say::hung_and_report);
  CHECK(watch.since() == start);
  CHECK(watch.look(false, start + 2s) == Say::nothing);
  CHECK(watch.look(false, start + 90s) == Say::nothing);
  CHECK(watch.look(true, start + 91s) == Say::over);
  CHECK(watch.look(true, start + 92s) == Say::nothing);
  CHECK(watch.look(false, start + 93s) == Say::hung_and_report);
  CHECK(watch.look(true, start + 94s) == Say::over);
  CHECK(watch.look(false, start + 95s) == Say::hung);  // A report was written just before.
  CHECK(watch.look(true, start + 96s) == Say::over);
}
