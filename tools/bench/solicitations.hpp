// A model of how many neighbour solicitations the heads of one switch send, in four ways of keeping
// neighbours. No kernel, no clock, no I/O: a run follows from its parameters and their seed.
// head/neigh/SCALE.md says what it takes from measurements and what it leaves out.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bench {

enum class Keeping : std::uint8_t {
  discovery,         // The kernel's own, with the limits it comes with (128, 512, 1,024).
  discovery_raised,  // The kernel's own, in a table that holds everybody.
  managed,           // NTF_EXT_MANAGED: the kernel asks for all, again and again.
  stale,             // Ours: NTF_EXT_LEARNED, STALE, put back by the keeper.
  routes,            // Ours: a route for each disc, an entry as above for each tail.
};
inline constexpr Keeping all_keepings[] = {Keeping::discovery, Keeping::discovery_raised,
                                           Keeping::managed, Keeping::stale, Keeping::routes};
std::string_view to_string(Keeping keeping) noexcept;

struct Fleet {
  unsigned heads = 1000;
  unsigned discs = 10'000;  // Of each head; at most 2^20.
  unsigned tails = 50;      // That each head's discs are at.
  double busy_share = 0.1;  // Of the discs; these are asked once a second on average,
  double quiet_gap_s = 60;  // the others once in so long.
  // Of the requests: those that are not answered within the second that DELAY takes on a tuned
  // interface, so that the kernel asks the known address.
  double slow_share = 1e-5;
  unsigned dead_discs = 1;  // Of each head: asked for once a second by the kernel (3 in 3.07 s),
                            // by the keeper once in 5 s, with three packets to its
                            // host and three to everybody.
  unsigned warm_s = 60;     // Not counted;
  unsigned counted_s = 60;  // then so long; then the switch restarts, and one second more.
  std::uint64_t seed = 1;
};

struct Load {
  double multicast_per_s = 0, unicast_per_s = 0;       // Of all heads, on average.
  std::uint64_t multicast_peak = 0, unicast_peak = 0;  // In the worst 10 ms.
  double waited_share = 0;   // Of requests: those that waited for an answer to a solicitation.
  double refused_share = 0;  // Those that the table had no room for.
  std::uint64_t after_restart = 0;  // Solicitations of the first second when entries are gone.
  std::uint64_t entries = 0;        // In the table of one head, at the end.
};

Load simulate(const Fleet& fleet, Keeping keeping);

}  // namespace bench
