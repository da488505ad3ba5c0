// The model of solicitations: it repeats itself, and agrees with what can be reckoned by hand and
// with what was measured on one head.
#include "tools/bench/solicitations.hpp"

#include <catch2/catch.hpp>

using namespace bench;

namespace {

Fleet fleet(unsigned heads, unsigned discs) {
  Fleet made;
  made.heads = heads;
  made.discs = discs;
  made.dead_discs = 0;
  made.slow_share = 0;
  return made;
}

}  // namespace

TEST_CASE("a simulation follows from its seed", "[bench][model]") {
  Fleet one = fleet(3, 3000);
  const Load first = simulate(one, Keeping::discovery);
  CHECK(simulate(one, Keeping::discovery).multicast_per_s == first.multicast_per_s);
  one.seed = 2;
  CHECK(simulate(one, Keeping::discovery).multicast_per_s != first.multicast_per_s);
}

TEST_CASE("a table that holds everybody is asked about once", "[bench][model]") {
  const auto keeping = GENERATE(Keeping::discovery, Keeping::discovery_raised);
  Fleet small = fleet(2, 900);
  small.quiet_gap_s = 5;  // So that everybody was met before counting begins.
  const Load load = simulate(small, keeping);
  CHECK(load.multicast_per_s == 0);
  CHECK(load.refused_share == 0);
  CHECK(load.waited_share == 0);
  CHECK(load.entries == 900);
  // Entries are gone with a restart: everybody who is asked for in the second after that.
  CHECK(load.after_restart > 2 * 90 / 2);
  CHECK(load.after_restart <= 2 * 900);
}

TEST_CASE("a table that is too small asks for ever, and refuses", "[bench][model]") {
  const Load load = simulate(fleet(2, 10'000), Keeping::discovery);
  CHECK(load.entries <= 1024);
  CHECK(load.refused_share > 0);
  CHECK(load.multicast_per_s > 0);
  CHECK(simulate(fleet(2, 10'000), Keeping::discovery_raised).refused_share == 0);
}

TEST_CASE("MANAGED entries are asked for in bursts of all of them", "[bench][model]") {
  const Load one = simulate(fleet(1, 10'000), Keeping::managed);
  CHECK(one.unicast_peak == 10'000);
  CHECK(one.multicast_per_s == 0);
  // Every 20 to 50 s.
  const Load many = simulate(fleet(200, 10'000), Keeping::managed);
  CHECK(many.unicast_per_s / 200 > 10'000 / 50.0);
  CHECK(many.unicast_per_s / 200 < 10'000 / 20.0);
  CHECK(many.after_restart == 200 * 10'000);
}

TEST_CASE("entries that are kept STALE ask nobody", "[bench][model]") {
  const auto [keeping, entries] =
      GENERATE(std::pair{Keeping::stale, 10'000u}, std::pair{Keeping::routes, 50u});
  Fleet quiet = fleet(5, 10'000);
  const Load load = simulate(quiet, keeping);
  CHECK(load.multicast_per_s + load.unicast_per_s == 0);
  CHECK(load.after_restart == 0);
  CHECK(load.entries == entries);

  quiet.slow_share = 0.001;  // Of 1,150 requests a second.
  CHECK(simulate(quiet, keeping).unicast_per_s == Approx(5 * 1.15).epsilon(0.2));
  quiet.dead_discs = 2;
  CHECK(simulate(quiet, keeping).multicast_per_s == Approx(5 * 2 * 3 / 5.0).epsilon(0.05));
}
