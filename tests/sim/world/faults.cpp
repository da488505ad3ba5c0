#include "tests/sim/world/faults.hpp"

#include "head/nbd/volume.hpp"
#include "tests/sim/world/draw.hpp"

#include <cerrno>

namespace world {

using namespace std::chrono_literals;
using head::nbd::Command;
using head::nbd::Durability;
namespace flag = head::nbd::transmission_flag;

namespace {

// Workers that take so long now and then, and go on when their connection is gone.
Scenario with_slow_workers(std::uint64_t seed, Dice& dice, Duration least, Duration most) {
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = dice.one_of(modes);
  scenario.head.quarantine = 9s;
  scenario.head.tail_closes_last = dice.chance(0.5);
  scenario.tail.workers = 16;
  scenario.length = 4s;
  scenario.limit = 60s;
  scenario.guests[0].manners.asks_again = dice.chance(0.5);
  scenario.actions.push_back({.at = dice.between(Duration{200ms}, Duration{1500ms}),
                              .act = Act::tail_is_slow,
                              .lasts = dice.between(least, most),
                              .times = static_cast<unsigned>(dice.between(1, 3))});
  return scenario;
}

Duration slow_from(const Scenario& scenario) {
  return scenario.actions.front().at;
}

// A tail that has crashed is slow with what is written to it again, and then this happens.
Scenario replay_and(std::uint64_t seed, Action action) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.tail.workers = 16;
  scenario.length = 2s;
  const Duration at = dice.between(Duration{300ms}, Duration{800ms});
  scenario.actions.push_back({.at = at, .act = Act::power_fails});
  scenario.actions.push_back({.at = at + 100us,
                              .act = Act::tail_is_slow,
                              .lasts = dice.between(Duration{100ms}, Duration{600ms}),
                              .times = static_cast<unsigned>(dice.between(1, 4))});
  action.at = at + dice.between(Duration{1ms}, Duration{60ms});
  scenario.actions.push_back(action);
  Load load = rewriting(scenario);
  load.per_second = 200;
  load.flushes = 0;
  return finish(scenario, dice, load);
}

}  // namespace

// ---- Ghosts: every way in which a connection with an unanswered change is given up --------------

Scenario draw_suspected(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = with_slow_workers(seed, dice, 2500ms, 8s);
  scenario.length = 10s;
  return finish(scenario, dice, rewriting(scenario));
}

Scenario draw_silent(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = with_slow_workers(seed, dice, 12s, 20s);
  scenario.length = 24s;
  // What is asked once the link is there again may be as slow, and is given up soon.
  scenario.head.quarantine = 18s;
  scenario.actions.push_back({.at = slow_from(scenario) + dice.between(Duration{}, Duration{300ms}),
                              .act = Act::link_fails,
                              .lasts = dice.between(Duration{11s}, Duration{13s})});
  Load load = rewriting(scenario);
  load.per_second = 30;
  return finish(scenario, dice, load);
}

namespace {

// Workers are slower than what is waited for, and this happens meanwhile.
Scenario slow_and(std::uint64_t seed, Action action) {
  Dice dice(seed);
  Scenario scenario = with_slow_workers(seed, dice, 1200ms, 3s);
  action.at = slow_from(scenario) + dice.between(Duration{}, Duration{300ms});
  scenario.actions.push_back(action);
  return finish(scenario, dice, rewriting(scenario));
}

}  // namespace

Scenario draw_moved(std::uint64_t seed) {
  return slow_and(seed, {.act = Act::head_relocates});
}

Scenario draw_upgraded(std::uint64_t seed) {
  return slow_and(seed, {.act = Act::head_is_upgraded, .lasts = 40ms});
}

Scenario draw_ordered(std::uint64_t seed) {
  return slow_and(seed, {.act = Act::head_fails, .lasts = 20ms});
}

Scenario draw_lied_to(std::uint64_t seed) {
  return slow_and(seed, {.act = Act::tail_lies, .times = 1});
}

Scenario draw_killed(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = with_slow_workers(seed, dice, 100ms, 3s);
  Duration at = slow_from(scenario) + dice.between(Duration{}, Duration{300ms});
  // Often again before what was under way at the first time has ended.
  for (int kills = dice.chance(0.4) ? 2 : 1; kills != 0; --kills) {
    scenario.actions.push_back({.at = at, .act = Act::head_is_killed, .lasts = 40ms});
    at += dice.between(Duration{50ms}, Duration{1s});
  }
  return finish(scenario, dice, rewriting(scenario));
}

