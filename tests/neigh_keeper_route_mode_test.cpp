// The keeper against a real kernel in route mode: one tail, many discs.
#include "head/neigh/next_hop.hpp"
#include "netlink/format.hpp"
#include "netlink/host_routes.hpp"
#include "tests/neigh_wants.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace tests;

namespace {

Options route_mode(std::chrono::seconds lease = 600s) {
  Options options;
  options.mode = Mode::routes;
  options.lease = lease;
  options.orphan_grace = 300ms;
  return options;
}

std::vector<HostRoute> routes() {
  Socket socket;
  std::vector<HostRoute> all;
  REQUIRE(!dump_routes(socket, all));
  return all;
}

// How many of the first `count` discs a route of ours leads to over that next hop.
unsigned led(const NeighbourKey& next_hop, unsigned count) {
  const auto all = routes();
  unsigned right = 0;
  for (unsigned i = 0; i < count; ++i)
    right += std::any_of(all.begin(), all.end(), [&](const HostRoute& route) {
      return route.address == address(i) && route.next_hop == next_hop;
    });
  return right;
}

unsigned own_entries(int ifindex, unsigned count) {
  std::vector<Neighbour> all;
  REQUIRE(!dump(all, ifindex));
  unsigned there = 0;
  for (unsigned i = 0; i < count; ++i) {
    const Neighbour* entry = find(all, {ifindex, address(i)});
    there += entry && entry->ours();
  }
  return there;
}

std::vector<Want> at(const Mac& lladdr, unsigned count) {
  std::vector<Want> made = discs(count);
  for (Want& want : made) want.claim.lladdr = lladdr;
  return made;
}

// A tail with the link-local address that kernels give themselves, known to be nobody else's.
void with_next_hop(const std::function<void(int, scratch::Tail&, const NeighbourKey&)>& test) {
  scratch::with_tail([&](int ifindex, scratch::Tail& tail) {
    sh("sysctl -qw net.ipv6.conf.head0.accept_dad=0; ip link set head0 down; ip link set head0 up");
    sh("ip -6 address replace 2001:db8::1/64 dev head0 nodad");
    tail.sh("sysctl -qw net.ipv6.conf.tail0.accept_dad=0");
    tail.sh("ip link set tail0 down; ip link set tail0 up");
    test(ifindex, tail, {ifindex, eui64(tail.lladdr())});
  });
}

}  // namespace

TEST_CASE("in route mode a tail has one entry and its discs have routes", "[neigh][kernel]") {
  with_next_hop([](int ifindex, scratch::Tail& tail, const NeighbourKey& hop) {
    Reports reports;
    Keeper keeper(route_mode());
    keeper.want(at(tail.lladdr(), 500), reports.ready());
    CHECK(reports.of("disc499").state == BindingState::held);
    CHECK(reports.of("disc0").routed);
    CHECK(reports.of("disc0").neighbour == hop);
    CHECK(led(hop, 500) == 500);
    CHECK(own_entries(ifindex, 500) == 0);
    const Snapshot now = keeper.snapshot();
    CHECK(now.held == 500);
    REQUIRE(now.entries.size() == 1);
    CHECK(now.entries[0].kernel.key == hop);
    CHECK(now.entries[0].discs.size() == 500);
    REQUIRE(now.routes.size() == 500);
    CHECK(now.routes[7].present);
    CHECK(now.routes[7].lease > 590s);
    CHECK(now.routes[7].discs == std::vector<std::string>{"disc7"});

    SECTION("which go with their discs") {
      keeper.forget(names(499));
      CHECK(eventually([&] { return routes().size() == 1; }));
      CHECK(led(hop, 500) == 1);
    }
    SECTION("and come back when somebody removes them") {
      sh("ip -6 route del " + to_string(address(3)) + "/128 proto 72");
      CHECK(eventually([&] { return led(hop, 500) == 500; }, 1s));
      sh("ip -6 route flush proto 72");
      CHECK(eventually([&] { return led(hop, 500) == 500; }, 5s));
      CHECK(keeper.snapshot(Detail::counts).routes_repaired >= 500);
    }
    SECTION("and when the interface was down") {
      sh("ip link set head0 down; ip link set head0 up");
      sh("ip -6 address replace 2001:db8::1/64 dev head0 nodad");
      CHECK(eventually(
          [&] { return led(hop, 500) == 500 && keeper.snapshot(Detail::counts).held == 500; }));
    }
    SECTION("until an operator's own route leads there") {
      sh("ip -6 route add " + to_string(address(3)) + "/128 via fe80::77 dev head0");
      CHECK(eventually([&] { return led(hop, 500) == 499; }));
      sh("ip -6 route del " + to_string(address(3)) + "/128 via fe80::77 dev head0");
      CHECK(eventually([&] { return led(hop, 500) == 500; }));
    }
  });
}

