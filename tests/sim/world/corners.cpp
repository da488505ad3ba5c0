#include "tests/sim/world/corners.hpp"

#include "head/nbd/volume.hpp"
#include "tests/sim/world/draw.hpp"

#include <cerrno>

namespace world {

using namespace std::chrono_literals;
using head::nbd::Command;
namespace flag = head::nbd::transmission_flag;

// Writes are answered with the FLUSH that follows them, and the tail crashes between one FLUSH and
// the next.
Scenario draw_through(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.head.durability = head::nbd::Durability::writethrough;
  scenario.head.identity = head::disc::Identity::shape;
  scenario.tail.flags &= static_cast<std::uint16_t>(~flag::send_fua);
  scenario.tail.workers = 16;
  scenario.tail.takes_most = dice.one_of({Duration{400us}, Duration{3ms}});
  scenario.length = 600ms;
  Load load = load_of(scenario);
  load.hot = 200;
  load.flushes = load.statuses = load.caches = 0;
  load.burst_most = 6;
  for (Duration at = 50ms; at < scenario.length; at += 50ms) {
    const Duration until = at + dice.between(Duration{1ms}, Duration{5ms});
    load.per_second = dice.one_of({2000u, 6000u});
    draw_load(scenario, dice, load, at, until);
    scenario.actions.push_back(
        {.at = dice.between(at + 500us, until + 3ms), .act = Act::power_fails});
    load.per_second = 400;
    draw_load(scenario, dice, load, until, at + 40ms);
  }
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// A worker takes long, and headd is upgraded soon after it has given that connection up, or with
// the request under way: the next headd waits for what its predecessor would have waited for.
Scenario draw_ghost_handed(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.head.connections = 1;
  scenario.tail.workers = 16;
  scenario.tail.takes_most = 120us;
  scenario.tail.cached = 0;
  scenario.length = 2s;
  Load load = load_of(scenario);
  load.hot = 6;
  load.large_most = 6;
  load.flushes = load.trims = load.statuses = load.caches = 0;
  draw_load(scenario, dice, load, 1ms, scenario.length);
  const Duration at = dice.between(Duration{100ms}, Duration{600ms});
  scenario.actions.push_back({.at = at,
                              .act = Act::tail_is_slow,
                              .lasts = dice.between(Duration{200ms}, Duration{900ms}),
                              .times = 1});
  const Duration given_up = at + dice.between(Duration{}, Duration{40ms});
  if (dice.chance(0.7)) scenario.actions.push_back({.at = given_up, .act = Act::head_relocates});
  scenario.actions.push_back({.at = given_up + dice.between(Duration{}, Duration{60ms}),
                              .act = Act::head_is_upgraded,
                              .lasts = 3ms});
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// The tail has crashed, and headd is upgraded before it has written again all that it keeps: within
// the replay, which another crash undoes, or, twice, before the tail is back.
Scenario draw_log_handed(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.head.durability = head::nbd::Durability::replay;
  scenario.head.connections = 1;
  scenario.tail.workers = 16;
  scenario.length = 3s;
  Load load = load_of(scenario);
  load.hot = 100;
  load.flushes = 0;
  load.fua = 0;
  const Duration at = 400ms;
  draw_load(scenario, dice, load, 1ms, at);
  const bool away = dice.chance(0.5);
  scenario.actions.push_back(
      {.at = at, .act = Act::tail_ends, .lasts = away ? Duration{1800ms} : 1ms, .yes = true});
  if (!away) {
    // It crashes once more before what it had begun is done.
    scenario.tail.tears = false;
    scenario.actions.push_back(
        {.at = at + 1100us, .act = Act::tail_is_slow, .lasts = 600ms, .times = 3});
    scenario.actions.push_back(
        {.at = at + dice.between(Duration{450ms}, Duration{590ms}), .act = Act::power_fails});
  }
  scenario.actions.push_back({.at = at + dice.between(Duration{2ms}, Duration{100ms}),
                              .act = Act::head_is_upgraded,
                              .lasts = 3ms});
  if (away)
    scenario.actions.push_back({.at = at + dice.between(Duration{600ms}, Duration{1100ms}),
                                .act = Act::head_is_upgraded,
                                .lasts = 3ms});
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// A tail refuses one request because it shuts down, and another one takes longer than headd waits
// for it: it ends before headd has waited long enough for what it has given up.
Scenario draw_shutting_down(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.head.connections = 1;
  scenario.tail.workers = 16;
  scenario.tail.takes_most = 120us;
  scenario.tail.cached = 0;
  scenario.length = 5s;
  Load load = load_of(scenario);
  load.hot = 6;
  load.per_second = 60;
  load.large_most = 6;
  load.flushes = load.trims = load.statuses = load.caches = 0;
  draw_load(scenario, dice, load, 1ms, scenario.length);
  const Duration at = dice.between(Duration{200ms}, Duration{2s});
  scenario.actions.push_back({.at = at,
                              .act = Act::tail_is_slow,
                              .lasts = dice.between(Duration{1100ms}, Duration{1900ms}),
                              .times = 1});
  scenario.actions.push_back({.at = at + dice.between(Duration{}, Duration{60ms}),
                              .act = Act::tail_refuses,
                              .command = dice.one_of({Command::read, Command::write}),
                              .error = ESHUTDOWN,
                              .times = 1});
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// Connections break within answers to BLOCK_STATUS, which tell of many extents.
Scenario draw_cut_status(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.tail.structured = true;
  for (GuestPlan& guest : scenario.guests) guest.manners.structured = true;
  scenario.length = 200ms;
  for (std::uint64_t first = dice.pick(3); first < 200; first += dice.between(2, 5))
    scenario.actions.push_back(
        {.at = 1us, .ask = {.command = Command::write, .first = first, .count = 1}});
  const auto guests = static_cast<unsigned>(scenario.guests.size());
  for (Duration at = 50ms; at < 200ms; at += 50ms) {
    for (unsigned i = 0; i < 12; ++i)
      scenario.actions.push_back({.at = at + dice.between(Duration{}, Duration{500us}),
                                  .who = static_cast<unsigned>(dice.pick(guests)),
                                  .ask = {.command = Command::block_status,
                                          .first = dice.pick(100),
                                          .count = dice.between(1, 100)}});
    scenario.actions.push_back({.at = at + dice.between(Duration{}, Duration{500us}),
                                .act = Act::tail_cuts,
                                .bytes = 1 + dice.pick(2000)});
  }
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// A tail serves one client at a time: who comes second is greeted when the first has gone.
Scenario draw_one_client(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.tail.one_client = true;
  scenario.tail.flags &= static_cast<std::uint16_t>(~flag::can_multi_conn);
  scenario.head.connections = 1;
  scenario.length = 2s;
  Load load = load_of(scenario);
  load.hot = dice.one_of({6u, 40u});
  load.per_second = 100;
  draw_load(scenario, dice, load, 1ms, scenario.length);
  constexpr Act acts[] = {Act::tail_ends,        Act::power_fails,    Act::tail_cuts,
                          Act::tail_cuts,        Act::tail_stops,     Act::tail_vanishes,
                          Act::head_is_upgraded, Act::head_relocates, Act::head_is_killed,
                          Act::upgrade_fails,    Act::link_fails,     Act::tail_shuts_down};
  Duration at = dice.between(Duration{}, scenario.length);
  for (std::uint64_t i = dice.between(1, 4); i != 0; --i) {
    Action action{.at = at, .act = dice.one_of(acts), .yes = dice.chance(0.5)};
    action.lasts = dice.one_of({Duration{3ms}, Duration{40ms}, Duration{400ms}});
    if (action.act == Act::tail_cuts && dice.chance(0.7)) action.bytes = 1 + dice.pick(300);
    scenario.actions.push_back(action);
    at = dice.chance(0.5) ? dice.between(Duration{}, scenario.length)
                          : at + dice.one_of({Duration{100us}, Duration{2ms}, Duration{30ms}});
  }
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

}  // namespace world