Scenario draw_detached_early(std::uint64_t seed) {
  return slow_and(seed, {.act = Act::head_detaches, .lasts = 20ms});
}

Scenario draw_closed_early(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = with_slow_workers(seed, dice, 100ms, 3s);
  scenario.tail.closes_early = true;
  scenario.head.tail_closes_last = false;
  scenario.actions.push_back({.at = slow_from(scenario) + dice.between(Duration{}, Duration{300ms}),
                              .act = Act::tail_cuts,
                              .yes = dice.chance(0.5)});
  return finish(scenario, dice, rewriting(scenario));
}

// Nobody writes the first block, which headd has had the time to look at.
Scenario draw_another_disc(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = dice.one_of(modes);
  scenario.head.identity = head::disc::Identity::first_block;
  scenario.length = 10s;
  scenario.actions.push_back({.at = dice.between(Duration{6s}, Duration{8s}),
                              .act = Act::tail_changes,
                              .lasts = dice.between(Duration{100ms}, Duration{1s}),
                              .change = Change::another_disc,
                              .yes = dice.chance(0.5)});
  // It stays what it is for those who are connected; who connects anew is led to the other one.
  if (scenario.actions.back().yes)
    scenario.actions.push_back(
        {.at = scenario.actions.back().at + dice.between(Duration{}, Duration{50ms}),
         .act = Act::head_relocates});
  Load load = load_of(scenario);
  load.per_second = 30;
  draw_load(scenario, dice, load, 1ms, scenario.length);
  const Duration changed = scenario.actions.front().at;
  for (unsigned i = 0; i < 12; ++i)
    scenario.actions.push_back({.at = changed + dice.between(Duration{}, Duration{5ms}),
                                .ask = {.first = dice.pick(24), .count = 1}});
  constexpr std::uint64_t first_block = 128;  // Sectors; more than any block has.
  for (Action& action : scenario.actions)
    if (action.ask.count != 0)
      action.ask.first = std::min(action.ask.first + first_block, 512 - action.ask.count);
  sort_actions(scenario);
  return scenario;
}

Scenario draw_detached(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = dice.one_of(modes);
  scenario.length = 3s;
  const Duration at = dice.between(Duration{400ms}, Duration{800ms});
  scenario.actions.push_back({.at = at, .act = Act::head_detaches, .lasts = 1s});
  scenario.actions.push_back({.at = at + 900ms, .act = Act::power_fails});
  return finish(scenario, dice, load_of(scenario));
}

// A change of a part of a block is asked again after the tail has crashed.
Scenario draw_realigned(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = Durability::writeback;
  scenario.tail.block_minimum = 4096;
  scenario.tail.workers = 1;
  scenario.tail.takes_most = 3ms;
  scenario.length = 1500ms;
  for (unsigned i = 0; i < 3; ++i) {
    const Duration at = dice.between(Duration{100ms}, Duration{1200ms});
    scenario.actions.push_back({.at = at, .act = Act::head_relocates});
    scenario.actions.push_back(
        {.at = at + dice.between(Duration{100us}, Duration{3ms}), .act = Act::power_fails});
  }
  Load load = load_of(scenario);
  load.large_most = 6;
  load.flushes = 0;
  return finish(scenario, dice, load);
}

// ---- Data ---------------------------------------------------------------------------------------

Scenario draw_crowded(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.tail.size = 4 << 20;
  scenario.tail.is_volatile = false;
  scenario.tail.workers = 2;
  scenario.tail.takes_least = 10ms;
  scenario.tail.takes_most = 20ms;
  scenario.head.durability = Durability::writeback;
  scenario.length = 200ms;
  // One disc may hold a quarter of the smallest memory there is, 40 MiB.
  for (unsigned i = 0; i < 24; ++i)
    scenario.actions.push_back({.at = dice.between(Duration{1ms}, Duration{60ms}),
                                .ask = {.command = Command::write,
                                        .first = 2048 * dice.pick(4),
                                        .count = 2048 - dice.pick(3)}});
  // Who comes again asks again, over what it had said and headd has not read.
  const bool anew = dice.chance(0.5);
  scenario.guests[0].manners.asks_again = anew;
  for (unsigned i = 0; i < 3; ++i)
    scenario.actions.push_back({.at = dice.between(Duration{20ms}, Duration{200ms}),
                                .act = anew ? Act::guest_comes_anew : Act::head_is_upgraded,
                                .lasts = 5ms});
  sort_actions(scenario);
  return scenario;
}

