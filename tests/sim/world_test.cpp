// The hostile world itself: that a seed is a history's whole story, that what breaks a rule is made
// small, and that its tails lose what real ones lose.
#include "tests/sim/world/world.hpp"

#include "head/base/log.hpp"
#include "tests/sim/world/draw.hpp"
#include "tests/sim/world/faults.hpp"
#include "tests/sim/world/known_faults.hpp"
#include "tests/sim/world/profiles.hpp"
#include "tests/sim/world/search.hpp"
#include "tests/sim/world/store.hpp"
#include "tests/sim/world/survived.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>
#include <string>

using namespace world;

namespace {

Bytes bytes(std::size_t size, unsigned char value) {
  return Bytes(size, std::byte{value});
}

unsigned char at(const Store& store, std::uint64_t offset) {
  return std::to_integer<unsigned char>(store.read(offset, 1)[0]);
}

// Thousands of lines about tails that come and go are of no use to anybody.
struct Quiet {
  Quiet() { head::log::set_level(head::log::Level::error); }
  ~Quiet() { head::log::set_level(head::log::Level::info); }
};

// Of a disc that is known again by its shape alone, although its tail forgets.
Find first_find() {
  const Profile profile{"credulous", "", [](std::uint64_t seed) {
                          Scenario scenario = draw_private_cut(seed);
                          scenario.head.identity = head::disc::Identity::shape;
                          return scenario;
                        }};
  Sum sum;
  const auto find = search(profile, 0, 200, sum);
  REQUIRE(find);
  return *find;
}

}  // namespace

TEST_CASE("a seed is a history's whole story", "[sim][world]") {
  const Quiet quiet;
  for (const Profile& profile : profiles()) {
    INFO(profile.name);
    const Scenario scenario = profile.draw(7);
    CHECK(to_string(scenario) == to_string(profile.draw(7)));
    const Outcome once = run(scenario), again = run(scenario);
    CHECK(once.events == again.events);
    CHECK(once.simulated == again.simulated);
    CHECK(once.violation.sentence == again.violation.sentence);
  }
}

TEST_CASE("profiles have names of their own, and known faults have profiles", "[sim][world]") {
  std::set<std::string_view> names;
  for (const Profile& profile : profiles()) CHECK(names.insert(profile.name).second);
  for (const KnownFault& fault : known_faults) CHECK(names.count(fault.profile) == 1);
  CHECK(find_profile("nothing of the kind") == nullptr);
}

TEST_CASE("what breaks a rule is made small, and still breaks it", "[sim][world]") {
  const Quiet quiet;
  const Find find = first_find();
  const Find small = shrink(find);
  CHECK(small.violation.rule == find.violation.rule);
  CHECK(small.scenario.actions.size() * 4 < find.scenario.actions.size());
  CHECK(run(small.scenario).violation.sentence == small.violation.sentence);
}

TEST_CASE("an action can be placed before any event", "[sim][world]") {
  const Quiet quiet;
  Scenario calm = draw_calm(1);
  const std::uint64_t events = run(calm).events;
  REQUIRE(events > 100);
  calm.actions.push_back({.act = Act::tail_cuts, .yes = true, .boundary = events / 2});
  const Outcome cut = run(calm);
  CHECK_FALSE(cut.violation);
  CHECK(cut.events != events);  // The disc has connected anew.
}

TEST_CASE("a store loses with its power what is not flushed", "[sim][world]") {
  Dice dice(3);
  Store store(8 * Store::sector, true);
  store.write(0, bytes(512, 1), false);
  store.flush();
  store.write(0, bytes(512, 2), false);
  store.write(512, bytes(512, 3), true);  // FUA
  CHECK(at(store, 0) == 2);
  // All of it, or some sectors: of one sector it may go either way.
  store.lose_power(dice);
  CHECK((at(store, 0) == 1 || at(store, 0) == 2));
  CHECK(at(store, 512) == 3);
  const unsigned char left = at(store, 0);
  store.lose_power(dice);
  CHECK(at(store, 0) == left);  // It is stable now.
}

TEST_CASE("a store that keeps nothing volatile loses nothing", "[sim][world]") {
  Dice dice(3);
  Store store(2 * Store::sector, false);
  store.write(0, bytes(512, 2), false);
  store.lose_power(dice);
  CHECK(at(store, 0) == 2);
}

TEST_CASE("a flush that failed forgets what it was to make stable", "[sim][world]") {
  Store store(4 * Store::sector, true);
  store.write(0, bytes(512, 1), false);
  store.write(512, bytes(512, 1), false);
  store.forget();
  CHECK(at(store, 0) == 1);  // Its cache still shows it.
  store.flush();             // And takes it for clean.
  store.write(512, bytes(512, 2), false);
  store.evict();
  CHECK(at(store, 0) == 0);
  CHECK(at(store, 512) == 2);  // Written again, it is dirty again.
}
