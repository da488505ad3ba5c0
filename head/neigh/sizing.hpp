// How large the neighbour table must be. A pure function of what is in it and what is wanted.
//
// A disc takes two entries when the kernel has to resolve it by itself (its own, and one for the
// solicited-node multicast group), so that even without us the table would be large enough. What is
// exempt from collection still counts towards the first limit, below which nobody's idle entries
// are collected: raising it by our share leaves other tenants as they were. Their own entries do
// not raise it, so that what somebody made the kernel learn in passing is collected as ever; they
// count towards the other limits, but only so many of them: whoever can send from forged addresses
// would decide how much memory the table takes. A head that needs room for more others has limits
// of its own, which are never lowered.
#pragma once

#include "netlink/neighbour.hpp"
#include "netlink/thresholds.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace head::neigh {

inline constexpr std::uint64_t others_most = 8192;  // That count.

// Of each limit the larger one.
constexpr netlink::TableLimits larger(const netlink::TableLimits& a,
                                      const netlink::TableLimits& b) noexcept {
  return {.thresh1 = std::max(a.thresh1, b.thresh1),
          .thresh2 = std::max(a.thresh2, b.thresh2),
          .thresh3 = std::max(a.thresh3, b.thresh3)};
}

// The limits for `discs` entries of ours beside `others` of anybody else's: never lower than `now`,
// nor raised above `max`. Sized once, sizing again changes nothing.
constexpr netlink::TableLimits size_for(const netlink::TableLimits& now, std::uint64_t discs,
                                        std::uint64_t others, std::uint32_t max) noexcept {
  if (discs == 0) return now;
  const auto raised = [max](std::uint32_t current, std::uint64_t needed) {
    return std::max(current, static_cast<std::uint32_t>(std::min<std::uint64_t>(needed, max)));
  };
  // Far more than any table holds, and few enough to be counted with.
  constexpr std::uint64_t countable = std::uint64_t{1} << 40;
  const std::uint64_t ours = 2 * std::min(discs, countable);
  const std::uint64_t entries = std::min(others, others_most) + ours;
  const std::uint64_t thresh2 = std::max<std::uint64_t>(now.thresh2, (entries + 512) * 5 / 4);
  return {.thresh1 = raised(now.thresh1, ours + 128),
          .thresh2 = raised(now.thresh2, thresh2),
          .thresh3 = raised(now.thresh3, 2 * thresh2)};
}

// How many entries of a namespace the discs account for: theirs, those that are ours, and those of
// their solicited-node groups. What else the kernel counts, of all namespaces, is of others. Both
// are sorted by key.
std::size_t entries_of_discs(std::span<const netlink::Desired> desired,
                             std::span<const netlink::Neighbour> actual);

}  // namespace head::neigh
