// What the search finds in the model: the faults of today's protocol, none in the right one, and
// every wrong variant of that.
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

Found today(const Limits& limits) {
  return search(Model(Protocol(), limits));
}

// One rule of the right protocol, broken.
struct Planted {
  const char* name;
  bool Protocol::*rule;
  Fault found;
};

}  // namespace

// Known fault: `headctl upgrade` from several clients at once loses attached discs. The new headd
// opens its API before it takes changes, so that an upgrade of it can begin in between; then
// serve() lets it take changes while that upgrade is under way, and after it, beside the next one.
// When it is mended, this test turns around: Protocol is to be like right_protocol() by default,
// and nothing is to be found.
TEST_CASE("known fault: a second upgrade too early makes two owners", "[ownership][known-fault]") {
  const Found found = today({.attaches = 2, .upgrades = 2});
  CAPTURE(report(found));
  CHECK(found.complete);
  REQUIRE(found.traces.contains(Fault::two_owners));
  CHECK(found.traces.contains(Fault::two_writers));
  CHECK(found.traces.contains(Fault::lost_on_disk));
  REQUIRE(found.traces.contains(Fault::lost));
  WARN("two owners:\n" << found.traces.at(Fault::two_owners).text());
  WARN("a change is lost:\n" << found.traces.at(Fault::lost).text());
}

// Known fault of the same kind: one upgrade, and an old headd that stops waiting just before it
// would hear "serving". The new one takes changes, is killed, and the old one knows nothing of
// them. When it is mended, this test turns around.
TEST_CASE("known fault: a new headd takes changes that the old one does not know",
          "[ownership][known-fault]") {
  const Found found = today({.attaches = 1, .upgrades = 1, .timeouts = 1});
  CAPTURE(report(found));
  CHECK(found.complete);
  REQUIRE(found.traces.contains(Fault::lost));
  WARN("a change is lost:\n" << found.traces.at(Fault::lost).text());
}

// Two headds serve for good: the old one kills the new one, whose heir lives on.
TEST_CASE("known fault: two headds serve after a late second upgrade", "[ownership][known-fault]") {
  const Found found = today({.attaches = 0, .upgrades = 2, .timeouts = 1});
  CAPTURE(report(found));
  CHECK(found.traces.contains(Fault::two_serve));
}

TEST_CASE("one upgrade that nothing disturbs loses nothing", "[ownership]") {
  const Found found = today({.attaches = 2,
                             .detaches = 1,
                             .upgrades = 1,
                             .kills = 1,
                             .terms = 1,
                             .failures = 1,
                             .fresh_starts = 1});
  INFO(report(found));
  CHECK(found.is_clean());
}

// The design of the mend: see Protocol.
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
  const Found found = search(Model(right_protocol(), limits));
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
  Protocol rules = right_protocol();
  rules.*planted.rule = false;
  const Found found = search(Model(rules, hostile), planted.found);
  INFO(planted.name);
  CAPTURE(report(found));
  CHECK(found.traces.contains(planted.found));
}