Scenario draw_replay_handed(std::uint64_t seed) {
  return replay_and(seed, {.act = Act::head_is_upgraded, .lasts = 3ms});
}

Scenario draw_replay_killed(std::uint64_t seed) {
  return replay_and(seed, {.act = Act::head_is_killed, .lasts = 10ms});
}

Scenario draw_half_refused(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.tail.tears_errors = true;
  scenario.length = 1s;
  const bool failed_fua = dice.chance(0.5);
  for (unsigned i = 0; i < 3; ++i) {
    const Duration at = dice.between(Duration{100ms}, Duration{900ms});
    scenario.actions.push_back(
        {.at = at, .act = Act::tail_refuses, .command = Command::write, .error = EIO, .times = 2});
    Action also{.at = at + dice.between(Duration{2ms}, Duration{100ms}), .act = Act::tail_cuts};
    // Or one with FUA fails beside it, as its FLUSH does.
    if (failed_fua) {
      also = {.at = at, .act = Act::tail_refuses, .command = Command::write, .error = EIO};
      also.times = 1;
      also.ask.fua = true;
    }
    scenario.actions.push_back(also);
  }
  Load load = rewriting(scenario);
  load.flushes = 0;
  if (failed_fua) {
    scenario.tail.fua_flushes = true;
    load.fua = 0.3;
    scenario.tail.takes_most = 4ms;
  }
  load.per_second = 200;
  return finish(scenario, dice, load);
}

Scenario draw_private(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = dice.one_of(modes);
  scenario.tail.keeps_private = true;
  scenario.head.handing = Handing::all;
  scenario.crash_at_end = false;  // It ends connections, and what belongs to them.
  scenario.tail.is_volatile = false;
  scenario.tail.flags &=
      static_cast<std::uint16_t>(~(flag::send_flush | flag::send_fua | flag::can_multi_conn));
  scenario.length = 1s;
  Duration at = dice.between(Duration{300ms}, Duration{400ms});
  for (std::uint64_t i = dice.between(1, 3); i != 0; --i) {
    scenario.actions.push_back(
        {.at = at, .act = dice.one_of({Act::head_is_upgraded, Act::upgrade_fails}), .lasts = 20ms});
    at += dice.between(Duration{50ms}, Duration{150ms});
  }
  Load load = load_of(scenario);
  load.flushes = 0;
  load.fua = 0;
  return finish(scenario, dice, load);
}

// No client can have back what such a tail has dropped. But nobody is to read what is there
// instead.
Scenario draw_private_cut(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = draw_private(seed);
  scenario.actions.clear();
  scenario.ends_held = true;
  scenario.length = 2s;
  scenario.actions.push_back(
      {.at = dice.between(Duration{300ms}, Duration{700ms}),
       .act = dice.one_of({Act::tail_cuts, Act::tail_ends, Act::link_fails, Act::head_relocates}),
       .lasts = 20ms,
       .yes = dice.chance(0.5)});
  Load load = load_of(scenario);
  load.per_second = 100;
  load.burst_most = 3;
  load.hot = 64;
  load.trims = load.statuses = 0;
  load.large_most = 6;
  return finish(scenario, dice, load);
}

// ---- Service ------------------------------------------------------------------------------------

// One guest asks what a tail hangs up on, and others are served.
Scenario draw_poisoned(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = dice.one_of(modes);
  scenario.guests.push_back({});
  scenario.tail.poison =
      dice.one_of({Command::trim, Command::read, Command::write, Command::write_zeroes,
                   Command::cache, Command::block_status, Command::flush});
  // headd's own FLUSH is as poisonous as a guest's.
  if (scenario.tail.poison == Command::flush) scenario.head.durability = Durability::writeback;
  scenario.tail.poison_from = 504;
  if (dice.chance(0.3)) scenario.tail.flags &= static_cast<std::uint16_t>(~flag::can_multi_conn);
  if (dice.chance(0.3)) scenario.head.connections = 3;
  scenario.length = 15s;
  Load load = load_of(scenario);
  load.sectors = 504;
  load.per_second = 20;
  if (scenario.tail.poison == Command::flush) load.flushes = 0;
  const auto at = dice.between(Duration{1s}, Duration{2s});
  for (std::uint64_t i = dice.between(1, 2); i != 0; --i)
    scenario.actions.push_back(
        {.at = at + i * 1ms,
         .who = 1,
         .ask = {.command = *scenario.tail.poison, .first = 500 + i, .count = 8}});
  if (scenario.tail.poison == Command::flush)
    for (Action& action : scenario.actions) action.ask.first = action.ask.count = 0;
  return finish(scenario, dice, load);
}

