// Whether anything changed of where packets go: a number that says so.
#include "netlink/routes_digest.hpp"
#include "tests/scratch_namespace.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <thread>

using namespace netlink;
using scratch::sh;
using namespace std::chrono_literals;

namespace {

RoutesDigest now() {
  Socket socket;
  RoutesDigest digest;
  REQUIRE(!digest_routes(socket, digest));
  return digest;
}

}  // namespace

TEST_CASE("the digest of routes changes with them, and with nothing else", "[netlink][kernel]") {
  scratch::with_veth([](int) {
    sh("ip -6 route add 2001:db8:8::/64 dev head0 expires 100");
    sh("ip -6 neigh add 2001:db8::fe lladdr 02:00:00:00:77:77 nud stale dev head0");
    const RoutesDigest before = now();
    CHECK(!before.gateways);
    std::this_thread::sleep_for(30ms);  // An expiry comes nearer.
    CHECK(now().sum == before.sum);

    const auto [change, undone] = GENERATE(table<std::string, std::string>({
        {"-6 route add 2001:db8:9::/64 dev head0", "-6 route del 2001:db8:9::/64 dev head0"},
        {"-6 route add 2001:db8:9::/64 via 2001:db8::fe", "-6 route del 2001:db8:9::/64"},
        {"-6 route change 2001:db8:8::/64 dev head0 metric 1024 mtu 1400 expires 100",
         "-6 route change 2001:db8:8::/64 dev head0 metric 1024 expires 100"},
        {"-6 rule add to 2001:db8:9::/64 lookup 72 priority 7", "-6 rule del priority 7"},
        {"-6 address add 2001:db8:5::1/64 dev head0 nodad",
         "-6 address del 2001:db8:5::1/64 dev head0"},
    }));
    CAPTURE(change);
    sh("ip " + change);
    CHECK(now().sum != before.sum);
    CHECK(now().gateways == (change.find("via") != std::string::npos));
    sh("ip " + undone);
    CHECK(now().sum == before.sum);
  });
}

TEST_CASE("our own routes do not count in the digest", "[netlink][kernel][routes]") {
  scratch::with_veth([](int) {
    const RoutesDigest before = now();
    sh("ip -6 route add 2001:db8::7/128 via fe80::7 dev head0 proto 72 metric 2072");
    CHECK(now().sum == before.sum);
    CHECK(!now().gateways);
  });
}
