// What befalls a disc just when headd is upgraded.
#include "tests/sim/world/draw.hpp"
#include "tests/sim/world/faults.hpp"

namespace world {

using namespace std::chrono_literals;

Scenario draw_changed_at_upgrade(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = dice.one_of(modes);
  scenario.length = 4s;
  scenario.actions.push_back({.at = 1s,
                              .act = Act::tail_changes,
                              .lasts = 2s,
                              .change = dice.one_of({Change::smaller, Change::read_only})});
  scenario.actions.push_back({.at = dice.between(Duration{1s}, Duration{3s}),
                              .act = Act::head_is_upgraded,
                              .lasts = 40ms});
  return finish(scenario, dice, load_of(scenario));
}

// What is done and unanswered then, others have seen; the next headd asks it again, and other
// changes of the same blocks beside it.
Scenario draw_seen_and_handed(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.guests.resize(dice.between(2, 8));
  scenario.head.quarantine = dice.one_of({100ms, 1000ms, 7000ms});
  scenario.tail.block_minimum = dice.one_of({0u, 4096u});
  scenario.tail.workers = 16;
  scenario.tail.tells_late = 4s;
  scenario.length = 6s;
  scenario.limit = 600s;
  for (std::uint64_t i = dice.one_of({2u, 30u}); i != 0; --i)
    scenario.actions.push_back({.at = dice.between(Duration{100ms}, Duration{5s}),
                                .act = Act::head_is_upgraded,
                                .lasts = dice.between(Duration{1ms}, Duration{30ms})});
  Load load = rewriting(scenario);
  load.hot = 8;
  load.reads = 150;
  load.per_second = 20;
  load.flushes = 1;
  return finish(scenario, dice, load);
}

Scenario draw_held_by_upgrade(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = dice.one_of(modes);
  scenario.head.identity = head::disc::Identity::first_block;
  scenario.length = 3s;
  const Duration at = dice.between(Duration{500ms}, Duration{1s});
  scenario.actions.push_back({.at = at, .act = Act::head_is_upgraded, .lasts = 400ms});
  scenario.actions.push_back(
      {.at = at + dice.between(Duration{50ms}, Duration{300ms}), .act = Act::tail_ends});
  return finish(scenario, dice, load_of(scenario));
}

Scenario draw_kept_for_nobody(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.guests.resize(1);
  // The guest asks while the tail is still being asked whether it has what it had.
  scenario.tail.takes_least = 20ms;
  scenario.tail.takes_most = 60ms;
  scenario.length = 16s;
  const Duration at = dice.between(Duration{1s}, Duration{2s});
  scenario.actions.push_back({.at = at, .act = Act::guest_comes_anew});
  scenario.actions.push_back({.at = at + dice.between(Duration{}, Duration{30ms}),
                              .act = dice.one_of({Act::head_is_upgraded, Act::upgrade_fails}),
                              .lasts = 40ms});
  scenario.actions.push_back(
      {.at = at - dice.between(Duration{}, Duration{40ms}), .act = Act::tail_ends, .lasts = 40ms});
  Load load = load_of(scenario);
  load.flushes = 1;
  load.per_second = 30;
  return finish(scenario, dice, load);
}

Scenario draw_upgraded_in_vain(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.length = 2s;
  const Duration at = dice.between(Duration{300ms}, Duration{1s});
  scenario.actions.push_back({.at = at, .act = Act::upgrade_fails, .lasts = 3ms});
  if (dice.chance(0.5))
    scenario.actions.push_back({.at = at - dice.between(Duration{}, Duration{10ms}),
                                .act = Act::head_is_stopped,
                                .lasts = 400ms});
  if (dice.chance(0.5))
    scenario.actions.push_back({.at = at - dice.between(Duration{}, Duration{10ms}),
                                .act = Act::tail_lies,
                                .times = 1,
                                .yes = true});
  scenario.actions.push_back({.at = at + dice.between(Duration{}, Duration{20ms}),
                              .act = dice.one_of({Act::power_fails, Act::tail_vanishes}),
                              .lasts = 3ms});
  Load load = rewriting(scenario);
  load.flushes = 1;
  load.per_second = 200;
  return finish(scenario, dice, load);
}

}  // namespace world