TEST_CASE("a tail that is no next hop has its discs as neighbours", "[neigh][kernel]") {
  with_next_hop([](int ifindex, scratch::Tail& tail, const NeighbourKey& hop) {
    tail.sh("ip -6 address flush dev tail0 scope link");
    tail.sh("ip -6 address add fe80::7/64 dev tail0 nodad");
    SECTION("unless [tails] says its address") {
      Options options = route_mode();
      options.next_hops[tail.lladdr()] = *parse_ip6("fe80::7");
      Reports reports;
      Keeper keeper(options);
      keeper.want(at(tail.lladdr(), 20), reports.ready());
      CHECK(reports.of("disc19").state == BindingState::held);
      CHECK(led({ifindex, *parse_ip6("fe80::7")}, 20) == 20);
    }
    SECTION("until it answers") {
      Reports reports;
      Keeper keeper(route_mode());
      keeper.want(at(tail.lladdr(), 20), reports.ready());
      CHECK(eventually([&] { return keeper.snapshot(Detail::counts).held == 20; }));
      CHECK(own_entries(ifindex, 20) == 20);
      CHECK(routes().empty());
      CHECK(keeper.snapshot(Detail::counts).tails_bad == 1);
      tail.sh("ip -6 address add " + to_string(hop.address) + "/64 dev tail0 nodad");
      CHECK(eventually([&] { return led(hop, 20) == 20 && own_entries(ifindex, 20) == 0; }));
    }
  });
}

TEST_CASE("a tail that stops to answer has its discs looked for", "[neigh][kernel]") {
  with_next_hop([](int ifindex, scratch::Tail& tail, const NeighbourKey& hop) {
    const std::string link_local = to_string(hop.address) + "/64 dev tail0";
    const auto packet_to = [](const std::string& address) {
      sh("python3 -c 'import socket; socket.socket(10, 2).sendto(b\"x\", (\"" + address +
         "\", 9))'");
    };
    tail.sh("ip -6 address add " + to_string(address(0)) + "/64 dev tail0 nodad");
    sh("sysctl -qw net.ipv6.neigh.head0.base_reachable_time_ms=1000");
    Reports reports;
    Keeper keeper(route_mode());
    keeper.want(at(tail.lladdr(), 20), reports.ready());
    REQUIRE(reports.of("disc19").state == BindingState::held);
    REQUIRE(led(hop, 20) == 20);
    // The kernel asks it again when it is used and has been silent for a while.
    tail.sh("ip -6 address del " + link_local);
    CHECK(eventually(
        [&] {
          packet_to(to_string(hop.address) + "%head0");
          return own_entries(ifindex, 20) == 20 && routes().empty();
        },
        60s));
    CHECK(keeper.snapshot(Detail::counts).held == 20);
    // What answers itself is led again, once its tail is; the others may be anywhere.
    tail.sh("ip -6 address add " + link_local + " nodad");
    CHECK(eventually(
        [&] {
          packet_to(to_string(address(0)));
          return led(hop, 1) == 1;
        },
        60s));
    CHECK(routes().size() == 1);
    CHECK(own_entries(ifindex, 20) == 19);
  });
}

