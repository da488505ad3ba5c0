// What the keeper tells of the way to a disc, against a real kernel.
#include "head/neigh/keeper.hpp"
#include "netlink/format.hpp"
#include "scratch_namespace.hpp"

#include <catch2/catch.hpp>

using namespace head::neigh;
using namespace std::chrono_literals;
using scratch::eventually;
using scratch::sh;

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
