#include "tests/sim/world/profiles.hpp"

#include "tests/sim/world/draw.hpp"
#include "tests/sim/world/faults.hpp"

#include <algorithm>
#include <iterator>

namespace world {
namespace {

constexpr Profile all[] = {
    {"weather", "everything that headd must hide from its guests, combined by chance",
     &draw_weather},
    {"suspected", "a worker hangs for longer than headd waits before it tries another connection",
     &draw_suspected},
    {"silent", "a worker hangs, and the link is down until headd's kernel gives the connection up",
     &draw_silent},
    {"moved", "a worker hangs while headd is told that its tail is elsewhere", &draw_moved},
    {"upgraded", "a worker hangs while headd is upgraded", &draw_upgraded},
    {"killed", "a worker hangs while headd is killed and started again", &draw_killed},
    {"closed-early", "a tail closes connections although its workers go on", &draw_closed_early},
    {"crowded", "headd is upgraded while guests' writes wait for memory", &draw_crowded},
    {"failed-flush", "a FLUSH fails once, and what it was to make stable is forgotten",
     &draw_failed_flush},
    {"unknown-flush", "FLUSH is answered well, and then with EINVAL", &draw_unknown_flush},
    {"private", "what a client writes belongs to its connection", &draw_private},
    {"poisoned", "a tail hangs up on one kind of request", &draw_poisoned},
    {"overlong", "a tail answers BLOCK_STATUS with more than was asked", &draw_overlong},
    {"hang-after-fail", "connections hang after requests were failed by order",
     &draw_hang_after_fail},
    {"hangs-in-a-row", "connections hang again and again, with good answers in between",
     &draw_hangs_in_a_row},
    {"hang-behind-flush", "connections hang, and what waits longest is a FLUSH or a TRIM",
     &draw_hang_behind_flush},
    {"slow-link", "a large READ takes long, for want of bandwidth", &draw_slow_link},
    {"grace-changed", "the grace time is made longer during an outage", &draw_grace_changed},
    {"grace-held", "an outage that an operator holds the disc for", &draw_grace_held},
    {"two-heads-cut", "a guest goes on at another head while its first one is cut off",
     &draw_two_heads_cut},
    {"two-heads-crash", "a guest goes on at another head, and then the tail crashes",
     &draw_two_heads_crash},
    {"away-at-start", "headd is killed and started again while its tail is away",
     &draw_away_at_start},
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