Scenario draw_overlong(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.tail.overlong_extents = true;
  scenario.length = 1s;
  Load load = load_of(scenario);
  load.per_second = 50;
  load.statuses = 10;
  return finish(scenario, dice, load);
}

Scenario draw_hang_after_fail(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.length = 6s;
  scenario.actions.push_back({.at = 1s, .act = Act::tail_ends, .lasts = 500ms});
  scenario.actions.push_back({.at = 1200ms, .act = Act::head_fails, .lasts = 200ms});
  scenario.actions.push_back(
      {.at = dice.between(Duration{2s}, Duration{3s}), .act = Act::tail_hangs});
  Load load = load_of(scenario);
  load.per_second = 40;
  return finish(scenario, dice, load);
}

// What has been failed is still under way on the connection that hangs.
Scenario draw_fail_while_hung(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.guests.resize(dice.between(1, 10));
  scenario.length = 5s;
  const Duration at = dice.between(Duration{500ms}, Duration{1s});
  // Then a second connection is of no use either, and is tried again and again.
  const bool all_of_it = dice.chance(0.5);
  if (all_of_it) scenario.length = 40s;
  if (all_of_it) scenario.limit = 60s;
  scenario.actions.push_back({.at = at, .act = Act::tail_hangs});
  if (all_of_it)
    scenario.actions.push_back(
        {.at = at, .act = Act::tail_stops, .lasts = dice.between(Duration{2s}, Duration{38s})});
  for (std::uint64_t i = dice.between(1, all_of_it ? 4 : 1); i != 0; --i)
    scenario.actions.push_back(
        {.at = at + dice.between(Duration{500ms}, all_of_it ? Duration{30s} : Duration{3s}),
         .act = Act::head_fails,
         .lasts = 40ms});
  Load load = rewriting(scenario);
  load.per_second = all_of_it ? dice.one_of({10u, 50u}) : dice.one_of({10u, 100u, 400u});
  if (all_of_it) load.hot = dice.one_of({6u, 400u});
  load.trims = load.flushes = load.zeroes = load.caches = 0;
  load.fua = 0;
  return finish(scenario, dice, load);
}

Scenario draw_hangs_in_a_row(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  // A FLUSH of headd's own may be in the way, which is suspected after 30 s only; and a request may
  // meet three hangs in a row.
  scenario.limit = 60s;
  scenario.length = 40s;
  for (unsigned i = 0; i < 5; ++i)
    scenario.actions.push_back(
        {.at = 1s + i * 7s + dice.between(Duration{}, Duration{1s}), .act = Act::tail_hangs});
  Load load = load_of(scenario);
  load.per_second = 30;
  load.trims = load.flushes = load.zeroes = load.caches = 0;
  return finish(scenario, dice, load);
}

// What the hung connection may still carry out holds the others for the quarantine, and no longer.
Scenario draw_hang_under_rewrites(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.length = 9s;
  scenario.limit = 6s;
  scenario.actions.push_back(
      {.at = dice.between(Duration{1s}, Duration{2s}), .act = Act::tail_hangs});
  Load load = load_of(scenario);
  load.per_second = 20;
  load.trims = load.flushes = load.zeroes = load.caches = 0;
  load.fua = 0;
  return finish(scenario, dice, load);
}

Scenario draw_hang_behind_flush(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.length = 5s;
  scenario.actions.push_back({.at = 2s, .act = Act::tail_hangs});
  scenario.actions.push_back(
      {.at = 2001ms, .ask = {.command = dice.one_of({Command::flush, Command::trim}), .count = 1}});
  if (scenario.actions.back().ask.command == Command::flush) scenario.actions.back().ask.count = 0;
  scenario.actions.push_back({.at = 2002ms, .ask = {.first = dice.pick(500), .count = 1}});
  Load load = load_of(scenario);
  load.per_second = 20;
  draw_load(scenario, dice, load, 1ms, 1900ms);
  sort_actions(scenario);
  return scenario;
}

