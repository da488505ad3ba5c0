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

constexpr Durability modes[] = {Durability::writeback, Durability::writethrough, Durability::replay,
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

Scenario begin_scenario(std::uint64_t seed) {
  Scenario scenario;
  scenario.seed = seed;
  scenario.tail.flags = sim::all_flags;
  return scenario;
}

Load load_of(const Scenario& scenario) {
  Load load;
  load.guests = static_cast<unsigned>(scenario.guests.size());
  load.sectors = scenario.tail.size / Store::sector;
  return load;
}

namespace {

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
  if (dice.chance(0.3)) tail.takes_most = 3ms;
  scenario.head.durability = dice.one_of(modes);
  scenario.head.connections = dice.one_of({1u, 1u, 1u, 3u});
  if (dice.chance(0.2)) scenario.head.identity = head::disc::Identity::first_block;
  if (dice.chance(0.2)) scenario.head.replay_memory = 256 << 10;
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
      action.lasts = dice.between(Duration{1ms}, Duration{700ms} / action.times);
      break;
    case Act::tail_lies:
      action.times = 1;
      if (dice.chance(0.3)) action.bytes = 0;
      break;
    case Act::tail_refuses:
      action.command = dice.one_of({Command::read, Command::block_status});
      action.error = dice.one_of({EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP});
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
    case Act::tail_changes:
      action.change = dice.one_of({Change::smaller, Change::read_only, Change::larger});
      break;
    default:
      break;
  }
  return action;
}

bool has(const Scenario& scenario, Act act) {
  return std::any_of(scenario.actions.begin(), scenario.actions.end(),
                     [act](const Action& action) { return action.act == act; });
}
void drop(Scenario& scenario, Act act) {
  std::erase_if(scenario.actions, [act](const Action& action) { return action.act == act; });
}

// What headd does not survive yet has profiles of its own (known_faults.hpp).
void spare_known_faults(Scenario& scenario) {
  // The shape of a disc is forgotten with the process.
  if (has(scenario, Act::tail_changes)) {
    drop(scenario, Act::head_is_killed);
    drop(scenario, Act::head_is_upgraded);
    drop(scenario, Act::upgrade_fails);
  }
  // What a guest had asked that is gone may be done after what another has asked since.
  drop(scenario, Act::guest_ends);
  // A process that waits to take over compares the first block with what another has written since.
  const auto faults = std::count_if(scenario.actions.begin(), scenario.actions.end(),
                                    [](const Action& action) { return action.act != Act::ask; });
  const bool upgraded = has(scenario, Act::head_is_upgraded) || has(scenario, Act::upgrade_fails);
  if (upgraded && faults > 1) scenario.head.identity = head::disc::Identity::shape;
  // A disc that was handed over in vain replays what it had kept.
  if (scenario.head.durability == Durability::replay) drop(scenario, Act::upgrade_fails);
  // Part of a block, asked again after a crash, brings back what else was in the block.
  if (scenario.head.durability == Durability::writeback)
    scenario.tail.block_minimum = std::min(scenario.tail.block_minimum, 512u);
  for (GuestPlan& guest : scenario.guests)
    if (has(scenario, Act::guest_comes_anew)) guest.manners.asks_again = true;
  // A tail that takes any byte is asked in pieces that cut sectors.
  if (scenario.tail.block_minimum == 1)
    for (Action& action : scenario.actions) action.ask.skew = 0;
  // With sixteen guests there is no place for one more, who comes before its other self is gone.
  if (scenario.guests.size() > 12) drop(scenario, Act::guest_comes_anew);
  // What was failed by order is not waited for beyond the quarantine.
  if (has(scenario, Act::tail_stops)) drop(scenario, Act::head_fails);
  // Nobody knows what a headd that was killed had under way.
  if (has(scenario, Act::head_is_killed)) {
    scenario.tail.outlives = false;
    scenario.tail.takes_most = std::min(scenario.tail.takes_most, Duration{120us});
    drop(scenario, Act::tail_is_slow);
    drop(scenario, Act::tail_stops);
    for (Action& action : scenario.actions)
      if (action.act == Act::head_is_killed) action.lasts = std::max(action.lasts, Duration{40ms});
  }
}

}  // namespace

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
  scenario.tail.size = 64 << 10;
  scenario.tail.takes_most = 120us;
  scenario.length = 20ms;
  Load load = load_of(scenario);
  load.hot = 8;
  load.per_second = 2000;
  load.burst_most = 6;
  load.large_most = 40;
  draw_load(scenario, dice, load, 1ms, 15ms);
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
  for (std::uint64_t i = dice.between(1, 3); i != 0; --i) {
    const Duration at = dice.between(Duration{50ms}, Duration{400ms});
    scenario.actions.push_back(
        {.at = at, .act = dice.one_of({Act::tail_ends, Act::head_is_upgraded}), .lasts = 40ms});
    for (unsigned j = 0; j < 4; ++j)
      scenario.actions.push_back({.at = at + dice.between(Duration{}, Duration{40ms}),
                                  .act = Act::guest_comes_anew,
                                  .who = static_cast<unsigned>(dice.pick(guests))});
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
    scenario.actions.push_back(
        {.at = dice.between(Duration{50ms}, Duration{60ms}), .act = Act::tail_cuts});
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
  // A FLUSH of a look at the first block fails unheard.
  scenario.head.identity = head::disc::Identity::shape;
  scenario.length = 2s;
  Load load = load_of(scenario);
  load.hot = 16;
  load.per_second = 100;
  load.burst_most = 1;  // Which of two FLUSHes fails that are under way at once, nobody can tell.
  draw_load(scenario, dice, load, 1ms, scenario.length);
  const bool writeback = scenario.head.durability == Durability::writeback;
  for (std::uint64_t i = dice.between(1, 4); i != 0; --i) {
    Action refusal{.at = dice.between(Duration{}, scenario.length), .act = Act::tail_refuses};
    refusal.command = dice.one_of({Command::write, Command::write, Command::write_zeroes,
                                   Command::trim, Command::read, Command::flush});
    // Of FLUSHes of its own headd forgets that they failed, or what they were to cover.
    refusal.yes = !writeback || dice.chance(0.5);
    refusal.error = dice.one_of({EPERM, EIO, ENOSPC, EINVAL, ENOMEM});
    // In answer to FLUSH it lets the log go.
    if (refusal.command == Command::flush && refusal.error == EINVAL) refusal.error = EIO;
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
