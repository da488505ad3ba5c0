// The keeper against a real kernel: where discs are reached, and what follows when that changes.
#include "tests/log_lines.hpp"
#include "tests/neigh_wants.hpp"

#include <catch2/catch.hpp>

using namespace tests;

TEST_CASE("discs behind a gateway share the gateway's entry", "[neigh][kernel]") {
  scratch::with_tail([](int ifindex, scratch::Tail& tail) {
    tail.sh("ip -6 address add 2001:db8::fe/64 dev tail0 nodad");
    sh("ip -6 route add 2001:db8:5::/64 via 2001:db8::fe");
    const NeighbourKey gateway{ifindex, *parse_ip6("2001:db8::fe")};
    Want one = disc(1, std::nullopt), two = disc(2, std::nullopt);
    one.address = *parse_ip6("2001:db8:5::1");
    two.address = *parse_ip6("2001:db8:5::2");
    Reports reports;
    Keeper keeper(Options{});
    keeper.want({one, two}, reports.ready());
    CHECK(reports.of("disc1").state == BindingState::held);
    CHECK(reports.of("disc2").neighbour == gateway);
    CHECK(!reports.of("disc2").on_link);
    const Snapshot now = keeper.snapshot();
    REQUIRE(now.entries.size() == 1);
    CHECK(now.entries[0].discs.size() == 2);

    Neighbour found;
    keeper.forget({"disc1"});
    REQUIRE(eventually([&] { return keeper.snapshot().discs.size() == 1; }));
    CHECK(!Table().get(gateway, found));
    CHECK(found.ours());
    keeper.forget({"disc2"});
    CHECK(eventually([&] { return Table().get(gateway, found).value() == ENOENT; }));
  });
}

TEST_CASE("a disc without a route is told so, and placed when there is one", "[neigh][kernel]") {
  scratch::with_veth([](int) {
    Want lost = disc(1, mac(1));
    lost.address = *parse_ip6("2001:db8:7::1");
    Reports reports;
    Keeper keeper(Options{});
    keeper.want({lost}, reports.ready());
    CHECK(reports.of("disc1").state == BindingState::unplaced);
    CHECK_THAT(reports.of("disc1").problem, Catch::Contains("there is no route to 2001:db8:7::1"));
    sh("ip -6 route add 2001:db8:7::/64 dev head0");
    CHECK(eventually([&] { return keeper.snapshot(Detail::counts).held == 1; }));
  });
}

// Where a disc was reached was looked up once, as long as its interface stayed.
TEST_CASE("a disc follows its route to a gateway, to another one, and back", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    // Known to the kernel: where a gateway does not answer, it takes the next wider route.
    for (const char* gateway : {"2001:db8::fd", "2001:db8::fe"})
      sh(std::string("ip -6 neigh add ") + gateway +
         " lladdr 02:00:00:00:77:77 nud stale dev head0");
    Reports reports;
    Keeper keeper(Options{});
    keeper.want({disc(0, mac(0)), disc(1, mac(1))}, reports.ready());
    REQUIRE(reports.of("disc1").state == BindingState::held);
    const std::string route = to_string(address(1)) + "/128";
    const auto held_at = [&](const NeighbourKey& key) {
      const Snapshot now = keeper.snapshot();
      return now.held == 2 && now.discs.at(1).status.neighbour == key;
    };
    const auto absent = [&](const NeighbourKey& key) {
      Neighbour found;
      return Table().get(key, found).value() == ENOENT;
    };
    for (const char* gateway : {"2001:db8::fd", "2001:db8::fe"}) {
      sh("ip -6 route replace " + route + " via " + gateway);
      CHECK(eventually([&] { return held_at({ifindex, *parse_ip6(gateway)}); }, 3s));
      CHECK(eventually([&] { return absent({ifindex, address(1)}); }, 3s));
      CHECK(in_place(ifindex, 1) == 1);
    }
    CHECK(absent({ifindex, *parse_ip6("2001:db8::fd")}));
    sh("ip -6 route del " + route);
    CHECK(eventually([&] { return held_at({ifindex, address(1)}); }, 3s));
    CHECK(eventually([&] { return absent({ifindex, *parse_ip6("2001:db8::fe")}); }, 3s));
    CHECK(in_place(ifindex, 2) == 2);
    CHECK(keeper.snapshot(Detail::counts).counters.moves == 3);
  });
}

