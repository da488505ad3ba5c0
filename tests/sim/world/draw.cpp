#include "tests/sim/world/draw.hpp"

#include "head/nbd/volume.hpp"
#include "tests/sim/script_tail.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

namespace world {
namespace {

using namespace std::chrono_literals;
using head::nbd::Command;
using head::nbd::Durability;
namespace flag = head::nbd::transmission_flag;

// The default twice.
constexpr Durability often[] = {Durability::writeback, Durability::writethrough, Durability::replay,
                                Durability::replay};

Ask draw_ask(Dice& dice, const Load& load, std::uint16_t flags) {
  const unsigned all = load.reads + load.writes + load.zeroes + load.trims + load.flushes +
                       load.statuses + load.caches;
  std::uint64_t at = dice.pick(all);
  Command command = Command::read;
  for (const auto& [kind, weight] : {std::pair{Command::read, load.reads},
                                     {Command::write, load.writes},
                                     {Command::write_zeroes, load.zeroes},
                                     {Command::trim, load.trims},
                                     {Command::flush, load.flushes},
                                     {Command::block_status, load.statuses},
                                     {Command::cache, load.caches}}) {
    command = kind;
    if (at < weight) break;
    at -= weight;
  }
  if (command == Command::trim && (flags & flag::send_trim) == 0) command = Command::write;
  if (command == Command::write_zeroes && (flags & flag::send_write_zeroes) == 0)
    command = Command::write;
  if (command == Command::cache && (flags & flag::send_cache) == 0) command = Command::read;
  if (command == Command::flush && (flags & flag::send_flush) == 0) command = Command::read;
  if (command == Command::flush) return {.command = command};
  const bool large = dice.chance(0.03);
  // One length is that of a list that just does not fit: 17 pieces of memory.
  const bool awkward = large && load.large_most > 90 && dice.chance(0.2);
  const std::uint64_t count = awkward ? 376 : 1 + dice.pick(large ? load.large_most : 6);
  const std::uint64_t within = dice.chance(0.9) ? std::max(load.hot, count) : load.sectors;
  const bool changes = command == Command::write || command == Command::write_zeroes;
  const bool skewed = command == Command::read && dice.chance(0.1);
  return {.command = command,
          .first = dice.pick(std::min(within, load.sectors) - count + 1),
          .count = count,
          .fua = changes && (flags & flag::send_fua) != 0 && dice.chance(load.fua),
          .skew = skewed ? static_cast<std::uint32_t>(dice.between(1, 511)) : 0};
}

}  // namespace

void draw_load(Scenario& scenario, Dice& dice, const Load& load, Duration from, Duration to) {
  const std::uint16_t flags = scenario.tail.flags;
  const auto nanos = static_cast<double>((to - from).count());
  const auto requests = static_cast<unsigned>(nanos / 1e9 * load.per_second);
  for (unsigned asked = 0; asked < requests;) {
    const auto burst = static_cast<unsigned>(dice.between(1, load.burst_most));
    Duration at = dice.between(from, to);
    const auto who = static_cast<unsigned>(dice.pick(load.guests));
    for (unsigned i = 0; i < burst; ++i, ++asked) {
      at += dice.between(Duration{}, Duration{80us});
      scenario.actions.push_back({.at = at, .who = who, .ask = draw_ask(dice, load, flags)});
    }
  }
}

void sort_actions(Scenario& scenario) {
  std::stable_sort(scenario.actions.begin(), scenario.actions.end(),
                   [](const Action& one, const Action& other) { return one.at < other.at; });
}

Scenario finish(Scenario scenario, Dice& dice, const Load& load) {
  draw_load(scenario, dice, load, 1ms, scenario.length);
  sort_actions(scenario);
  return scenario;
}

Scenario begin_scenario(std::uint64_t seed) {
  Scenario scenario;
  scenario.seed = seed;
  scenario.tail.flags = sim::all_flags;
  constexpr std::pair<unsigned, Handing> places[] = {
      {3, Handing::lost}, {8, Handing::no_room}, {13, Handing::earlier}};
  for (const auto& [place, handing] : places)
    if (seed % 16 == place) scenario.head.handing = handing;
  return scenario;
}

Load load_of(const Scenario& scenario) {
  Load load;
  load.guests = static_cast<unsigned>(scenario.guests.size());
  load.sectors = scenario.tail.size / Store::sector;
  return load;
}

Load rewriting(const Scenario& scenario) {
  Load load = load_of(scenario);
  load.hot = 6;
  load.per_second = 60;
  load.burst_most = 4;
  load.large_most = 6;
  load.trims = load.statuses = load.caches = 0;
  return load;
}

// Any tail that keeps to the protocol, and any mode.
void draw_parts(Scenario& scenario, Dice& dice) {
  TailManners& tail = scenario.tail;
  for (const std::uint16_t without : {flag::send_df, flag::send_fua, flag::can_multi_conn,
                                      flag::send_trim, flag::send_write_zeroes})
    if (dice.chance(0.15)) tail.flags &= static_cast<std::uint16_t>(~without);
  tail.block_minimum = dice.one_of({0u, 1u, 512u, 4096u});
  if (tail.block_minimum != 0) tail.payload_maximum = dice.one_of({8192u, 65536u, 32u << 20});
  tail.structured = dice.chance(0.8);
  if (!tail.structured) tail.flags &= static_cast<std::uint16_t>(~flag::send_df);
  tail.workers = dice.one_of({1u, 4u, 16u});
  tail.shuffle = dice.one_of({0.0, 0.3, 1.0});
  tail.scattered = tail.structured && dice.chance(0.03);
  tail.cached = dice.one_of({0.0, 0.0, 0.3});
  tail.early_flush = dice.chance(0.5);
  tail.tears = dice.chance(0.5);
  tail.tears_errors = dice.chance(0.5);
  if (dice.chance(0.3)) tail.takes_most = 3ms;
  scenario.head.durability = dice.one_of(often);
  scenario.head.connections = dice.one_of({1u, 1u, 1u, 3u});
  if (dice.chance(0.2)) scenario.head.identity = head::disc::Identity::first_block;
  if (dice.chance(0.2)) scenario.head.replay_memory = 256 << 10;
  scenario.head.tail_closes_last = dice.chance(0.6);
  if (!scenario.head.tail_closes_last) scenario.tail.closes_early = dice.chance(0.5);
  const unsigned guests = dice.one_of({1u, 1u, 1u, 2u, 2u, 3u, 6u, 16u});
  scenario.guests.clear();
  for (unsigned i = 0; i < guests; ++i)
    scenario.guests.push_back(
        {.manners = {.structured = dice.chance(0.5), .asks_again = dice.chance(0.8)}});
  if (dice.chance(0.2)) {
    GuestManners& slow = scenario.guests[dice.pick(guests)].manners;
    slow.piece = dice.one_of({std::size_t{9}, std::size_t{700}, std::size_t{9000}});
    slow.pause = slow.piece < 100 ? Duration{5us} : dice.one_of({Duration{20us}, Duration{300us}});
  }
}

// One misfortune that headd must hide from its guests, at about that time.
Action draw_fault(Dice& dice, const Scenario& scenario, Duration about) {
  constexpr Act acts[] = {
      Act::tail_ends,        Act::tail_ends,        Act::tail_ends,        Act::power_fails,
      Act::power_fails,      Act::power_fails,      Act::tail_stops,       Act::tail_cuts,
      Act::tail_cuts,        Act::tail_cuts,        Act::tail_is_slow,     Act::tail_is_slow,
      Act::tail_lies,        Act::link_fails,       Act::link_fails,       Act::head_is_killed,
      Act::head_is_killed,   Act::head_is_upgraded, Act::head_is_upgraded, Act::head_is_upgraded,
      Act::upgrade_fails,    Act::upgrade_fails,    Act::head_is_stopped,  Act::head_holds,
      Act::head_relocates,   Act::head_relocates,   Act::tail_vanishes,    Act::tail_refuses,
      Act::guest_stops,      Act::guest_ends,       Act::head_fails,       Act::tail_changes,
      Act::guest_comes_anew, Act::guest_comes_anew, Act::guest_comes_anew, Act::tail_shuts_down};
  Action action{.at = about + dice.between(Duration{}, Duration{60ms}), .act = dice.one_of(acts)};
  action.lasts = dice.one_of({Duration{3ms}, Duration{40ms}, Duration{400ms}, Duration{1500ms}});
  action.yes = dice.chance(0.5);
  switch (action.act) {
    case Act::tail_cuts:
      if (dice.chance(0.5)) action.bytes = 1 + dice.pick(3000);
      break;
    case Act::tail_is_slow:
      // Shorter than what is waited for after a connection is given up.
      action.times = static_cast<unsigned>(dice.between(1, 4));
      action.lasts = dice.between(Duration{1ms},
                                  dice.one_of({Duration{700ms}, Duration{2500ms}}) / action.times);
      break;
    case Act::tail_lies:
      action.times = 1;
      if (dice.chance(0.3)) action.bytes = 0;
      break;
    case Act::tail_refuses:
      action.command = dice.one_of({Command::read, Command::block_status});
      action.error =
          dice.one_of({EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN});
      action.times = 1;
      break;
    case Act::guest_comes_anew:
      action.who = static_cast<unsigned>(dice.pick(scenario.guests.size()));
      break;
    case Act::guest_ends:
    case Act::guest_stops:
      action.who = static_cast<unsigned>(dice.pick(scenario.guests.size()));
      // Somebody must read everything in the end.
      if (action.who == 0) action.act = Act::guest_stops;
      break;
    case Act::head_relocates:
      action.yes = dice.chance(0.3);
      break;
    case Act::tail_changes:
      action.change = dice.one_of({Change::smaller, Change::read_only, Change::larger});
      break;
    default:
      break;
  }
  return action;
}

namespace {

bool has(const Scenario& scenario, Act act) {
  return std::any_of(scenario.actions.begin(), scenario.actions.end(),
                     [act](const Action& action) { return action.act == act; });
}

}  // namespace

void drop(Scenario& scenario, Act act) {
  std::erase_if(scenario.actions, [act](const Action& action) { return action.act == act; });
}

// What headd does not survive yet has profiles of its own (known_faults.hpp).
void spare_known_faults(Scenario& scenario) {
  for (GuestPlan& guest : scenario.guests)
    if (has(scenario, Act::guest_comes_anew)) guest.manners.asks_again = true;
  // A tail that takes any byte is asked in pieces that cut sectors.
  if (scenario.tail.block_minimum == 1)
    for (Action& action : scenario.actions) action.ask.skew = 0;
  // With sixteen guests there is no place for one more, who comes before its other self is gone.
  if (scenario.guests.size() > 12) drop(scenario, Act::guest_comes_anew);
}

Scenario draw_weather(std::uint64_t seed) {
  Dice dice(seed);
  Scenario scenario = begin_scenario(seed);
  draw_parts(scenario, dice);
  scenario.length = dice.between(Duration{1s}, Duration{3s});
  Load load = load_of(scenario);
  load.hot = dice.one_of({4u, 16u, 40u});
  load.per_second = dice.one_of({100u, 200u, 400u});
  load.burst_most = dice.one_of({4u, 12u, 40u});
  draw_load(scenario, dice, load, 1ms, scenario.length);
  // Faults come alone, or several of them at about one time.
  const std::uint64_t faults = dice.pick(6);
  Duration about = dice.between(Duration{}, scenario.length);
  for (std::uint64_t i = 0; i < faults; ++i) {
    scenario.actions.push_back(draw_fault(dice, scenario, about));
    const Duration last = scenario.actions.back().lasts;
    about = dice.chance(0.5) ? dice.between(Duration{}, scenario.length)
                             : about + dice.one_of({Duration{}, Duration{20ms}, last});
  }
  spare_known_faults(scenario);
  sort_actions(scenario);
  return scenario;
}

}  // namespace world
