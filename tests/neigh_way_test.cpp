// What the keeper tells of the way to a disc, against a real kernel.
#include "head/neigh/keeper.hpp"
#include "neigh_wants.hpp"
#include "netlink/format.hpp"
#include "scratch_namespace.hpp"

#include <catch2/catch.hpp>

using namespace tests;

// With every way gone, "10 held, 0 not ready" was said while every disc said that the network was
// unreachable.
TEST_CASE("a way that is lost is told, and so is its reason", "[neigh][kernel]") {
  struct Loss {
    const char* lose;
    const char* heal;
    Obstacle why;
  };
  const Loss loss =
      GENERATE(Loss{"ip -6 address del 2001:db8::1/64 dev head0",
                    "ip -6 address add 2001:db8::1/64 dev head0 nodad", Obstacle::no_route},
               Loss{"ip -6 route del 2001:db8::/64 dev head0",
                    "ip -6 route add 2001:db8::/64 dev head0", Obstacle::no_route},
               Loss{"sysctl -qw net.ipv6.conf.head0.disable_ipv6=1",
                    "sysctl -qw net.ipv6.conf.head0.disable_ipv6=0; "
                    "ip -6 address add 2001:db8::1/64 dev head0 nodad",
                    Obstacle::ipv6_off},
               Loss{"ip -6 route add 2001:db8::/48 dev head0; ip link set head0 addrgenmode none; "
                    "ip -6 address flush dev head0",
                    "ip -6 address add 2001:db8::1/64 dev head0 nodad", Obstacle::no_source});
  CAPTURE(loss.lose);
  scratch::with_veth([&](int) {
    Reports reports;
    Keeper keeper;
    const Want want = disc(7, mac(7));
    keeper.want({want}, reports.ready());
    REQUIRE(reports.of("disc7").state == BindingState::held);
    const auto now = [&] { return keeper.snapshot().discs.at(0).status; };
    sh(loss.lose);
    CHECK(eventually([&] { return now().state == BindingState::lost; }));
    CHECK(now().obstacle == loss.why);
    CHECK(!now().problem.empty());
    CHECK(keeper.snapshot(head::neigh::Detail::counts).unready == 1);
    CHECK(eventually([&] { return want.stats->ifindex == 0; }));
    const auto before = want.stats->way_back_at_ns.load();
    sh(loss.heal);
    CHECK(eventually([&] { return now().state == BindingState::held; }));
    CHECK(now().obstacle == Obstacle::none);
    CHECK(now().problem.empty());
    CHECK(want.stats->ifindex != 0);
    CHECK(want.stats->way_back_at_ns > before);
  });
}

// `headctl discs` went on showing the interface that was found when the disc was attached.
TEST_CASE("the interface that leads to a disc is told, and told anew when it is another",
          "[neigh][kernel]") {
  Options options;
  options.enabled = GENERATE(true, false);
  scratch::with_veth([&](int ifindex) {
    sh("ip link add head1 type veth peer name tail1; ip link set head1 up; ip link set tail1 up");
    const int other = scratch::ifindex_of("head1");
    Keeper keeper(options);
    const auto want = [&](const char* name, const char* address) {
      auto stats = std::make_shared<head::stats::DiscStats>();
      keeper.want({{.disc = name,
                    .address = *netlink::parse_ip6(address),
                    .claim = {},
                    .dev = "",
                    .stats = stats}},
                  [](const std::string&, const BindingStatus&) {});
      return stats;
    };
    const auto disc = want("disc", "2001:db8::1:0:7");
    const auto local = want("local", "2001:db8::1");
    CHECK(eventually([&] { return disc->ifindex == ifindex; }));
    CHECK(eventually([&] { return local->ifindex != 0; }));
    const auto again = want("disc", "2001:db8::1:0:7");  // As after it had failed.
    CHECK(eventually([&] { return again->ifindex == ifindex; }));

    sh("ip -6 route add 2001:db8::1:0:0/112 dev head1");
    CHECK(eventually([&] { return again->ifindex == other; }));
    sh("ip link del head1");
    CHECK(eventually([&] { return again->ifindex == ifindex; }));
    sh("ip link del head0");
    CHECK(eventually([&] { return again->ifindex == 0; }));
  });
}
