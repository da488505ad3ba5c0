#include "tests/sim/world/profiles.hpp"

#include "tests/sim/world/corners.hpp"
#include "tests/sim/world/draw.hpp"
#include "tests/sim/world/faults.hpp"
#include "tests/sim/world/survived.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace world {
namespace {

// What a connection leaves behind that is given up, each way in turn.
Scenario draw_ghosts(std::uint64_t seed) {
  constexpr Scenario (*ways[])(std::uint64_t) = {
      &draw_suspected,        &draw_silent,         &draw_moved,         &draw_upgraded,
      &draw_ordered,          &draw_lied_to,        &draw_closed_early,  &draw_realigned,
      &draw_killed,           &draw_detached_early, &draw_replay_killed, &draw_guest_ends,
      &draw_upgraded_in_vain, &draw_replay_handed};
  return ways[seed / 48 % std::size(ways)](seed);
}

// Connections that are silent, and those that only seem to be.
Scenario draw_silences(std::uint64_t seed) {
  constexpr Scenario (*kinds[])(std::uint64_t) = {&draw_hang_after_fail,    &draw_fail_while_hung,
                                                  &draw_hangs_in_a_row,     &draw_hang_behind_flush,
                                                  &draw_slow_link,          &draw_slow_worker,
                                                  &draw_hang_under_rewrites};
  return kinds[seed / 48 % std::size(kinds)](seed);
}

// Requests, or answers to them, that end connections again and again.
Scenario draw_deadly(std::uint64_t seed) {
  return seed / 48 % 3 == 0 ? draw_overlong(seed) : draw_poisoned(seed);
}

// Outages about as long as the grace time, which changes.
Scenario draw_graces(std::uint64_t seed) {
  constexpr Scenario (*kinds[])(std::uint64_t) = {&draw_graced, &draw_grace_changed,
                                                  &draw_grace_held};
  return kinds[seed / 48 % std::size(kinds)](seed);
}

Scenario draw_beside_flush(std::uint64_t seed) {
  constexpr Scenario (*kinds[])(std::uint64_t) = {&draw_write_beside_flush, &draw_ends_beside_flush,
                                                  &draw_flushes_own};
  return kinds[seed / 48 % std::size(kinds)](seed);
}

Scenario draw_upgraded_just_then(std::uint64_t seed) {
  constexpr Scenario (*kinds[])(std::uint64_t) = {&draw_held_by_upgrade, &draw_kept_for_nobody,
                                                  &draw_failed_flush_handed, &draw_seen_and_handed};
  return kinds[seed / 48 % std::size(kinds)](seed);
}

// Every kind that headd survives, the most varied one most often.
Scenario draw_any(std::uint64_t seed) {
  // Of 48 histories so many are of a kind; the others are weather.
  constexpr std::pair<unsigned, Scenario (*)(std::uint64_t)> kinds[] = {
      {2, &draw_crashes},      {1, &draw_timed_out},       {2, &draw_replays},
      {2, &draw_hung},         {4, &draw_refused},         {2, &draw_looked_at},
      {1, &draw_another_disc}, {1, &draw_detached},        {2, &draw_graces},
      {1, &draw_scattered},    {2, &draw_restless},        {1, &draw_one_client},
      {1, &draw_cut_status},   {1, &draw_shutting_down},   {1, &draw_through},
      {1, &draw_ghost_handed}, {1, &draw_log_handed},      {1, &draw_ghosts},
      {1, &draw_failed_flush}, {1, &draw_beside_flush},    {1, &draw_unknown_flush},
      {1, &draw_silences},     {1, &draw_deadly},          {1, &draw_upgraded_just_then},
      {1, &draw_half_refused}, {1, &draw_two_heads_crash}, {1, &draw_two_heads_cut},
      {1, &draw_private_cut},  {1, &draw_away_at_start},   {1, &draw_changed_at_upgrade},
      {1, &draw_private},      {1, &draw_flushes_beside},  {1, &draw_failed_fua},
  };
  // Those that take as long as many others.
  if (seed % 512 == 77) return draw_huge(seed);
  if (seed % 256 == 78) return draw_crowded(seed);
  if (seed % 256 == 79) return draw_short_lived(seed);
  std::uint64_t place = seed % 48;
  for (const auto& [share, draw] : kinds) {
    if (place < share) return draw(seed);
    place -= share;
  }
  return draw_weather(seed);
}

constexpr Profile all[] = {
    {"any", "all kinds that headd survives, in turn", &draw_any},
    {"calm", "nothing happens: for `enumerate`", &draw_calm},
    {"crashes", "the tail crashes again and again, soon after it has come back", &draw_crashes},
    {"steady", "200 requests and one fault a second, for ten seconds: how fast the world is",
     &draw_steady},
    {"replays", "what is kept is written again slowly, and interrupted", &draw_replays},
    {"huge", "requests that are larger than a guest's share of the memory", &draw_huge},
    {"timed-out", "the link is down for long, and a worker ends soon after it is up again",
     &draw_timed_out},
    {"restless", "guests speak and hear slowly, and come anew at bad moments", &draw_restless},
    {"looked-at", "headd identifies the disc by its first block, which is written now and then",
     &draw_looked_at},
    {"graced", "outages shorter and longer than the grace time", &draw_graced},
    {"scattered", "reads come back in many chunks, those of several mixed", &draw_scattered},
    {"through", "the tail crashes between the FLUSHes of a disc in mode writethrough",
     &draw_through},
    {"ghost-handed", "headd is upgraded while it waits for what a connection has left under way",
     &draw_ghost_handed},
    {"log-handed", "headd is upgraded before it has written again what it keeps", &draw_log_handed},
    {"one-client", "a tail serves one client at a time", &draw_one_client},
    {"cut-status", "connections break within answers to BLOCK_STATUS", &draw_cut_status},
    {"shutting-down",
     "a tail refuses one request because it shuts down, and another one takes long",
     &draw_shutting_down},
    {"hung", "connections hang once, and something else happens until that is noticed", &draw_hung},
    {"refused", "a tail refuses requests and says so", &draw_refused},
    {"weather", "everything that headd must hide from its guests, combined by chance",
     &draw_weather},
    {"detached", "the disc is detached, the tail crashes, and it is attached again",
     &draw_detached},
    {"another-disc",
     "the tail is another disc for a while; headd identifies the disc by its first block",
     &draw_another_disc},
    {"suspected", "a worker hangs for longer than headd waits before it tries another connection",
     &draw_suspected},
    {"silent", "a worker hangs, and the link is down until headd's kernel gives the connection up",
     &draw_silent},
    {"moved", "a worker hangs while headd is told that its tail is elsewhere", &draw_moved},
    {"upgraded", "a worker hangs while headd is upgraded", &draw_upgraded},
    {"ordered", "a worker hangs while requests are failed by order", &draw_ordered},
    {"lied-to", "a worker hangs while the tail breaks the protocol", &draw_lied_to},
    {"realigned", "changes of parts of blocks are asked again after a crash", &draw_realigned},
    {"killed", "a worker hangs while headd is killed and started again", &draw_killed},
    {"detached-early", "a worker hangs while the disc is detached and attached again",
     &draw_detached_early},
    {"replay-killed", "headd is killed while it writes again what it keeps", &draw_replay_killed},
    {"closed-early", "a tail closes connections although its workers go on", &draw_closed_early},
    {"crowded", "headd is upgraded, or its guest comes anew, while writes wait for memory",
     &draw_crowded},
    {"replay-handed", "headd is upgraded while a worker hangs with what it writes again",
     &draw_replay_handed},
    {"half-refused", "writes that are refused have been carried out in part", &draw_half_refused},
    {"failed-flush", "a FLUSH fails once, and what it was to make stable is forgotten",
     &draw_failed_flush},
    {"write-beside-flush", "a FLUSH fails while a write is done and unanswered",
     &draw_write_beside_flush},
    {"flushes-own", "a FLUSH covers its own connection, and headd is told to move",
     &draw_flushes_own},
    {"flushes-beside", "one of two FLUSHes fails, and is answered after the other one",
     &draw_flushes_beside},
    {"ends-beside-flush", "headd ends while one of two FLUSHes fails, and then the tail crashes",
     &draw_ends_beside_flush},
    {"failed-flush-handed", "a FLUSH fails just when headd is upgraded", &draw_failed_flush_handed},
    {"failed-fua", "a change with FUA fails, as the FLUSH does that the tail makes of it",
     &draw_failed_fua},
    {"unknown-flush", "FLUSH is answered well, and then with EINVAL", &draw_unknown_flush},
    {"private", "what a client writes belongs to its connection; headd is upgraded", &draw_private},
    {"private-cut", "such a connection is lost: the disc is to be held", &draw_private_cut},
    {"poisoned", "a tail hangs up on one kind of request", &draw_poisoned},
    {"overlong", "a tail answers BLOCK_STATUS with more than was asked", &draw_overlong},
    {"hang-after-fail", "connections hang after requests were failed by order",
     &draw_hang_after_fail},
    {"fail-while-hung", "requests are failed by order while connections hang",
     &draw_fail_while_hung},
    {"hangs-in-a-row", "connections hang again and again, with good answers in between",
     &draw_hangs_in_a_row},
    {"hang-under-rewrites", "connections hang while a guest rewrites a few sectors",
     &draw_hang_under_rewrites},
    {"hang-behind-flush", "connections hang, and what waits longest is a FLUSH or a TRIM",
     &draw_hang_behind_flush},
    {"slow-link", "a large READ takes long, for want of bandwidth", &draw_slow_link},
    {"slow-worker", "one request takes long, and nothing else is wrong", &draw_slow_worker},
    {"grace-changed", "the grace time is made longer during an outage", &draw_grace_changed},
    {"grace-held", "an outage that an operator holds the disc for", &draw_grace_held},
    {"two-heads-cut", "a guest goes on at another head while its first one is cut off",
     &draw_two_heads_cut},
    {"two-heads-crash", "a guest goes on at another head, and then the tail crashes",
     &draw_two_heads_crash},
    {"away-at-start", "headd is killed and started again while its tail is away",
     &draw_away_at_start},
    {"changed-at-upgrade", "the tail is something else while headd is upgraded",
     &draw_changed_at_upgrade},
    {"seen-and-handed",
     "headd is upgraded while changes of parts of blocks are done and unanswered",
     &draw_seen_and_handed},
    {"held-by-upgrade", "the tail ends while the next headd waits to take over",
     &draw_held_by_upgrade},
    {"kept-for-nobody", "the tail ends, and headd is upgraded, just when the only guest comes anew",
     &draw_kept_for_nobody},
    {"guest-ends", "a guest ends with writes under way, and another one goes on", &draw_guest_ends},
    {"upgraded-in-vain", "an upgrade fails while a tail that has crashed comes back",
     &draw_upgraded_in_vain},
    {"short-lived", "connections die sooner than a replay takes", &draw_short_lived},
};

}  // namespace

std::span<const Profile> profiles() {
  return all;
}

const Profile* find_profile(std::string_view name) {
  const auto found = std::find_if(std::begin(all), std::end(all),
                                  [&](const Profile& profile) { return profile.name == name; });
  return found == std::end(all) ? nullptr : found;
}

}  // namespace world
