// Route mode's decisions: over which next hop a disc is reached, and when. Pure.
//
// In route mode a disc has no neighbour entry. A route to its address alone leads over its tail's
// link-local address, and the tail has the entry: one for each tail, and a move is one route
// replaced. The next hop is what `[tails]` says for the link-layer address, or else what kernels
// make of it by default (modified EUI-64). It must be the tail's own: the kernel verifies a next
// hop that was silent for a second, and an address that nobody answers for ends as FAILED, whatever
// answers come from the discs behind it. So a tail is asked once, before anything leads over it,
// and whenever it is seen not to answer, its discs are kept as neighbours, as in the other mode.
// A disc that is in doubt (somebody announced it elsewhere, or it is silent) is kept as a neighbour
// too, until it has answered itself: its own entry heals, a route does not.
#pragma once

#include "netlink/neighbour.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

namespace head::neigh {

enum class Mode : std::uint8_t { neighbours, routes };
constexpr std::string_view to_string(Mode mode) noexcept {
  return mode == Mode::routes ? "routes" : "neighbours";
}

using NextHops = std::map<netlink::Mac, netlink::Ip6>;  // Those that [tails] says.

netlink::Ip6 eui64(const netlink::Mac& lladdr) noexcept;  // RFC 4291, appendix A: fe80::/64
netlink::Ip6 next_hop(const NextHops& said, const netlink::Mac& lladdr) noexcept;

// Whether a tail answers at its link-local address.
//
//   unknown ── ask() ──► asked ── REACHABLE ──► good
//                          │                     │ FAILED, or STALE again after a probe
//                          └── FAILED, patience ─┴──► bad ── retry, ask() ──► asked
class Tail {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  enum class Trust : std::uint8_t { unknown, asked, good, bad };
  static constexpr std::chrono::seconds patience{3};
  static constexpr std::chrono::seconds retry_min{1}, retry_max{64};  // Doubled each time.

  Trust trust() const noexcept { return trust_; }
  const netlink::Mac& lladdr() const noexcept { return lladdr_; }
  void ask(const netlink::Mac& lladdr, Instant now) noexcept {
    lladdr_ = lladdr;
    become(Trust::asked, now);
  }
  // What is known of a former run.
  void believe(Instant now) noexcept { become(Trust::good, now); }
  void distrust(Instant now) noexcept { become(Trust::bad, now); }
  // The kernel's word on its entry: nud::. True when that changed what is thought of it.
  bool see(std::uint16_t state, Instant now) noexcept;
  // Its entry was written as nud::probe.
  void probed() noexcept { probing_ = true; }
  // When it has not answered in time, or is to be asked again.
  std::optional<Instant> due() const noexcept;

  // A disc is thought to be there.
  void want(Instant now) noexcept { wanted_ = now; }
  Instant wanted() const noexcept { return wanted_; }

 private:
  void become(Trust trust, Instant now) noexcept;

  Trust trust_ = Trust::unknown;
  bool probing_ = false;  // Asked by the kernel, and no answer yet.
  std::uint8_t failures_ = 0;
  netlink::Mac lladdr_{};
  Instant since_{}, wanted_{};
};

struct Situation {
  bool suits = true;      // Its mode is routes, and it is on-link, at no link-local address.
  bool known = true;      // Where it is.
  bool in_doubt = false;  // Not confirmed by itself yet, or changing to and fro.
  bool kept = false;      // As a neighbour now,
  bool steady = true;     // with an entry as it should be, that is ours.
  Tail::Trust trust = Tail::Trust::unknown;  // Of its tail, once it was asked if it is to be.
};

enum class Lead : std::uint8_t {
  neighbour,  // Its own entry is kept.
  wait,       // A route, as soon as its tail has answered: it had nothing before.
  route,
};
Lead lead(const Situation& situation) noexcept;

}  // namespace head::neigh
