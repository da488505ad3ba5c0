// Histories of the model on the production classes: they are to come to the same, step by step, and
// what the search finds in the model is to be so in them.
#include "tests/ownership/play.hpp"

#include "tests/ownership/search.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <fcntl.h>
#include <random>
#include <set>

using namespace head;
using namespace head::ownership;

namespace {

// The end of a history, and why the real heads did not follow it, if they did not.
struct Played {
  State state;
  std::string difference;
};

Played play(Play& play, const Model& model, const Trace& trace) {
  State state = model.start();
  std::vector<Model::Next> next;
  for (std::size_t i = 0; i < trace.steps.size(); ++i) {
    const Step& step = trace.steps[i];
    next.clear();
    model.next(state, next);
    const auto taken = std::find_if(next.begin(), next.end(), [&](const Model::Next& one) {
      return one.step.what == step.what && one.step.head == step.head &&
             one.step.client == step.client;
    });
    REQUIRE(taken != next.end());
    if (const auto why = play.make(step, state, taken->state))
      return {state, "at \"" + trace.sentences[i] + "\": " + *why};
    state = taken->state;
  }
  return {state, {}};
}

// A history by chance, to its end.
Trace wander(const Model& model, unsigned seed) {
  std::mt19937 random(seed);
  Trace trace;
  State state = model.start();
  for (std::vector<Model::Next> next;; next.clear()) {
    model.next(state, next);
    std::erase_if(next, [](const Model::Next& one) { return !Play::can_play(one.step); });
    if (next.empty()) return trace;
    const Model::Next taken = next[random() % next.size()];
    trace.steps.push_back(taken.step);
    trace.sentences.push_back(model.tell(taken.step, state, taken.state));
    state = taken.state;
  }
}

void check_that_they_agree(const Model& model, const Trace& trace) {
  CAPTURE(trace.text());
  Play real(model);
  const Played played = play(real, model, trace);
  INFO(played.difference);
  REQUIRE(played.difference.empty());
}

// How the real heads lost a disc: the shortest way to that, as long as a headd that was no owner
// could be upgraded, and a new one took changes as soon as it had said "serving". They leave that
// way; until then there are never two owners (Play::make compares that as well).
void check_that_they_leave_the_way_to_a_lost_disc(const Limits& limits) {
  Protocol rules;
  rules.only_owner_upgrades = rules.owner_says_yours = false;
  const Model model(rules, limits);
  const Found found = search(model, Fault::lost);
  REQUIRE(found.traces.contains(Fault::lost));
  const Trace& trace = found.traces.at(Fault::lost);
  CAPTURE(trace.text());
  Play real(model);
  const Played played = play(real, model, trace);
  INFO(played.difference);
  CHECK_FALSE(played.difference.empty());
  CHECK(played.difference.find("two headds") == std::string::npos);
  std::size_t owners = 0;
  for (std::size_t i = 0; i < heads_max; ++i)
    if (real.head(i) != nullptr && real.head(i)->agent && !real.head(i)->refuses_changes())
      ++owners;
  CHECK(owners <= 1);
}

}  // namespace

TEST_CASE("overlapping upgrades lose no disc of the production classes", "[ownership]") {
  check_that_they_leave_the_way_to_a_lost_disc({.attaches = 1, .upgrades = 2});
}

TEST_CASE("a late \"serving\" loses no disc of the production classes", "[ownership]") {
  check_that_they_leave_the_way_to_a_lost_disc({.attaches = 1, .upgrades = 1, .timeouts = 1});
}

TEST_CASE("the production classes do what the model does, in every state", "[ownership]") {
  const Limits limits = GENERATE(Limits{.attaches = 1, .upgrades = 1, .timeouts = 1},
                                 Limits{.attaches = 1, .upgrades = 1, .kills = 1},
                                 Limits{.attaches = 1, .upgrades = 1, .failures = 1},
                                 Limits{.attaches = 0, .upgrades = 2});
  const Model model(Protocol(), limits);
  const auto histories = cover(model, Play::can_play);
  CHECK(histories.size() > 20);
  for (const Trace& trace : histories) check_that_they_agree(model, trace);
}

TEST_CASE("the production classes do what the model does, by chance", "[ownership]") {
  const Model model(Protocol(), {.attaches = 2,
                                 .detaches = 1,
                                 .upgrades = 2,
                                 .kills = 1,
                                 .timeouts = 1,
                                 .failures = 1,
                                 .fresh_starts = 1});
  std::set<Step::What> made;
  for (unsigned seed = 0; seed < 50; ++seed) {
    const Trace trace = wander(model, seed);
    for (const Step& step : trace.steps) made.insert(step.what);
    CAPTURE(seed);
    check_that_they_agree(model, trace);
  }
  // All but SIGTERM from outside.
  CHECK(made.size() == static_cast<std::size_t>(Step::What::fresh_start) + 1 - 1);
}

// Its lock is shared by all that an upgrade has started, and is given up with the last one.
TEST_CASE("nobody gets the state directory while one of a chain of headds lives", "[ownership]") {
  const test::Folder folder;
  auto first = std::make_unique<RealHead>(folder.path);
  CHECK_THROWS_AS(RealHead(folder.path), catalogue::StoreError);
  const int copy = ::fcntl(first->store->owner_lock(), F_DUPFD_CLOEXEC, 0);
  iouring::UniqueFd passed_on(iouring::adopt, copy);
  first.reset();
  CHECK_THROWS_AS(RealHead(folder.path), catalogue::StoreError);
  passed_on = {};
  CHECK_NOTHROW(RealHead(folder.path));
}
