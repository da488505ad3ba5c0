// A guest that goes on at another head, with the first one cut off or not.
#include "tests/sim/world/draw.hpp"
#include "tests/sim/world/faults.hpp"

namespace world {

using namespace std::chrono_literals;
using head::nbd::Command;

namespace {

// A guest writes at one head, ends there or hangs, and goes on at another, where it flushes.
Scenario with_two_heads(std::uint64_t seed, Dice& dice, Action end) {
  Scenario scenario = begin_scenario(seed);
  scenario.heads = 2;
  scenario.guests.push_back({.begins = false});
  scenario.guests.push_back({.home = 1, .begins = false});
  Load load = rewriting(scenario);
  load.guests = 1;
  load.flushes = 1;
  draw_load(scenario, dice, load, 1ms, 1s);
  end.at = 1500ms;
  scenario.actions.push_back(end);
  scenario.actions.push_back({.at = 1600ms, .act = Act::guest_begins, .who = 2});
  const std::size_t from = scenario.actions.size();
  draw_load(scenario, dice, load, 1700ms, 2200ms);
  for (std::size_t i = from; i < scenario.actions.size(); ++i) scenario.actions[i].who = 2;
  scenario.actions.push_back({.at = 2300ms, .who = 2, .ask = {.command = Command::flush}});
  return scenario;
}

}  // namespace

Scenario draw_two_heads_cut(std::uint64_t seed) {
  Dice dice(seed);
  const Duration lasts = dice.between(Duration{12s}, Duration{20s});
  const bool hangs = dice.chance(0.3);
  Action end{.act = Act::guest_ends};
  if (hangs) end = {.act = Act::guest_stops, .lasts = 1050ms + lasts + 4s};
  Scenario scenario = with_two_heads(seed, dice, end);
  if (hangs) scenario.head.grace = 3s;
  scenario.resumes_abandoned = false;
  scenario.actions.push_back({.at = 1050ms, .act = Act::link_fails, .lasts = lasts});
  scenario.length = 1050ms + lasts + 5s;
  if (dice.chance(0.4))
    scenario.actions.push_back({.at = dice.between(Duration{1600ms}, scenario.length - 5s),
                                .act = Act::head_is_upgraded,
                                .lasts = 20ms});
  // Somebody is back at the first head, too early, and asks nothing yet.
  if (!hangs && dice.chance(0.4))
    scenario.actions.push_back({.at = dice.between(Duration{3s}, scenario.length - 2s),
                                .act = Act::guest_begins,
                                .who = 1});
  sort_actions(scenario);
  return scenario;
}

Scenario draw_two_heads_crash(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = with_two_heads(seed, dice, {.act = Act::guest_ends});
  scenario.actions.push_back({.at = 2500ms, .act = Act::power_fails});
  scenario.length = 4s;
  sort_actions(scenario);
  return scenario;
}

}  // namespace world