TEST_CASE("discs follow their route to another interface", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    sh("ip link add head1 type veth peer name tail1; ip link set head1 up; ip link set tail1 up");
    const int other = scratch::ifindex_of("head1");
    Reports reports;
    Keeper keeper(Options{});
    keeper.want(discs(2000), reports.ready());
    REQUIRE(eventually([&] { return in_place(ifindex, 2000) == 2000; }));
    SECTION("by the route itself, and stay when that goes") {
      sh("ip -6 route add 2001:db8::/112 dev head1");  // Of none of them.
      sh("ip -6 route add 2001:db8::1:0:0/112 dev head1");
      CHECK(eventually([&] { return in_place(other, 2000) == 2000; }, 5s));
      CHECK(eventually([&] { return in_place(ifindex, 2000) == 0; }, 5s));
      CHECK(keeper.snapshot(Detail::counts).counters.moves == 2000);
      sh("ip -6 address del 2001:db8::1/64 dev head0; ip -6 route del 2001:db8::1:0:0/112");
      sh("ip -6 route add unreachable 2001:db8:5::/64");
      CHECK(!eventually([&] { return in_place(other, 2000) != 2000; }, 500ms));
    }
    SECTION("by a rule") {
      sh("ip -6 route add 2001:db8::/64 dev head1 table 100");
      sh("ip -6 rule add to 2001:db8::1:0:0/112 lookup 100");
      CHECK(eventually([&] { return in_place(other, 2000) == 2000; }, 5s));
      CHECK(eventually([&] { return in_place(ifindex, 2000) == 0; }, 5s));
    }
  });
}

// They counted as reached another way, and their entries as removed.
TEST_CASE("discs whose interface is deleted have no way, and are said to", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports reports;
    Keeper keeper(Options{});
    keeper.want(discs(100), reports.ready());
    REQUIRE(eventually([&] { return in_place(ifindex, 100) == 100; }));
    const tests::LogLines log;
    sh("ip link del head0");
    REQUIRE(eventually([&] { return keeper.snapshot(Detail::counts).unready == 100; }));
    CHECK(eventually([&] { return log.count("discs have no way now") != 0; }));
    CHECK(log.count("another way") == 0);
    CHECK(keeper.snapshot(Detail::counts).counters.moves == 0);
    CHECK(keeper.snapshot(Detail::counts).counters.removed == 0);
  });
}

TEST_CASE("an interface that is deleted and made again gets its entries again", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports reports;
    Keeper keeper(Options{});
    keeper.want(discs(100), reports.ready());
    REQUIRE(eventually([&] { return in_place(ifindex, 100) == 100; }));
    sh("ip link del head0");
    sh("ip link add head0 type veth peer name tail0; ip link set head0 up; ip link set tail0 up");
    sh("ip -6 address add 2001:db8::1/64 dev head0 nodad");
    const int again = scratch::ifindex_of("head0");
    REQUIRE(again != ifindex);
    CHECK(eventually([&] { return in_place(again, 100) == 100; }));
  });
}

// Rules are not among what the kernel is asked to tell.
TEST_CASE("a disc follows a rule that nobody told of, by the next reconciliation",
          "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    const std::string to = to_string(address(1)) + "/128";
    sh("ip -6 neigh add 2001:db8::fe lladdr 02:00:00:00:77:77 nud stale dev head0");
    sh("ip -6 route add " + to + " via 2001:db8::fe dev head0 table 72");
    Reports reports;
    Options options;
    options.reconcile = 100ms;
    Keeper keeper(options);
    keeper.want({disc(0, mac(0)), disc(1, mac(1))}, reports.ready());
    REQUIRE(reports.of("disc1").neighbour == NeighbourKey{ifindex, address(1)});
    // More passes than one: what changes has to be seen as such.
    REQUIRE(
        eventually([&] { return keeper.snapshot(Detail::counts).counters.reconciliations > 2; }));
    sh("ip -6 rule add to " + to + " lookup 72 priority 7");
    const auto reached_at = [&](const NeighbourKey& key) {
      return keeper.snapshot().discs.at(1).status.neighbour == key;
    };
    CHECK(eventually([&] { return reached_at({ifindex, *parse_ip6("2001:db8::fe")}); }));
    sh("ip -6 rule del to " + to + " lookup 72 priority 7");
    CHECK(eventually([&] { return reached_at({ifindex, address(1)}); }));
  });
}