Scenario draw_slow_link(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.tail.size = 1 << 20;
  scenario.length = 16s;
  scenario.limit = 60s;
  scenario.link.bytes_per_second = dice.between(100'000, 400'000);
  scenario.gives_up_nothing = true;
  scenario.crash_at_end = false;
  scenario.actions.push_back(
      {.at = 100ms, .ask = {.command = Command::write, .first = 0, .count = 2048}});
  scenario.actions.push_back({.at = 15s, .ask = {.first = 0, .count = 2048}});
  for (std::uint64_t i = dice.pick(3); i != 0; --i)
    scenario.actions.push_back({.at = 15s + i * 1ms, .ask = {.first = 256 * i, .count = 1024}});
  // The way is interrupted for less time than anybody waits for.
  if (dice.chance(0.5))
    scenario.actions.push_back({.at = 15s + dice.between(Duration{100ms}, Duration{2s}),
                                .act = Act::link_fails,
                                .lasts = dice.between(Duration{10ms}, Duration{1s})});
  return scenario;
}

// One request takes long, and the connection is not to blame.
Scenario draw_slow_worker(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = dice.one_of(modes);
  scenario.length = 12s;
  scenario.limit = 60s;
  scenario.gives_up_nothing = true;
  scenario.crash_at_end = false;
  scenario.actions.push_back({.at = dice.between(Duration{100ms}, Duration{1s}),
                              .act = Act::tail_is_slow,
                              .lasts = dice.between(Duration{2500ms}, Duration{20s}),
                              .times = 1});
  Load load = load_of(scenario);
  load.per_second = dice.one_of({1u, 5u, 40u});
  load.burst_most = 2;
  return finish(scenario, dice, load);
}

Scenario draw_grace_changed(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.grace = 2s;
  scenario.length = 8s;
  scenario.actions.push_back({.at = 1s, .act = Act::tail_ends, .lasts = 5s});
  scenario.actions.push_back({.at = dice.between(Duration{1500ms}, Duration{5s}),
                              .act = Act::head_has_grace,
                              .lasts = 600s});
  Load load = load_of(scenario);
  load.per_second = 20;
  return finish(scenario, dice, load);
}

Scenario draw_grace_held(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.grace = 3s;
  scenario.length = 8s;
  scenario.actions.push_back({.at = 1s, .act = Act::head_holds, .lasts = 4s});
  scenario.actions.push_back({.at = 1100ms,
                              .act = Act::tail_ends,
                              .lasts = dice.between(Duration{3950ms}, Duration{4900ms})});
  Load load = load_of(scenario);
  load.per_second = 20;
  return finish(scenario, dice, load);
}

// ---- Restarts, replays --------------------------------------------------------------------------

Scenario draw_away_at_start(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.greets_at_once = true;
  scenario.length = 8s;
  scenario.actions.push_back({.at = 1s, .act = Act::tail_ends, .lasts = 5s});
  scenario.actions.push_back({.at = dice.between(Duration{1100ms}, Duration{2s}),
                              .act = Act::head_is_killed,
                              .lasts = 40ms});
  Load load = load_of(scenario);
  load.per_second = 20;
  return finish(scenario, dice, load);
}

Scenario draw_guest_ends(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = with_slow_workers(seed, dice, 50ms, 400ms);
  scenario.guests.resize(2);
  scenario.guests[1].manners.asks_again = false;
  scenario.actions.push_back({.at = slow_from(scenario) + dice.between(Duration{}, Duration{100ms}),
                              .act = Act::guest_ends,
                              .who = 1});
  Load load = rewriting(scenario);
  load.per_second = 200;
  return finish(scenario, dice, load);
}

Scenario draw_short_lived(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.tail.requests_per_connection = dice.one_of({30u, 100u, 130u});
  // Each connection is followed by a back-off of up to half a second, and some requests of each are
  // headd's own: 200 writes and their replay take a while where it lives for 30.
  scenario.limit = 20s;
  scenario.length = 3s;
  for (std::uint64_t i = 0; i < 200; ++i)
    scenario.actions.push_back(
        {.at = 100ms + i * 5ms, .ask = {.command = Command::write, .first = i * 2, .count = 1}});
  scenario.actions.push_back(
      {.at = 1200ms + dice.between(Duration{}, Duration{200ms}), .act = Act::power_fails});
  scenario.actions.push_back({.at = 2s, .ask = {.first = 7, .count = 1}});
  sort_actions(scenario);
  return scenario;
}

}  // namespace world
