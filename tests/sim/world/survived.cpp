#include "tests/sim/world/survived.hpp"

#include "head/nbd/volume.hpp"
#include "tests/sim/world/draw.hpp"

#include <algorithm>
#include <cerrno>

namespace world {

using namespace std::chrono_literals;
using head::nbd::Command;
using head::nbd::Durability;
namespace flag = head::nbd::transmission_flag;

// Connections hang once, and something else happens until that is noticed. Only reads and writes:
// of what else waits, headd thinks that it may take long.
Scenario draw_hung(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.head.connections = 1;
  scenario.head.identity = head::disc::Identity::shape;
  scenario.tail.flags |= flag::send_fua;
  scenario.head.replay_memory = 16 << 20;  // No FLUSH of the disc's own.
  scenario.length = 5s;
  Load load = load_of(scenario);
  load.per_second = 60;
  load.zeroes = load.trims = load.flushes = load.statuses = load.caches = 0;
  load.fua = 0;
  draw_load(scenario, dice, load, 1ms, scenario.length);
  const Duration at = dice.between(Duration{300ms}, Duration{900ms});
  scenario.actions.push_back({.at = at, .act = Act::tail_hangs});
  for (unsigned i = 0; i < 8; ++i)
    scenario.actions.push_back({.at = at + 2ms + i * 5ms, .ask = {.first = 8 * i, .count = 1}});
  const std::uint64_t faults = dice.pick(3);
  for (std::uint64_t i = 0; i < faults; ++i)
    scenario.actions.push_back(
        draw_fault(dice, scenario, at + dice.between(Duration{1900ms}, Duration{2600ms})));
  // The second connection that is tried then takes long, and headd is told to move meanwhile.
  if (dice.chance(0.2)) {
    scenario.actions.push_back({.at = at + 1900ms, .act = Act::link_fails, .lasts = 900ms});
    scenario.actions.push_back(
        {.at = at + dice.between(Duration{2200ms}, Duration{2700ms}), .act = Act::head_relocates});
  }
  drop(scenario, Act::tail_is_slow);
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// The tail crashes again and again, soon after it has come back, and is cut and slow meanwhile.
Scenario draw_crashes(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  if (dice.chance(0.5)) scenario.tail.flags &= static_cast<std::uint16_t>(~flag::send_fua);
  // FLUSHes that take long, so that a crash meets one.
  if (scenario.head.durability == Durability::writethrough && dice.chance(0.7)) {
    scenario.tail.workers = 16;
    scenario.tail.takes_most = 3ms;
  }
  scenario.length = 2s;
  Load load = load_of(scenario);
  load.hot = dice.one_of({4u, 16u, 200u});
  load.per_second = dice.one_of({100u, 400u});
  load.flushes = dice.one_of({0u, 1u, 8u});
  load.fua = dice.one_of({0.0, 0.1});
  draw_load(scenario, dice, load, 1ms, scenario.length);
  constexpr Act acts[] = {Act::power_fails,  Act::power_fails,    Act::tail_ends,
                          Act::tail_cuts,    Act::head_relocates, Act::tail_is_slow,
                          Act::tail_is_slow, Act::link_fails};
  Duration at = dice.between(Duration{100ms}, Duration{1500ms});
  for (std::uint64_t i = dice.between(2, 6); i != 0; --i) {
    Action action{.at = at, .act = dice.one_of(acts), .yes = true};
    if (i == 1) action.act = Act::power_fails;
    action.lasts = dice.one_of({Duration{}, Duration{3ms}, Duration{20ms}});
    if (action.act == Act::tail_is_slow) {
      action.times = static_cast<unsigned>(dice.between(1, 3));
      action.lasts = dice.between(Duration{1ms}, Duration{600ms} / action.times);
    }
    scenario.actions.push_back(action);
    at += dice.one_of({Duration{100us}, Duration{300us}, Duration{1ms}, Duration{4ms},
                       Duration{20ms}, Duration{200ms}}) +
          dice.between(Duration{}, Duration{200us});
  }
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// A short history in which nothing happens, so that something can be placed before each event.
Scenario draw_calm(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.head.identity = head::disc::Identity::shape;
  scenario.guests.resize(std::min<std::size_t>(scenario.guests.size(), 2));
  // As few events as can be.
  scenario.tail.scattered = false;
  for (GuestPlan& guest : scenario.guests) guest.manners.piece = 0;
  // A guest is made to come anew: what it had asked and does not ask again is another profile's.
  for (GuestPlan& guest : scenario.guests) guest.manners.asks_again = true;
  scenario.tail.size = 64 << 10;
  scenario.tail.takes_most = 120us;
  scenario.length = 20ms;
  Load load = load_of(scenario);
  load.hot = 8;
  load.per_second = 2000;
  load.burst_most = 6;
  load.large_most = 40;
  draw_load(scenario, dice, load, 1ms, 15ms);
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// What is kept is written again to a tail that has crashed, slowly, and is interrupted meanwhile.
Scenario draw_replays(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.head.durability = Durability::replay;
  scenario.head.connections = 1;
  scenario.tail.workers = 16;
  scenario.length = 2s;
  Load load = load_of(scenario);
  load.hot = dice.one_of({4u, 12u, 100u});
  load.flushes = 0;
  load.fua = dice.one_of({0.0, 0.1});
  draw_load(scenario, dice, load, 1ms, scenario.length);
  const Duration at = dice.between(Duration{200ms}, Duration{1s});
  scenario.actions.push_back({.at = at, .act = Act::power_fails, .lasts = 1ms, .yes = true});
  const auto times = static_cast<unsigned>(dice.between(1, 4));
  scenario.actions.push_back({.at = at + 1100us,
                              .act = Act::tail_is_slow,
                              .lasts = dice.between(Duration{20ms}, Duration{600ms}),
                              .times = times});
  constexpr Act acts[] = {Act::head_relocates, Act::head_relocates, Act::tail_lies,
                          Act::link_fails,     Act::tail_cuts,      Act::power_fails};
  scenario.actions.push_back({.at = at + dice.between(Duration{2ms}, Duration{60ms}),
                              .act = dice.one_of(acts),
                              .lasts = 30ms,
                              .times = 1,
                              .yes = true});
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// Requests that are larger than a guest's share of the memory.
Scenario draw_huge(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.tail.size = 16 << 20;
  scenario.tail.is_volatile = false;
  scenario.crash_at_end = false;
  scenario.length = 300ms;
  for (unsigned i = 0; i < 3; ++i)
    scenario.actions.push_back({.at = 1ms + i * 80ms, .ask = {.first = i, .count = 24'000}});
  scenario.actions.push_back(
      {.at = dice.between(Duration{1ms}, Duration{200ms}), .act = Act::head_relocates});
  sort_actions(scenario);
  return scenario;
}

// The link is down until headd's kernel gives the connection up, and a worker that had begun before
// ends soon after.
Scenario draw_timed_out(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.tail.workers = 16;
  scenario.head.connections = 1;
  scenario.limit = 30s;
  scenario.head.suspect_after = 0ms;  // What comes of suspicion is another profile's.
  const Duration at = dice.between(Duration{100ms}, Duration{500ms});
  const Duration down = at + dice.between(Duration{2ms}, Duration{100ms});
  // What is sent soon after that is given up ten seconds later (TCP_USER_TIMEOUT).
  constexpr auto given_up = 10s;
  scenario.actions.push_back(
      {.at = at,
       .act = Act::tail_is_slow,
       .lasts = down - at + given_up + dice.between(Duration{350ms}, Duration{850ms}),
       .times = 1});
  scenario.actions.push_back({.at = down, .act = Act::link_fails, .lasts = given_up + 300ms});
  scenario.length = down + 12s;
  Load load = load_of(scenario);
  load.hot = 6;
  load.per_second = 30;
  load.flushes = load.trims = load.statuses = load.caches = 0;
  draw_load(scenario, dice, load, 1ms, scenario.length);
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// Guests of which some speak slowly, hear slowly, and come anew while the tail is away or headd is
// upgraded.
Scenario draw_restless(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  const unsigned guests = dice.one_of({2u, 4u});
  scenario.guests.clear();
  for (unsigned i = 0; i < guests; ++i) {
    GuestManners manners{.structured = dice.chance(0.5)};
    manners.pause = dice.one_of({Duration{20us}, Duration{200us}});
    if (dice.chance(0.4)) manners.piece = dice.one_of({std::size_t{5}, std::size_t{900}});
    if (dice.chance(0.4)) manners.window = dice.one_of({std::size_t{7}, std::size_t{600}});
    scenario.guests.push_back({.manners = manners});
  }
  scenario.length = 600ms;
  Load load = load_of(scenario);
  load.hot = 6;
  load.large_most = 24;
  draw_load(scenario, dice, load, 1ms, 500ms);
  // Some of it is to be refused, with all that comes behind its header.
  for (unsigned i = 0; i < 6; ++i)
    scenario.actions.push_back({.at = dice.between(Duration{1ms}, Duration{500ms}),
                                .who = static_cast<unsigned>(dice.pick(guests)),
                                .ask = {.command = Command::write,
                                        .first = load.sectors,
                                        .count = dice.between(1, 24),
                                        .beyond = true}});
  for (std::uint64_t i = dice.between(1, 3); i != 0; --i) {
    const Duration at = dice.between(Duration{50ms}, Duration{400ms});
    scenario.actions.push_back(
        {.at = at, .act = dice.one_of({Act::tail_ends, Act::head_is_upgraded}), .lasts = 40ms});
    for (unsigned j = 0; j < 4; ++j)
      scenario.actions.push_back(
          {.at = at + dice.between(-Duration{15ms}, dice.chance(0.5) ? Duration{} : Duration{40ms}),
           .act = Act::guest_comes_anew,
           .who = static_cast<unsigned>(dice.pick(guests))});
    if (!dice.chance(0.3)) continue;
    // One hears nothing from the beginning of its handshake until it is at the next headd.
    const auto who = static_cast<unsigned>(dice.pick(guests));
    scenario.actions.push_back({.at = at - 25ms, .act = Act::guest_comes_anew, .who = who});
    scenario.actions.push_back(
        {.at = at - 24ms, .act = Act::guest_stops, .who = who, .lasts = 300ms});
  }
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// The disc is told by its first block, which is written now and then and looked at between; what
// happens comes when that is over.
Scenario draw_looked_at(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.head.identity = head::disc::Identity::first_block;
  constexpr Act acts[] = {Act::tail_ends, Act::power_fails, Act::tail_cuts, Act::head_is_upgraded,
                          Act::head_relocates};
  Load load = load_of(scenario);
  load.per_second = 25;
  load.hot = 12;
  load.large_most = 20;
  if (dice.chance(0.5)) load.writes = load.zeroes = 15;
  Duration from = 1ms;
  for (std::uint64_t i = dice.between(1, 3); i != 0; --i) {
    const Duration to = from + dice.between(Duration{200ms}, Duration{7s});
    draw_load(scenario, dice, load, from, to);
    scenario.actions.push_back({.at = to + dice.between(Duration{}, Duration{8s}),
                                .act = dice.one_of(acts),
                                .lasts = dice.one_of({Duration{3ms}, Duration{40ms}}),
                                .yes = dice.chance(0.5)});
    from = scenario.actions.back().at + 500ms;
  }
  scenario.length = from;
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// Outages that are shorter than the grace time, or longer; and what comes long after them.
Scenario draw_graced(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  scenario.head.durability = dice.one_of(modes);
  scenario.head.grace = std::chrono::seconds(dice.between(1, 3));
  scenario.length = 20s;
  scenario.actions.push_back({.at = 1s,
                              .act = dice.one_of({Act::tail_ends, Act::link_fails}),
                              .lasts = dice.between(Duration{200ms}, Duration{5s})});
  Load load = load_of(scenario);
  load.per_second = 15;
  draw_load(scenario, dice, load, 1ms, scenario.length);
  sort_actions(scenario);
  return scenario;
}

// Reads come back in many chunks, those of several mixed, and the tail cannot be told not to.
Scenario draw_scattered(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.tail.structured = true;
  scenario.tail.scattered = true;
  if (dice.chance(0.7)) scenario.tail.flags &= static_cast<std::uint16_t>(~flag::send_df);
  scenario.length = 200ms;
  // Or many of them at once are not of whole blocks.
  if (dice.chance(0.3)) {
    scenario.tail.scattered = false;
    scenario.tail.block_minimum = 4096;
    for (unsigned i = 0; i < 60; ++i)
      scenario.actions.push_back({.at = 100ms, .ask = {.first = dice.pick(500), .count = 2}});
  }
  // Written first, so that there is something to come in chunks.
  for (std::uint64_t first = 0; first < 512; first += 64)
    scenario.actions.push_back(
        {.at = 1us, .ask = {.command = Command::write, .first = first, .count = 64}});
  for (unsigned i = 0; i < 16; ++i) {
    const std::uint64_t count =
        dice.one_of({std::uint64_t{2}, std::uint64_t{16}, std::uint64_t{120}});
    scenario.actions.push_back({.at = 50ms + dice.between(Duration{}, Duration{2ms}),
                                .ask = {.first = dice.pick(512 - count), .count = count}});
  }
  if (dice.chance(0.3))
    scenario.actions.push_back({.at = dice.between(Duration{50ms}, Duration{60ms}),
                                .act = Act::tail_cuts,
                                .bytes = dice.chance(0.5) ? SIZE_MAX : 1 + dice.pick(6000)});
  for (unsigned i = 0; i < 8; ++i)
    scenario.actions.push_back(
        {.at = 50ms + dice.between(Duration{}, Duration{3ms}),
         .ask = {.command = Command::block_status, .first = dice.pick(400), .count = 100}});
  // Reads that are asked again, in one piece, are not answered when headd is upgraded.
  const bool stopped = dice.chance(0.3);
  if (stopped) {
    scenario.tail.flags |= flag::send_df;
    scenario.actions.push_back({.at = dice.between(Duration{50ms}, Duration{54ms}),
                                .act = Act::tail_stops,
                                .lasts = 600ms});
  }
  if (stopped || dice.chance(0.3))
    scenario.actions.push_back({.at = dice.between(Duration{50ms}, Duration{54ms}),
                                .act = Act::head_is_upgraded,
                                .lasts = 3ms});
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// What the speed of the world is told in: 200 requests and one fault a second.
Scenario draw_steady(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.length = 10s;
  draw_load(scenario, dice, load_of(scenario), 1ms, scenario.length);
  for (Duration at = 1s; at < scenario.length; at += 1s)
    scenario.actions.push_back(draw_fault(dice, scenario, at));
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

// A tail refuses changes and reads, and says so; what it refuses, its guest is told.
Scenario draw_refused(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.guests.resize(1);
  scenario.length = 2s;
  Load load = load_of(scenario);
  load.hot = 16;
  load.per_second = 100;
  load.burst_most = 1;  // Which of two FLUSHes fails that are under way at once, nobody can tell.
  draw_load(scenario, dice, load, 1ms, scenario.length);
  for (std::uint64_t i = dice.between(1, 4); i != 0; --i) {
    Action refusal{.at = dice.between(Duration{}, scenario.length), .act = Act::tail_refuses};
    refusal.command = dice.one_of({Command::write, Command::write, Command::write_zeroes,
                                   Command::trim, Command::read, Command::flush});
    refusal.yes = dice.chance(0.5);
    refusal.error = dice.one_of({EPERM, EIO, ENOSPC, EINVAL, ENOMEM});
    refusal.times = static_cast<unsigned>(dice.between(1, 3));
    scenario.actions.push_back(refusal);
  }
  if (dice.chance(0.4)) {
    const Duration at = scenario.actions.back().at;
    scenario.actions.push_back(
        {.at = at + 10us, .act = Act::tail_is_slow, .lasts = 30ms, .times = 2});
    scenario.actions.push_back({.at = at + dice.between(Duration{}, Duration{40ms}),
                                .act = Act::head_is_upgraded,
                                .lasts = 3ms});
  }
  if (dice.chance(0.3))
    scenario.actions.push_back(
        {.at = 1us, .act = Act::tail_is_spoilt, .ask = {.first = dice.pick(12), .count = 1}});
  if (dice.chance(0.7))
    scenario.actions.push_back(
        {.at = dice.between(Duration{}, scenario.length),
         .act = dice.one_of({Act::tail_cuts, Act::tail_ends, Act::power_fails}),
         .lasts = 40ms});
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

}  // namespace world
