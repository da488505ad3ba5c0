// How much of a pool of memory one session may hold: pure arithmetic.
//
//   |   owed: what the others have not used of their guarantees   |      room      |   held   |
//
// An eighth of the pool is divided among all sessions: so much each of them may hold, whatever the
// others do. Of the rest, the sessions of one disc together hold no more than a third of what is
// left over: one disc alone gets a quarter of a pool, and some that never give back never get all.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>

namespace head::exports {

// What each of so many sessions is guaranteed. It is at least `smallest`, even where there are too
// many sessions for all of them to have that much.
constexpr std::size_t guarantee(std::size_t size, std::size_t sessions, std::size_t smallest) {
  // A power of two: it seldom changes when a session comes or goes.
  return std::max(std::bit_floor(size / 8 / std::max<std::size_t>(sessions, 1)), smallest);
}

struct Claim {
  std::size_t held = 0;      // By the session,
  std::size_t together = 0;  // by all sessions of its disc.
  std::size_t wanted = 0;
  std::size_t guaranteed = 0;
  std::size_t free = 0;
  std::size_t owed = 0;
  bool may_exceed = false;  // No other lease is larger than a share.
};

enum class Grant { no, share, excess };

// What is larger than any share could never be served if nobody might exceed; who holds nothing
// else may, one at a time. What is owed to others is left in every case.
constexpr Grant judge(const Claim& claim) {
  if (claim.held + claim.wanted <= claim.guaranteed) return Grant::share;
  if (claim.free < claim.owed + claim.wanted) return Grant::no;
  const std::size_t room = claim.free - claim.owed - claim.wanted;
  if (claim.together + claim.wanted <= room / 3) return Grant::share;
  return claim.held == 0 && claim.may_exceed ? Grant::excess : Grant::no;
}

}  // namespace head::exports
