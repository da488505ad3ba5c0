// The way to the discs is interrupted and is there again, on a real kernel.
#include "head/neigh/devices.hpp"
#include "tests/neigh_wants.hpp"

#include <catch2/catch.hpp>

using namespace tests;

namespace {

DeviceSettings settings_of(int ifindex, const std::string& name) {
  Socket socket;
  DeviceSettings found;
  REQUIRE(!read_settings(socket, ifindex, name, found));
  return found;
}

bool set(int ifindex, const std::string& name) {
  const DeviceSettings now = settings_of(ifindex, name);
  return now == suited(now);
}

}  // namespace

TEST_CASE("discs are told when the way to them is there again", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports reports;
    Keeper keeper(Options{});
    const auto wanted = discs(3);
    keeper.want(wanted, reports.ready());
    REQUIRE(eventually([&] { return in_place(ifindex, 3) == 3; }));
    const auto told = [&] {
      const auto back = wanted[1].stats->way_back_at_ns.load();
      return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(back));
    };
    const auto told_since = [&](std::chrono::steady_clock::time_point from) {
      return eventually([&] { return told() >= from && in_place(ifindex, 3) == 3; });
    };
    SECTION("the link") {
      sh("ip link set head0 down");
      const auto up = std::chrono::steady_clock::now();
      sh("ip link set head0 up; ip addr add 2001:db8::1/64 dev head0 nodad");
      CHECK(told_since(up));
    }
    SECTION("the carrier") {
      sh("ip link set tail0 down");
      REQUIRE(eventually([] { return !scratch::link_of("head0").running(); }));
      const auto up = std::chrono::steady_clock::now();
      sh("ip link set tail0 up");
      CHECK(told_since(up));
    }
    SECTION("an address") {
      sh("ip addr del 2001:db8::1/64 dev head0");
      const auto up = std::chrono::steady_clock::now();
      sh("ip addr add 2001:db8::1/64 dev head0 nodad");
      CHECK(told_since(up));
    }
    SECTION("the entry, that somebody had replaced") {
      const auto up = std::chrono::steady_clock::now();
      sh("ip -6 neigh replace " + to_string(address(1)) +
         " lladdr 02:99:99:99:99:99 nud stale dev head0");
      CHECK(told_since(up));
    }
  });
}

TEST_CASE("settings that went with IPv6 are made again as soon as it is back", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    const DeviceSettings before = settings_of(ifindex, "head0");
    Options options;
    options.leave = GENERATE(false, true);
    {
      Keeper keeper(options);
      Reports reports;
      keeper.want(discs(3), reports.ready());
      REQUIRE(eventually([&] { return in_place(ifindex, 3) == 3; }));
      sh("ip link set head0 mtu 1200; ip link set head0 mtu 1500");
      sh("ip link set head0 up; ip addr add 2001:db8::1/64 dev head0 nodad");
      CHECK(eventually([&] { return in_place(ifindex, 3) == 3 && set(ifindex, "head0"); }, 2s));
      const auto devices = keeper.snapshot(false).devices;
      REQUIRE(devices.size() == 1);
      CHECK(devices[0].before == before);
    }
    DeviceSettings after = settings_of(ifindex, "head0");
    CHECK(set(ifindex, "head0") == options.leave);
    after.mcast_resolicit = before.mcast_resolicit;  // Stays where validated entries do.
    CHECK((after == before) == !options.leave);
  });
}

// Who keeps our address at the link-layer address that was sends answers to nobody.
TEST_CASE("tails hear of our new link-layer address at once", "[neigh][kernel]") {
  scratch::with_tail([](int ifindex, scratch::Tail& tail) {
    tail.sh("ip addr add 2001:db8::77/64 dev tail0 nodad");
    tail.sh("ip neigh add 2001:db8::1 lladdr 02:00:00:00:00:77 nud reachable dev tail0");
    Keeper keeper(Options{});
    Reports reports;
    keeper.want(discs(1), reports.ready());
    REQUIRE(eventually([&] { return in_place(ifindex, 1) == 1; }));
    sh("ip link set head0 address 02:00:00:00:00:42");
    const auto heard = [&] {
      try {
        tail.sh("ip neigh show 2001:db8::1 | grep -q 02:00:00:00:00:42");
        return true;
      } catch (const std::runtime_error&) {
        return false;
      }
    };
    CHECK(eventually(heard, 2s));
  });
}