TEST_CASE("routes are leases, and a headd that is gone lets them end", "[neigh][kernel]") {
  with_next_hop([](int, scratch::Tail& tail, const NeighbourKey& hop) {
    {
      Reports reports;
      Keeper keeper(route_mode(2s));
      keeper.want(at(tail.lladdr(), 50), reports.ready());
      REQUIRE(reports.of("disc49").state == BindingState::held);
      CHECK(!eventually([&] { return led(hop, 50) != 50; }, 4s));
      CHECK(keeper.snapshot(Detail::counts).routes_renewed > 100);
      CHECK(keeper.snapshot(Detail::counts).routes_installed == 50);
    }
    Socket socket;
    Route found;
    REQUIRE(!find_route(socket, address(7), 0, found));
    CHECK(found.gateway == hop.address);
    CHECK(eventually(
        [&] {
          Route now;
          return !find_route(socket, address(7), 0, now) && !now.gateway;
        },
        4s));
  });
}

TEST_CASE("a restart adopts the routes, in either mode", "[neigh][kernel]") {
  with_next_hop([](int ifindex, scratch::Tail& tail, const NeighbourKey& hop) {
    const auto run = [&](Options options, unsigned count, const std::function<void()>& check) {
      Reports reports;
      Keeper keeper(options);
      keeper.want(at(tail.lladdr(), count), reports.ready());
      CHECK(reports.of("disc0").state == BindingState::held);
      CHECK(eventually([&] { return keeper.snapshot(Detail::counts).held == count; }));
      check();
    };
    run(route_mode(), 60, [&] { CHECK(led(hop, 60) == 60); });
    CHECK(led(hop, 60) == 60);
    run(route_mode(), 50, [&] {
      CHECK(led(hop, 50) == 50);
      CHECK(eventually([&] { return routes().size() == 50; }));  // Ten are nobody's.
    });
    Options neighbours = route_mode();
    neighbours.mode = Mode::neighbours;
    run(neighbours, 50, [&] {
      CHECK(own_entries(ifindex, 50) == 50);
      CHECK(eventually([&] { return routes().empty(); }));
    });
    run(route_mode(), 50, [&] {
      CHECK(led(hop, 50) == 50);
      CHECK(eventually([&] { return own_entries(ifindex, 50) == 0; }));
    });
  });
}

TEST_CASE("only the chosen networks are in route mode", "[neigh][kernel]") {
  with_next_hop([](int ifindex, scratch::Tail& tail, const NeighbourKey& hop) {
    Options options = route_mode();
    options.route_prefixes = {*parse_prefix("2001:db8:7::/48")};
    sh("ip -6 route add 2001:db8:7::/48 dev head0");
    std::vector<Want> wants = at(tail.lladdr(), 2);
    wants[1].address = *parse_ip6("2001:db8:7::1");
    Reports reports;
    Keeper keeper(options);
    keeper.want(wants, reports.ready());
    CHECK(reports.of("disc0").neighbour == NeighbourKey{ifindex, address(0)});
    CHECK(reports.of("disc1").neighbour == hop);
    CHECK(routes().size() == 1);
  });
}

TEST_CASE("a disc that nobody was told of is resolved, and then led", "[neigh][kernel]") {
  with_next_hop([](int ifindex, scratch::Tail& tail, const NeighbourKey& hop) {
    tail.sh("ip -6 address add " + to_string(address(0)) + "/64 dev tail0 nodad");
    Reports reports;
    Keeper keeper(route_mode());
    keeper.want({disc(0, std::nullopt)}, reports.ready());
    CHECK(reports.of("disc0").state == BindingState::held);
    CHECK(eventually([&] { return led(hop, 1) == 1 && own_entries(ifindex, 1) == 0; }));
    const Snapshot now = keeper.snapshot();
    REQUIRE(now.routes.size() == 1);
    CHECK(now.routes[0].binding.lladdr == tail.lladdr());
    CHECK(now.routes[0].binding.source == Source::wire);
  });
}
