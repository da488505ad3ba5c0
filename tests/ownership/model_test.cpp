// What the search finds in the model: no fault, and one in every wrong variant of its protocol.
#include "tests/ownership/search.hpp"

#include <catch2/catch.hpp>

using namespace head::ownership;

namespace {

// Everything that can go wrong outside, once each.
constexpr Limits hostile{.attaches = 1,
                         .detaches = 1,
                         .upgrades = 2,
                         .kills = 1,
                         .terms = 1,
                         .timeouts = 1,
                         .failures = 1,
                         .fresh_starts = 1};

std::string report(const Found& found) {
  std::string text;
  for (const auto& [fault, trace] : found.traces)
    text += std::string(to_string(fault)) + ":\n" + trace.text();
  return text;
}

Found right(const Limits& limits) {
  return search(Model(Protocol(), limits));
}

// One rule of the right protocol, broken.
struct Planted {
  const char* name;
  bool Protocol::*rule;
  Fault found;
};

}  // namespace

// `headctl upgrade` from several clients at once lost attached discs. The new headd opened its API
// before it took changes, so that an upgrade of it could begin in between; then serve() let it take
// changes while that upgrade was under way, and after it, beside the next one.
TEST_CASE("a second upgrade too early makes no two owners", "[ownership]") {
  const Found found = right({.attaches = 2, .upgrades = 2});
  INFO(report(found));
  CHECK(found.is_clean());
}

// Of the same kind: one upgrade, and an old headd that stopped waiting just before it would have
// heard "serving". The new one took changes, was killed, and the old one knew nothing of them.
TEST_CASE("a new headd takes no changes that the old one does not know", "[ownership]") {
  const Found found = right({.attaches = 1, .upgrades = 1, .timeouts = 1});
  INFO(report(found));
  CHECK(found.is_clean());
}

// Two headds served for good: the old one killed the new one, whose heir lived on.
TEST_CASE("one headd serves after a late second upgrade", "[ownership]") {
  const Found found = right({.attaches = 0, .upgrades = 2, .timeouts = 1});
  INFO(report(found));
  CHECK(found.is_clean());
}

TEST_CASE("one upgrade that nothing disturbs loses nothing", "[ownership]") {
  const Found found = right({.attaches = 2,
                             .detaches = 1,
                             .upgrades = 1,
                             .kills = 1,
                             .terms = 1,
                             .failures = 1,
                             .fresh_starts = 1});
  INFO(report(found));
  CHECK(found.is_clean());
}

TEST_CASE("the right protocol has one owner at any time", "[ownership]") {
  Limits limits = hostile;
  SECTION("with every disturbance once") {}
  SECTION("with two kills") {
    limits.kills = 2;
  }
  SECTION("with two timeouts and two failures") {
    limits.timeouts = limits.failures = 2;
  }
  SECTION("with three upgrades") {
    limits = {.attaches = 2, .upgrades = 3, .kills = 1, .timeouts = 1};
  }
  SECTION("with three changes") {
    limits = {.attaches = 2, .detaches = 1, .upgrades = 2, .kills = 1, .timeouts = 1};
  }
  const Found found = right(limits);
  INFO(report(found));
  CAPTURE(found.states);
  CHECK(found.is_clean());
  CHECK(found.states > 10'000);
}

TEST_CASE("every part of the right protocol is needed", "[ownership]") {
  const Planted planted = GENERATE(values<Planted>({
      {"the old headd goes on taking changes", &Protocol::freezes, Fault::two_owners},
      {"the old headd hands over while a change is under way", &Protocol::waits_for_changes,
       Fault::lost},
      {"the old headd takes changes until the new one is ready", &Protocol::freezes_first,
       Fault::lost},
      {"the new headd takes changes before it is the owner", &Protocol::starts_frozen, Fault::lost},
      {"the old headd takes changes again once the new one serves", &Protocol::stays_frozen,
       Fault::two_owners},
      {"a new headd that was given up lives on", &Protocol::kills_failed_heir, Fault::two_serve},
      {"a failed upgrade leaves a headd that takes no changes", &Protocol::thaws_after_failure,
       Fault::stuck},
      {"a new headd serves although nobody said go", &Protocol::heir_needs_go, Fault::two_owners},
      {"a headd that is started by hand ignores the lock", &Protocol::respects_lock,
       Fault::two_owners},
      {"a headd upgrades before it is the owner", &Protocol::only_owner_upgrades,
       Fault::two_owners},
      {"a new headd takes changes before the old one agrees", &Protocol::owner_says_yours,
       Fault::lost},
  }));
  Protocol rules;
  rules.*planted.rule = false;
  const Found found = search(Model(rules, hostile), planted.found);
  INFO(planted.name);
  CAPTURE(report(found));
  CHECK(found.traces.contains(planted.found));
}
