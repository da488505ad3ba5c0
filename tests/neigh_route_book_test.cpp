// Which routes are written, replaced, removed and renewed, and when.
#include "head/neigh/route_book.hpp"
#include "tests/numbered.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cerrno>
#include <map>

using namespace head::neigh;
using namespace std::chrono_literals;
using netlink::HostRoute;
using netlink::NeighbourKey;
using tests::address;

namespace {

const NeighbourKey first{3, {0xfe, 0x80, 1}}, second{3, {0xfe, 0x80, 2}};
const Instant start(1h);

// What the kernel would have, had it done what it was told.
struct Kernel {
  std::map<netlink::Ip6, HostRoute> routes;

  std::size_t obey(RouteBook& book, Instant now) {
    const auto due = book.due(now);
    for (const HostRoute& route : due) {
      routes[route.address] = route;
      book.written(route, now);
    }
    for (const auto& gone : book.take_removals()) routes.erase(gone);
    return due.size();
  }
  std::vector<HostRoute> all() const {
    std::vector<HostRoute> list;
    for (const auto& [at, route] : routes) list.push_back(route);
    return list;
  }
};

}  // namespace

TEST_CASE("a route is written once, replaced by a move, removed at the last", "[neigh][routes]") {
  RouteBook book(600s);
  Kernel kernel;
  book.lead(address(1), first, true, start);
  book.lead(address(1), first, true, start);  // Another disc there.
  CHECK(kernel.obey(book, start) == 1);
  CHECK(book.take_led().size() == 1);
  CHECK(kernel.routes.at(address(1)) == HostRoute{address(1), first, 600s});
  CHECK(kernel.obey(book, start + 1s) == 0);

  // A move is one replaced, and none removed, in whichever order its discs follow.
  book.release(address(1));
  book.release(address(1));
  book.lead(address(1), second, true, start);
  book.lead(address(1), second, true, start);
  CHECK(book.due(start).size() == 1);
  CHECK(book.take_removals().empty());
  kernel.routes[address(1)].next_hop = second;
  book.written(kernel.routes[address(1)], start);

  book.release(address(1));
  CHECK(book.take_removals().empty());
  book.release(address(1));
  CHECK(book.take_removals() == std::vector{address(1)});
  CHECK(!book.leads(address(1)));
}

TEST_CASE("a route waits for its tail to be trusted", "[neigh][routes]") {
  RouteBook book(600s);
  Kernel kernel;
  for (unsigned i = 0; i < 3; ++i) book.lead(address(i), i == 2 ? second : first, false, start);
  CHECK(kernel.obey(book, start + 1h) == 0);
  book.trust(first, start);
  CHECK(kernel.obey(book, start) == 2);
  CHECK(kernel.routes.size() == 2);
  book.release(address(2));
  book.trust(second, start);
  CHECK(kernel.obey(book, start) == 0);
  CHECK(book.take_led().size() == 2);
}

TEST_CASE("a round of renewals takes half a lease and leaves out none", "[neigh][routes]") {
  const unsigned count = GENERATE(1u, 7u, 64u, 1000u);
  const std::chrono::seconds lease = GENERATE(10s, 600s);
  CAPTURE(count, lease.count());
  RouteBook book(lease);
  Kernel kernel;
  for (unsigned i = 0; i < count; ++i) book.lead(address(i), first, true, start);
  kernel.obey(book, start);
  std::map<netlink::Ip6, Instant> renewed;
  for (const auto& [at, route] : kernel.routes) renewed[at] = start;
  std::size_t most = 0;
  Instant now = start;
  while (now < start + 3 * lease) {
    now = *book.next();
    const auto turn = book.renewals(now);
    most = std::max(most, turn.size());
    for (const HostRoute& route : turn) {
      CHECK(route.lease == lease);
      REQUIRE(now - renewed.at(route.address) <= lease * 3 / 4);
      renewed[route.address] = now;
    }
  }
  for (const auto& [at, when] : renewed) REQUIRE(now - when <= lease * 3 / 4);
  CHECK(most <= count / RouteBook::steps + 2 * (count / RouteBook::steps + 1));
}

TEST_CASE("after a long sleep everything is renewed at once", "[neigh][routes]") {
  RouteBook book(600s);
  Kernel kernel;
  for (unsigned i = 0; i < 500; ++i) book.lead(address(i), first, true, start);
  kernel.obey(book, start);
  CHECK(book.renewals(start).empty());
  CHECK(book.renewals(start + 400s).size() == 500);
}

TEST_CASE("what somebody removed, replaced or added is put right", "[neigh][routes]") {
  RouteBook book(600s);
  Kernel kernel;
  for (unsigned i = 0; i < 5; ++i) book.lead(address(i), first, true, start);
  kernel.obey(book, start);
  CHECK(book.settle(kernel.all(), start) == 0);
  kernel.routes.erase(address(0));
  kernel.routes[address(1)].next_hop = second;
  kernel.routes[address(9)] = {address(9), first, 5s};  // Nobody's any more.
  CHECK(book.settle(kernel.all(), start) == 3);
  CHECK(kernel.obey(book, start) == 2);
  CHECK(kernel.routes.size() == 5);
  CHECK(book.settle(kernel.all(), start) == 0);
  CHECK(book.counters().repaired == 2);
}

TEST_CASE("a quarrel over a route is carried on ever more slowly", "[neigh][routes]") {
  RouteBook book(600s);
  Kernel kernel;
  book.lead(address(1), first, true, start);
  kernel.obey(book, start);
  unsigned writes = 0;
  for (Instant now = start + 20s; now < start + 30s; now += 1ms) {
    book.disturbed(address(1), now);
    writes += static_cast<unsigned>(kernel.obey(book, now));
  }
  CHECK(writes >= 10);
  CHECK(writes < 30);
  // After a quiet while it is at once again.
  book.disturbed(address(1), start + 1h);
  CHECK(kernel.obey(book, start + 1h) == 1);
}

TEST_CASE("a refused route is tried again, or when its link is back", "[neigh][routes]") {
  RouteBook book(600s);
  book.lead(address(1), first, true, start);
  Instant now = start;
  bool hopeless = false;
  unsigned tries = 0;
  while (!hopeless && tries < 100) {
    const auto due = book.due(now);
    REQUIRE(due.size() == 1);
    ++tries;
    hopeless = book.refused(due[0], EINVAL, now);
    now = *book.next();
  }
  CHECK(tries == RouteBook::attempts_max);

  book.lead(address(2), second, true, now);
  const auto due = book.due(now);
  const auto two = std::find_if(due.begin(), due.end(),
                                [](const HostRoute& route) { return route.address == address(2); });
  REQUIRE(two != due.end());
  CHECK(!book.refused(*two, ENETDOWN, now));
  book.release(address(1));
  CHECK(book.due(now + 1h).empty());
  book.trust(second, now);
  CHECK(book.due(now).size() == 1);
}
