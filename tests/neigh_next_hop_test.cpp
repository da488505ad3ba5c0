// Route mode's decisions: over which next hop, whether that is trusted, and when a disc is led.
#include "head/neigh/next_hop.hpp"
#include "netlink/format.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <vector>

using namespace head::neigh;
using namespace std::chrono_literals;
using netlink::parse_ip6;
using netlink::parse_mac;
using Trust = Tail::Trust;

TEST_CASE("a tail's next hop is its modified EUI-64, or what was said", "[neigh][routes]") {
  const auto one = *parse_mac("52:54:00:12:34:56"), two = *parse_mac("00:00:5e:00:53:01");
  CHECK(netlink::to_string(eui64(one)) == "fe80::5054:ff:fe12:3456");
  CHECK(netlink::to_string(eui64(two)) == "fe80::200:5eff:fe00:5301");
  const NextHops said{{two, *parse_ip6("fe80::7")}};
  CHECK(next_hop(said, one) == eui64(one));
  CHECK(netlink::to_string(next_hop(said, two)) == "fe80::7");
}

TEST_CASE("a tail is trusted once it answered, and as long as it does", "[neigh][routes]") {
  namespace nud = netlink::nud;
  struct Case {
    std::vector<std::uint16_t> seen;
    Trust after;
  };
  const Case cases[] = {
      {{}, Trust::asked},
      {{nud::stale}, Trust::asked},  // As it was written.
      {{nud::reachable}, Trust::good},
      {{nud::probe, nud::reachable}, Trust::good},
      {{nud::probe, nud::failed}, Trust::bad},
      {{nud::probe, nud::stale}, Trust::bad},  // NTF_EXT_VALIDATED does not fail.
      {{nud::reachable, nud::stale}, Trust::good},
      {{nud::reachable, nud::stale, nud::probe, nud::reachable, nud::stale}, Trust::good},
      {{nud::reachable, nud::stale, nud::probe, nud::stale}, Trust::bad},
      {{nud::reachable, nud::failed}, Trust::bad},
      {{nud::failed, nud::reachable}, Trust::bad},  // Until it is asked again.
      {{nud::none}, Trust::asked},
  };
  for (const Case& one : cases) {
    CAPTURE(one.seen);
    Tail tail;
    const Tail::Instant now(1h);
    CHECK(!tail.see(nud::reachable, now));
    tail.ask({2}, now);
    Trust before = tail.trust();
    for (const auto state : one.seen) {
      const bool changed = tail.see(state, now);
      CHECK(changed == (tail.trust() != before));
      before = tail.trust();
    }
    CHECK(tail.trust() == one.after);
    if (one.after == Trust::good) CHECK(!tail.due());
    if (one.after == Trust::asked) CHECK(tail.due() == now + Tail::patience);
    if (one.after == Trust::bad) CHECK(tail.due() == now + Tail::retry_min);
  }
}

TEST_CASE("a tail that we wrote as PROBE and that turns STALE did not answer", "[neigh][routes]") {
  Tail tail;
  tail.ask({2}, Tail::Instant(1h));
  tail.probed();
  CHECK(tail.see(netlink::nud::stale, Tail::Instant(1h)));
  CHECK(tail.trust() == Trust::bad);
}

TEST_CASE("a tail that never answers is asked ever more seldom", "[neigh][routes]") {
  Tail tail;
  Tail::Instant now(1h);
  for (const auto wait : {1s, 2s, 4s, 8s, 16s, 32s, 64s, 64s, 64s}) {
    tail.ask({2}, now);
    tail.distrust(now);
    REQUIRE(tail.due() == now + wait);
    now = *tail.due();
  }
  tail.ask({2}, now);
  CHECK(tail.see(netlink::nud::reachable, now));
  tail.distrust(now);
  CHECK(tail.due() == now + 1s);
}

TEST_CASE("a disc is led when all is known, and as a neighbour otherwise", "[neigh][routes]") {
  struct Case {
    Situation now;
    Lead led;
  };
  const Case cases[] = {
      {{.trust = Trust::good}, Lead::route},
      {{.trust = Trust::asked}, Lead::wait},
      {{.trust = Trust::bad}, Lead::neighbour},
      {{.trust = Trust::unknown}, Lead::neighbour},
      {{.suits = false, .trust = Trust::good}, Lead::neighbour},
      {{.known = false, .trust = Trust::good}, Lead::neighbour},
      {{.in_doubt = true, .trust = Trust::good}, Lead::neighbour},
      {{.in_doubt = true, .trust = Trust::asked}, Lead::neighbour},
      // Whoever has an entry keeps it until there is something better.
      {{.kept = true, .trust = Trust::asked}, Lead::neighbour},
      {{.kept = true, .trust = Trust::good}, Lead::route},
      {{.kept = true, .steady = false, .trust = Trust::good}, Lead::neighbour},
  };
  for (const Case& one : cases) {
    CAPTURE(&one - cases);
    CHECK(lead(one.now) == one.led);
  }
}
