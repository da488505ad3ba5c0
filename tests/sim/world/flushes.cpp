// FLUSHes that fail, and what is to become of what they were to make stable.
#include "tests/sim/script_tail.hpp"
#include "tests/sim/world/draw.hpp"
#include "tests/sim/world/faults.hpp"

#include <cerrno>

namespace world {

using namespace std::chrono_literals;
using head::nbd::Command;
using head::nbd::Durability;
namespace flag = head::nbd::transmission_flag;

namespace {

// A write of sectors of its own, and 50 ms after it a FLUSH will fail.
void write_before_failure(Scenario& scenario, Duration at, unsigned number) {
  scenario.actions.push_back(
      {.at = at, .ask = {.command = Command::write, .first = number * 8, .count = 4}});
  scenario.actions.push_back({.at = at + 50ms,
                              .act = Act::tail_refuses,
                              .command = Command::flush,
                              .error = EIO,
                              .times = 1});
}

void take_pieces(TailManners& tail, Dice& dice) {
  tail.block_minimum = dice.one_of({512u, 4096u});
  tail.payload_maximum = dice.one_of({8192u, 65536u});
}

}  // namespace

Scenario draw_failed_flush(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = dice.one_of(modes);
  scenario.length = 4s;
  // One that a guest asks, or headd by itself after five seconds.
  if (dice.chance(0.3)) scenario.length = 12s;
  if (dice.chance(0.5)) scenario.guests.push_back({});
  const Duration at = dice.between(Duration{}, Duration{1s});
  scenario.actions.push_back(
      {.at = at, .act = Act::tail_refuses, .command = Command::flush, .error = EIO, .times = 1});
  // Some writes are with the tail, and done, when it fails.
  if (scenario.head.durability == Durability::replay && dice.chance(0.5)) {
    scenario.tail.cached = 0.5;
    scenario.tail.takes_most = 4ms;
  }
  // Long changes go in pieces.
  if (dice.chance(0.3)) take_pieces(scenario.tail, dice);
  // Or it is answered on a connection that another one has replaced.
  if (dice.chance(0.3)) {
    scenario.actions.push_back({.at = at, .act = Act::tail_is_slow, .lasts = 700ms, .times = 1});
    scenario.actions.push_back({.at = at + 10us, .ask = {.command = Command::flush}});
    scenario.actions.push_back(
        {.at = at + dice.between(Duration{50ms}, Duration{600ms}), .act = Act::head_relocates});
  }
  Load load = load_of(scenario);
  load.per_second = dice.one_of({40u, 40u, 200u});
  load.flushes = dice.one_of({1u, 8u});
  load.fua = 0;
  if (scenario.length > 5s) load.per_second = 10;
  return finish(scenario, dice, load);
}

// Nothing is kept when a FLUSH fails, and a write is done and unanswered; then all seems well,
// until the tail crashes.
Scenario draw_write_beside_flush(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.tail.cached = 1.0;
  scenario.tail.takes_most = 4ms;
  scenario.guests.push_back({});
  const Action flush{.ask = {.command = Command::flush}};
  for (unsigned i = 0; i < 4; ++i) {
    const Duration at = 200ms + i * 700ms;
    Action write{.at = at, .ask = {.command = Command::write, .first = i * 8, .count = 4}};
    scenario.actions.push_back(write);
    for (const Duration later :
         {Duration{-100ms}, dice.between(Duration{20us}, Duration{300us}), Duration{100ms}}) {
      Action asked = flush;
      asked.at = at + later;
      asked.who = later == Duration{100ms} ? 0 : 1;
      scenario.actions.push_back(asked);
    }
    scenario.actions.push_back({.at = at - 20ms,
                                .act = Act::tail_refuses,
                                .command = Command::flush,
                                .error = EIO,
                                .times = 1});
    scenario.actions.push_back({.at = at + 200ms, .act = Act::power_fails});
    Action read{.at = at + 300ms, .ask = {.first = i * 8, .count = 4}};
    scenario.actions.push_back(read);
  }
  scenario.length = 3s;
  sort_actions(scenario);
  return scenario;
}

// A connection that has been replaced may live on for a while, and what was written there needs a
// FLUSH there.
Scenario draw_flushes_own(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability =
      dice.one_of({Durability::writeback, Durability::writethrough, Durability::replay});
  scenario.tail.flags = sim::all_flags & static_cast<std::uint16_t>(~flag::can_multi_conn);
  scenario.tail.flushes_own = true;
  scenario.tail.workers = 16;
  scenario.tail.takes_most = dice.one_of({1ms, 40ms});
  scenario.length = 3s;
  Duration at = dice.between(Duration{300ms}, Duration{1s});
  // Its answer keeps the old connection.
  if (dice.chance(0.5))
    scenario.actions.push_back({.at = at - dice.between(Duration{}, Duration{50ms}),
                                .act = Act::tail_is_slow,
                                .lasts = 1500ms,
                                .times = 1});
  for (std::uint64_t i = dice.between(1, 4); i != 0; --i) {
    scenario.actions.push_back({.at = at, .act = Act::head_relocates});
    at += dice.between(Duration{1ms}, Duration{60ms});
  }
  scenario.actions.push_back(
      {.at = at + dice.between(Duration{}, Duration{1s}), .act = Act::power_fails});
  Load load = rewriting(scenario);
  load.hot = 40;
  load.flushes = 20;
  load.per_second = 100;
  return finish(scenario, dice, load);
}

// One of two FLUSHes fails, and is answered after the other one, which is not to be believed.
Scenario draw_flushes_beside(std::uint64_t seed) {
  Scenario scenario = draw_failed_flush(seed);
  Dice dice(seed + 1);
  scenario.head.durability = dice.one_of({Durability::writeback, Durability::writethrough});
  scenario.tail.cached = 0.5;
  scenario.tail.takes_most = 4ms;
  // Or each change is followed by a FLUSH.
  if (dice.chance(0.5)) scenario.tail.flags &= static_cast<std::uint16_t>(~flag::send_fua);
  return scenario;
}

// The same, and headd ends at about that time, in any way; then the tail crashes.
Scenario draw_ends_beside_flush(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.tail.cached = 1.0;
  scenario.tail.takes_most = 8ms;
  scenario.guests.push_back({});
  scenario.length = 2s;
  Duration at = 200ms;
  for (unsigned i = 0; i < 3; ++i, at += 500ms) {
    write_before_failure(scenario, at, i);
    const Duration apart = dice.between(Duration{10us}, Duration{6ms});
    scenario.actions.push_back({.at = at + 50ms, .ask = {.command = Command::flush}});
    Action second{.at = at + 50ms + apart, .who = 1, .ask = {.command = Command::flush}};
    const Act end = dice.one_of({Act::head_is_killed, Act::head_detaches, Act::head_is_upgraded});
    // A detach asks for a FLUSH itself.
    if (end == Act::head_is_killed || dice.chance(0.5)) scenario.actions.push_back(second);
    const Duration then = at + 50ms + dice.between(apart, Duration{12ms});
    scenario.actions.push_back({.at = then, .act = end, .lasts = 50ms});
    scenario.actions.push_back({.at = then + 25ms, .act = Act::power_fails});
  }
  sort_actions(scenario);
  return scenario;
}

// A FLUSH fails just when headd is upgraded, and nothing is kept that could repair it: both guests
// are to be told.
Scenario draw_failed_flush_handed(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = dice.one_of({Durability::writeback, Durability::writethrough});
  scenario.tail.cached = 1.0;
  scenario.tail.takes_most = 8ms;
  if (dice.chance(0.3)) scenario.head.handing = Handing::earlier;
  scenario.guests.push_back({});
  scenario.length = 3s;
  Duration at = 200ms;
  for (unsigned i = 0; i < 4; ++i, at += 700ms) {
    write_before_failure(scenario, at, i);
    // Or it is left for whatever headd asks by itself.
    if (dice.chance(0.7))
      scenario.actions.push_back({.at = at + 50ms, .ask = {.command = Command::flush}});
    scenario.actions.push_back({.at = at + 50ms + dice.between(Duration{}, Duration{12ms}),
                                .act = Act::head_is_upgraded,
                                .lasts = dice.one_of({Duration{3ms}, Duration{50ms}})});
    for (unsigned who = 0; who < 2; ++who)
      scenario.actions.push_back(
          {.at = at + 300ms, .who = who, .ask = {.command = Command::flush}});
  }
  sort_actions(scenario);
  return scenario;
}

// A tail makes a FLUSH of FUA, as most do, and that fails.
Scenario draw_failed_fua(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = dice.one_of(modes);
  scenario.length = 4s;
  if (dice.chance(0.5)) scenario.guests.push_back({});
  scenario.tail.fua_flushes = true;
  if (dice.chance(0.5)) {
    scenario.tail.cached = 0.5;
    scenario.tail.takes_most = 4ms;
  }
  Action refusal{.at = dice.between(Duration{}, Duration{1s}),
                 .act = Act::tail_refuses,
                 .command = dice.one_of({Command::write, Command::write_zeroes}),
                 .error = dice.one_of({EIO, ENOSPC, EINVAL}),
                 .times = 1};
  refusal.ask.fua = true;
  scenario.actions.push_back(refusal);
  // There EINVAL may be about the length, and is taken for that.
  if (dice.chance(0.3)) {
    take_pieces(scenario.tail, dice);
    scenario.actions.back().error = EIO;
  }
  Load load = load_of(scenario);
  load.per_second = dice.one_of({40u, 200u});
  load.flushes = dice.one_of({1u, 8u});
  load.zeroes = 15;
  load.fua = dice.one_of({0.2, 1.0});
  return finish(scenario, dice, load);
}

Scenario draw_unknown_flush(std::uint64_t seed) {
  Scenario scenario = draw_failed_flush(seed);
  scenario.head.durability = Durability::replay;
  for (Action& action : scenario.actions)
    if (action.act == Act::tail_refuses) action.error = EINVAL;
  return scenario;
}

}  // namespace world
