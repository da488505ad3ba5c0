#include "head/neigh/devices.hpp"
#include "head/neigh/doubts.hpp"
#include "head/neigh/looks.hpp"
#include "head/neigh/pacer.hpp"
#include "head/neigh/places.hpp"
#include "head/neigh/sizing.hpp"
#include "netlink/format.hpp"

#include <catch2/catch.hpp>

#include <linux/if.h>
#include <random>
#include <set>
#include <thread>

using namespace head::neigh;
using netlink::TableLimits;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t no_bound = 1u << 31;
constexpr TableLimits usual{128, 512, 1024};

}  // namespace

TEST_CASE("the table is sized for the discs and everybody else", "[neigh]") {
  struct Case {
    TableLimits now;
    std::uint64_t discs, others;
    TableLimits expected;
  };
  const Case each = GENERATE(values<Case>({
      {usual, 0, 0, usual},
      {usual, 0, 5000, usual},
      {usual, 1, 0, {130, 642, 1284}},
      {usual, 2000, 0, {4128, 5640, 11280}},
      {usual, 2000, 300, {4128, 6015, 12030}},
      {usual, 2000, others_most, {4128, 15880, 31760}},
      {usual, 2000, 1'000'000, {4128, 15880, 31760}},  // Forged, perhaps.
      {usual, 10'000, 0, {20128, 25640, 51280}},
      {usual, 100'000, 0, {200128, 250640, 501280}},
      {{8192, 16384, 32768}, 2000, 0, {8192, 16384, 32768}},
      {{8192, 16384, 20000}, 2000, 0, {8192, 16384, 32768}},
      {{128, 100'000, 200'000}, 2000, 0, {4128, 100'000, 200'000}},
  }));
  CAPTURE(each.discs, each.others);
  const TableLimits sized = size_for(each.now, each.discs, each.others, no_bound);
  CHECK(sized.thresh1 == each.expected.thresh1);
  CHECK(sized.thresh2 == each.expected.thresh2);
  CHECK(sized.thresh3 == each.expected.thresh3);
}

// What the kernel made on account of discs, and what a former run left, counted as others' and made
// the table thousands of entries too large.
TEST_CASE("entries on account of discs are no others'", "[neigh]") {
  using netlink::Neighbour;
  const auto entry = [](int ifindex, const char* address, std::uint8_t protocol) {
    Neighbour made;
    made.key = {ifindex, *netlink::parse_ip6(address)};
    made.protocol = protocol;
    return made;
  };
  const std::vector<netlink::Desired> desired{
      {{2, *netlink::parse_ip6("2001:db8::12:3456")}, {}, {}},
      {{3, *netlink::parse_ip6("2001:db8::5")}, {}, {}}};
  const auto counts = [&](const Neighbour& one) {
    return entries_of_discs(desired, {&one, 1}) == 1;
  };
  CHECK(counts(entry(2, "2001:db8::12:3456", 0)));
  CHECK(counts(entry(2, "ff02::1:ff12:3456", 0)));
  CHECK(counts(entry(3, "ff02::1:ff00:5", 0)));
  CHECK(counts(entry(2, "2001:db8::9", netlink::our_protocol)));
  CHECK(!counts(entry(3, "2001:db8::12:3456", 0)));
  CHECK(!counts(entry(3, "ff02::1:ff12:3456", 0)));
  CHECK(!counts(entry(2, "ff02::1:ff12:3457", 0)));
  CHECK(!counts(entry(2, "ff02::2", 0)));
  CHECK(!counts(entry(2, "fe80::1", 0)));
  const std::vector<Neighbour> all{entry(2, "2001:db8::12:3456", netlink::our_protocol),
                                   entry(2, "fe80::1", 0), entry(2, "ff02::1:ff12:3456", 0),
                                   entry(3, "2001:db8::5", 0)};
  CHECK(entries_of_discs(desired, all) == 3);
  CHECK(entries_of_discs({}, all) == 1);
}

TEST_CASE("sizing only grows, is bounded, and once done changes nothing", "[neigh][property]") {
  const auto seed = GENERATE(range(0u, 500u));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto up_to = [&](std::uint64_t n) { return random() % n; };
  const TableLimits now{static_cast<std::uint32_t>(up_to(100'000)),
                        static_cast<std::uint32_t>(up_to(100'000)),
                        static_cast<std::uint32_t>(up_to(100'000))};
  const std::uint64_t discs = seed % 10 == 0 ? up_to(UINT64_MAX / 8) : up_to(200'000);
  const std::uint64_t others = up_to(50'000);
  const std::uint32_t max = 4u << 20;
  const TableLimits once = size_for(now, discs, others, max);
  CHECK(once.thresh1 >= now.thresh1);
  CHECK(once.thresh2 >= now.thresh2);
  CHECK(once.thresh3 >= now.thresh3);
  CHECK(once.thresh3 <= max);
  CHECK(size_for(once, discs, others, max) == once);
  CHECK(size_for(once, discs / 2, others, max) == once);
}

TEST_CASE("a pacer lets a burst through, then so many a second", "[neigh]") {
  const auto start = Pacer::Instant(1h);
  Pacer pacer(200, 50);
  CHECK(pacer.take(start, 1000) == 50);
  CHECK(pacer.take(start, 1) == 0);
  CHECK(pacer.next(start) == start + 5ms);
  CHECK(pacer.take(start + 4ms, 1) == 0);
  CHECK(pacer.take(start + 5ms, 10) == 1);
  CHECK(pacer.take(start + 105ms, 100) == 20);
  CHECK(pacer.take(start + 1000h, 1000) == 50);
}

TEST_CASE("a pacer never exceeds its rate", "[neigh][property]") {
  const auto seed = GENERATE(range(0u, 100u));
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto rate = 1 + static_cast<std::uint32_t>(random() % 1000);
  const auto burst = 1 + static_cast<std::uint32_t>(random() % 100);
  const auto start = Pacer::Instant(1h);
  Pacer pacer(rate, burst);
  auto now = start;
  std::size_t taken = 0;
  for (int i = 0; i < 500; ++i) {
    taken += pacer.take(now, random() % 20);
    const double seconds = std::chrono::duration<double>(now - start).count();
    REQUIRE(static_cast<double>(taken) <= burst + seconds * rate + 1);
    if (pacer.next(now) > now) REQUIRE(pacer.take(now, 1) == 0);
    now += std::chrono::microseconds(random() % 20'000);
  }
}

TEST_CASE("an interface is only made better for discs", "[neigh]") {
  netlink::DeviceSettings now{.delay_first_probe_ms = 5000,
                              .retrans_ms = 1000,
                              .base_reachable_ms = 30'000,
                              .ucast_solicit = 3,
                              .mcast_resolicit = 0,
                              .evict_nocarrier = true};
  const netlink::DeviceSettings set = suited(now);
  CHECK(set.delay_first_probe_ms == 1000);
  CHECK(set.retrans_ms == 100);
  CHECK(set.ucast_solicit == 2);
  CHECK(set.mcast_resolicit == 3);
  CHECK(set.evict_nocarrier == false);
  CHECK(set.base_reachable_ms == 30'000);
  CHECK(suited(set) == set);
  CHECK(put_back(now, set) == now);
  netlink::DeviceSettings changed = set;
  changed.retrans_ms = 250;
  CHECK(put_back(now, changed).retrans_ms == 250);
  CHECK(put_back(now, changed).delay_first_probe_ms == 5000);
  now.delay_first_probe_ms = 500;
  now.evict_nocarrier.reset();
  CHECK(suited(now).delay_first_probe_ms == 500);
  CHECK(!suited(now).evict_nocarrier);
}

TEST_CASE("looks are bounded and none is lost below the bound", "[neigh]") {
  Looks<int, 4> looks;
  CHECK(looks.pop() == nullptr);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 4; ++i) CHECK(looks.push(std::make_shared<int>(i)));
    CHECK(!looks.push(std::make_shared<int>(4)));
    for (int i = 0; i < 4; ++i) CHECK(*looks.pop() == i);
    CHECK(looks.pop() == nullptr);
  }
}

namespace {

struct Doubted {
  netlink::Ip6 address{};
  int looked = 0;
};

}  // namespace

TEST_CASE("a changed route puts the discs of its prefix in doubt, and no others", "[neigh]") {
  using Found = std::vector<Doubted*>;
  const auto start = Doubts<Doubted>::Instant(1h);
  Doubts<Doubted> doubts;
  Doubted disc[4] = {};
  const char* addresses[] = {"2001:db8:1::1", "2001:db8:1::2", "2001:db8:1::2", "2001:db8:2::1"};
  for (int i = 0; i < 4; ++i) {
    disc[i].address = *netlink::parse_ip6(addresses[i]);
    doubts.add(&disc[i]);
  }
  CHECK(!doubts.next());
  doubts.doubt({*netlink::parse_ip6("2001:db8:3::"), 48}, start);
  CHECK(!doubts.next());
  doubts.doubt({*netlink::parse_ip6("2001:db8:1::9"), 48}, start);
  doubts.doubt({*netlink::parse_ip6("2001:db8:1::9"), 48}, start + 10ms);
  CHECK(doubts.next() == start + 5ms);
  CHECK(doubts.take(start + 4ms).empty());
  CHECK(doubts.take(start + 5ms) == Found{&disc[0], &disc[1], &disc[2]});
  CHECK(!doubts.next());
  doubts.doubt_all(start + 1s);
  doubts.erase(&disc[1]);
  doubts.doubt_all(start + 1s);
  const Found rest = doubts.take(start + 2s);
  CHECK(std::set<Doubted*>(rest.begin(), rest.end()) ==
        std::set<Doubted*>{&disc[0], &disc[2], &disc[3]});
}

TEST_CASE("doubts are settled some at a time, and every disc has its turn", "[neigh]") {
  constexpr std::size_t count = 1000;
  std::vector<Doubted> looked(count);
  Doubts<Doubted> doubts;
  for (Doubted& disc : looked) doubts.add(&disc);
  auto now = Doubts<Doubted>::Instant(1h);
  // All of them are doubted again before each pass.
  for (int pass = 0; pass < 40; ++pass) {
    doubts.doubt_all(now);
    REQUIRE(doubts.next() <= now + Doubts<Doubted>::settle);
    now = *doubts.next();
    const auto taken = doubts.take(now);
    REQUIRE(taken.size() == Doubts<Doubted>::pass_max);
    for (Doubted* disc : taken) ++disc->looked;
    CHECK(doubts.take(now).empty());
    CHECK(*doubts.next() == now + Doubts<Doubted>::pass_every);
  }
  const auto [least, most] =
      std::minmax_element(looked.begin(), looked.end(),
                          [](const Doubted& a, const Doubted& b) { return a.looked < b.looked; });
  CHECK(least->looked >= 10);
  CHECK(most->looked - least->looked <= 1);
}

TEST_CASE("many threads look at once", "[neigh]") {
  Looks<int, 64> looks;
  std::atomic<int> pushed{0}, running{4};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      const auto value = std::make_shared<int>(1);
      for (int i = 0; i < 20'000; ++i) pushed += looks.push(value);
      --running;
    });
  }
  int popped = 0;
  for (bool last = false; !last;) {
    last = running == 0;
    while (looks.pop()) ++popped;
  }
  for (auto& thread : threads) thread.join();
  CHECK(popped == pushed);
}

namespace {

Links links() {
  netlink::Link eth;
  eth.ifindex = 2;
  eth.name = "eth1";
  eth.lladdr = netlink::Mac{0x52, 0x54, 0, 0, 0, 1};
  netlink::Link tunnel;
  tunnel.ifindex = 3;
  tunnel.name = "tun0";
  tunnel.flags = IFF_NOARP;
  return {{2, eth}, {3, tunnel}};
}

Want wanted(std::string_view address, std::string_view lladdr = "", std::string dev = "") {
  return {.disc = "d",
          .address = *netlink::parse_ip6(address),
          .claim = {.lladdr = netlink::parse_mac(lladdr)},
          .dev = std::move(dev),
          .stats = nullptr};
}

}  // namespace

TEST_CASE("what can never be kept is refused with a sentence", "[neigh]") {
  const auto why = [](const Want& want) { return objection_to(want, links()).sentence; };
  CHECK(why(wanted("2001:db8::1", "02:00:00:00:00:01")).empty());
  CHECK(why(wanted("fe80::1", "", "eth1")).empty());
  CHECK_THAT(why(wanted("::")), Catch::Contains("no disc's address"));
  CHECK_THAT(why(wanted("ff02::1")), Catch::Contains("multicast address"));
  CHECK_THAT(why(wanted("fe80::1")), Catch::Contains("say which interface"));
  CHECK_THAT(why(wanted("2001:db8::1", "00:00:00:00:00:00")), Catch::Contains("no machine's"));
  CHECK_THAT(why(wanted("2001:db8::1", "ff:ff:ff:ff:ff:ff")), Catch::Contains("no machine's"));
  CHECK_THAT(why(wanted("2001:db8::1", "01:00:5e:00:00:01")), Catch::Contains("no machine's"));
  CHECK_THAT(why(wanted("2001:db8::1", "52:54:00:00:00:01")), Catch::Contains("of eth1 on this"));
}

TEST_CASE("a disc with a tail's link-layer address does not have an address of this host",
          "[neigh]") {
  const std::vector<netlink::Ip6> own{*netlink::parse_ip6("2001:db8::1")};
  const auto why = [&](const Want& want) { return objection_to(want, links(), {}, own).obstacle; };
  CHECK(why(wanted("2001:db8::1", "02:00:00:00:00:01")) == Obstacle::own_address);
  CHECK(why(wanted("2001:db8::2", "02:00:00:00:00:01")) == Obstacle::none);
  CHECK(why(wanted("2001:db8::1")) == Obstacle::none);  // A tail on this host.
}

TEST_CASE("a disc outside the storage prefixes is refused", "[neigh]") {
  const std::vector<netlink::Prefix> prefixes{*netlink::parse_prefix("fd00::/8"),
                                              *netlink::parse_prefix("2001:db8:1::/48")};
  const auto why = [&](const char* address) {
    return objection_to(wanted(address), links(), prefixes).sentence;
  };
  CHECK(why("fd12::1").empty());
  CHECK(why("2001:db8:1::7").empty());
  CHECK_THAT(why("2001:db8:2::7"), Catch::Contains("2001:db8:2::7 is in none of the storage"));
}

TEST_CASE("with a responder the kernel asks user space first, and after it no more", "[neigh]") {
  netlink::DeviceSettings now;
  now.mcast_resolicit = 3;
  CHECK(suited(now).app_solicit == 0);
  const netlink::DeviceSettings set = suited(now, true);
  CHECK(set.app_solicit == 1);
  CHECK(put_back(now, set, true).app_solicit == 0);
  now.app_solicit = 4;  // Somebody else's.
  CHECK(suited(now, true).app_solicit == 4);
}

TEST_CASE("a disc is placed where its route leads", "[neigh]") {
  netlink::Route route;
  route.ifindex = 2;
  route.unicast = true;
  route.source = netlink::parse_ip6("2001:db8::2");
  SECTION("on-link") {
    const BindingStatus status = place(wanted("2001:db8::1"), links(), &route);
    CHECK(status.state == BindingState::waiting);
    CHECK(status.neighbour == netlink::NeighbourKey{2, *netlink::parse_ip6("2001:db8::1")});
    CHECK(status.on_link);
    CHECK(status.dev == "eth1");
  }
  SECTION("behind a gateway") {
    route.gateway = netlink::parse_ip6("fe80::9");
    const BindingStatus status = place(wanted("2001:db8::1"), links(), &route);
    CHECK(status.neighbour == netlink::NeighbourKey{2, *route.gateway});
    CHECK(!status.on_link);
  }
  SECTION("this host") {
    route.local = true;
    CHECK(place(wanted("2001:db8::1"), links(), &route).state == BindingState::local);
    const BindingStatus refused =
        place(wanted("2001:db8::1", "02:00:00:00:00:01"), links(), &route);
    CHECK(refused.state == BindingState::refused);
    CHECK_THAT(refused.problem, Catch::Contains("address of this host"));
  }
  SECTION("a link that has no neighbours") {
    route.ifindex = 3;
    CHECK(place(wanted("2001:db8::1"), links(), &route).state == BindingState::local);
  }
  SECTION("nowhere") {
    const BindingStatus status = place(wanted("2001:db8::1"), links(), nullptr);
    CHECK(status.state == BindingState::unplaced);
    CHECK_THAT(status.problem, Catch::Contains("no route to 2001:db8::1"));
    CHECK_THAT(place(wanted("2001:db8::1", "", "eth9"), links(), nullptr).problem,
               Catch::Contains("no interface eth9"));
  }
}

TEST_CASE("each way that is not there has its own reason", "[neigh]") {
  Links here = links();
  netlink::Link blue;
  blue.ifindex = 9;
  blue.name = "blue";
  const auto why = [&](std::string dev, const Suspect& suspect) {
    return place(wanted("2001:db8::1", "", std::move(dev)), here, nullptr, suspect);
  };
  CHECK(why("", {}).obstacle == Obstacle::no_route);
  CHECK(why("eth9", {.ifindex = 2, .ipv6_off = true}).obstacle == Obstacle::no_interface);
  CHECK(why("", {.ifindex = 2}).obstacle == Obstacle::no_route);
  const BindingStatus off = why("", {.ifindex = 2, .ipv6_off = true});
  CHECK(off.obstacle == Obstacle::ipv6_off);
  CHECK_THAT(off.problem, Catch::Contains("IPv6 is off on eth1"));
  here[9] = blue;
  here[2].master = 9;  // A bridge, say.
  CHECK(why("", {.ifindex = 2}).obstacle == Obstacle::no_route);
  here[9].vrf = true;
  CHECK(why("", {.ifindex = 2}).obstacle == Obstacle::in_vrf);
  CHECK_THAT(why("", {.ifindex = 2}).problem, Catch::Contains("eth1 is in the VRF blue"));

  netlink::Route route;
  route.ifindex = 2;
  route.unicast = true;
  const BindingStatus mute = place(wanted("2001:db8::1"), here, &route);
  CHECK(mute.state == BindingState::unplaced);
  CHECK(mute.obstacle == Obstacle::no_source);
}
