// The way to the discs is interrupted and is there again, on a real kernel.
#include "head/neigh/devices.hpp"
#include "tests/neigh_wants.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

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
      const auto devices = keeper.snapshot(Detail::counts).devices;
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

TEST_CASE("an interface that is away is no missing neighbour", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports reports;
    Keeper keeper(Options{});
    const auto wanted = discs(3);
    keeper.want(wanted, reports.ready());
    REQUIRE(eventually([&] { return in_place(ifindex, 3) == 3; }));
    const auto missing = [&] { return wanted[1].stats->neighbour_missing_at_ns.load(); };
    const auto there_again = [&] { return eventually([&] { return in_place(ifindex, 3) == 3; }); };
    SECTION("going down, which takes the entries along") {
      sh("ip link set head0 down");
    }
    SECTION("without IPv6") {
      sh("echo 1 >/proc/sys/net/ipv6/conf/head0/disable_ipv6");
      std::this_thread::sleep_for(50ms);
      CHECK(missing() == 0);
      sh("echo 0 >/proc/sys/net/ipv6/conf/head0/disable_ipv6");
    }
    std::this_thread::sleep_for(50ms);
    CHECK(missing() == 0);
    sh("ip link set head0 up; ip addr replace 2001:db8::1/64 dev head0 nodad");
    CHECK(there_again());
    CHECK(missing() == 0);
    std::this_thread::sleep_for(1100ms);
    sh("ip -6 neigh flush dev head0");
    CHECK(eventually([&] { return missing() != 0; }));
    CHECK(there_again());
  });
}

TEST_CASE("the interfaces' settings as they were outlive a headd that is killed",
          "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    const std::string file = "/tmp/head-originals." + std::to_string(::getpid());
    sh("echo 1 >/proc/sys/net/ipv6/conf/head0/ndisc_evict_nocarrier");
    const DeviceSettings before = settings_of(ifindex, "head0");
    REQUIRE(!set(ifindex, "head0"));
    Socket socket;
    {
      Devices killed(false, file);
      killed.prepare(socket, ifindex, "head0");
    }
    REQUIRE(set(ifindex, "head0"));
    Devices again(false, file);
    again.prepare(socket, ifindex, "head0");
    REQUIRE(again.status().size() == 1);
    CHECK(again.status()[0].before == before);
    SECTION("and are put back by the next one") {
      again.restore(socket, {});
      CHECK(settings_of(ifindex, "head0") == before);
      CHECK(::access(file.c_str(), F_OK) != 0);
    }
    SECTION("but for what somebody else has set since") {
      DeviceSettings other = settings_of(ifindex, "head0");
      other.retrans_ms = 200;
      REQUIRE(!write_settings(socket, ifindex, "head0", settings_of(ifindex, "head0"), other));
      again.restore(socket, {});
      CHECK(settings_of(ifindex, "head0").retrans_ms == 200);
      CHECK(settings_of(ifindex, "head0").mcast_resolicit == before.mcast_resolicit);
    }
    ::unlink(file.c_str());
  });
}

TEST_CASE("settings that are kept are of this boot, and whole", "[neigh]") {
  DeviceSettings one;
  one.delay_first_probe_ms = 5000;
  one.retrans_ms = 1000;
  one.ucast_solicit = 3;
  one.evict_nocarrier = true;
  const Originals all{{3, one}, {9, DeviceSettings()}};
  const std::string text = to_text(all, "boot");
  CHECK(parse_originals(text, "boot") == all);
  CHECK(parse_originals(text, "another").empty());
  CHECK(parse_originals(text + "nonsense\n", "boot").empty());
  CHECK(parse_originals(text.substr(0, text.size() - 4), "boot").empty());
  CHECK(parse_originals("", "boot").empty());
}

TEST_CASE("an interface that a disc names can be renamed under it", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports reports;
    Keeper keeper(Options{});
    Want pinned = disc(0, mac(0));
    pinned.dev = "head0";
    keeper.want({pinned}, reports.ready());
    REQUIRE(reports.of("disc0").state == BindingState::held);
    const auto rename = [](const std::string& from, const std::string& to) {
      sh("ip link set " + from + " down; ip link set " + from + " name " + to + "; ip link set " +
         to + " up; ip addr add 2001:db8::1/64 dev " + to + " nodad");
    };
    rename("head0", "head9");
    // A name that was given means whoever has it, for the entry as for the socket.
    CHECK(eventually([&] {
      const BindingStatus status = keeper.snapshot().discs.at(0).status;
      return status.state == BindingState::lost && status.obstacle == Obstacle::no_interface;
    }));
    CHECK(eventually([&] { return in_place(ifindex, 1) == 1; }));
    sh("ip -6 neigh flush dev head9");
    CHECK(eventually([&] { return in_place(ifindex, 1) == 1; }));
    rename("head9", "head0");
    CHECK(eventually([&] { return in_place(ifindex, 1) == 1; }));
    CHECK(eventually([&] {
      const Snapshot now = keeper.snapshot();
      return now.discs.at(0).status.state == BindingState::held &&
             now.discs.at(0).status.dev == "head0";
    }));
  });
}

TEST_CASE("whoever asked for a disc is told, though it was wanted anew or forgotten",
          "[neigh][kernel]") {
  scratch::with_veth([](int) {
    Reports first, second;
    Options patient;
    patient.patience = 30s;
    Keeper keeper(patient);
    keeper.want({disc(0, {}), disc(1, {})}, first.ready());  // Nobody answers.
    keeper.want({disc(0, mac(0))}, second.ready());
    CHECK(second.of("disc0").state == BindingState::held);
    CHECK(first.of("disc0").state == BindingState::held);
    keeper.forget({"disc1"});
    CHECK(first.of("disc1").state == BindingState::unplaced);
    CHECK(first.of("disc1").problem.find("nobody needs it") != std::string::npos);
  });
}
