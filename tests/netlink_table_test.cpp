#include "netlink/device.hpp"
#include "netlink/format.hpp"
#include "netlink/monitor.hpp"
#include "netlink/probe.hpp"
#include "netlink/route.hpp"
#include "netlink/table.hpp"
#include "netlink/thresholds.hpp"
#include "tests/numbered.hpp"
#include "tests/scratch_namespace.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <sys/socket.h>

using namespace netlink;
using scratch::sh;
using tests::address;
using tests::mac;

namespace {

std::vector<Entry> entries(int ifindex, unsigned count) {
  std::vector<Entry> made;
  for (unsigned i = 0; i < count; ++i) made.push_back({{ifindex, address(i)}, mac(i)});
  return made;
}

std::vector<Neighbour> ours(Table& table, int ifindex) {
  std::vector<Neighbour> all;
  REQUIRE(!table.dump(all, ifindex));
  std::erase_if(all, [](const Neighbour& entry) { return !entry.ours(); });
  return all;
}

}  // namespace

TEST_CASE("two thousand entries are installed, listed and removed", "[netlink][kernel]") {
  scratch::with_veth([](int ifindex) {
    Table table;
    const auto wanted = entries(ifindex, 2000);
    CHECK(table.set(wanted).empty());
    const auto found = ours(table, ifindex);
    REQUIRE(found.size() == wanted.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      REQUIRE(found[i].key == wanted[i].key);
      REQUIRE(found[i].lladdr == wanted[i].lladdr);
      REQUIRE(found[i].state == nud::stale);
      REQUIRE(found[i].flags == ntf::ext_learned);
    }
    std::vector<NeighbourKey> keys;
    for (const auto& entry : wanted) keys.push_back(entry.key);
    CHECK(table.remove(keys).empty());
    CHECK(ours(table, ifindex).empty());
    CHECK(table.remove(keys).empty());
  });
}

TEST_CASE("the refused entries of a batch are told, and the others are made", "[netlink][kernel]") {
  scratch::with_veth([](int ifindex) {
    Table table;
    auto wanted = entries(ifindex, 1000);
    for (const std::size_t bad : {0u, 255u, 256u, 999u}) wanted[bad].key.ifindex = 7654;
    const auto errors = table.set(wanted);
    REQUIRE(errors.size() == 4);
    CHECK(errors[0].index == 0);
    CHECK(errors[1].index == 255);
    CHECK(errors[2].index == 256);
    CHECK(errors[3].index == 999);
    CHECK(errors[0].error == std::errc::no_such_device);
    CHECK(ours(table, ifindex).size() == 996);
  });
}

TEST_CASE("a thousand refusals do not overflow the socket", "[netlink][kernel]") {
  scratch::with_veth([](int) {
    Table table;
    const auto errors = table.set(entries(7654, 1000));
    CHECK(errors.size() == 1000);
    for (const auto& failed : errors) REQUIRE(failed.error == std::errc::no_such_device);
  });
}

TEST_CASE("one entry is looked up", "[netlink][kernel]") {
  scratch::with_veth([](int ifindex) {
    Table table;
    table.set(entries(ifindex, 1));
    Neighbour found;
    CHECK(!table.get({ifindex, address(0)}, found));
    CHECK(found.lladdr == mac(0));
    CHECK(found.ours());
    CHECK(table.get({ifindex, address(1)}, found) == std::errc::no_such_file_or_directory);
  });
}

// An entry that somebody made after the table was looked at was overwritten, and became ours.
TEST_CASE("what is made where nothing was never replaces what is there", "[netlink][kernel]") {
  scratch::with_veth([](int ifindex) {
    Table table;
    sh("ip -6 neigh add " + to_string(address(1)) +
       " lladdr 02:88:88:88:88:88 dev head0 nud permanent");
    auto wanted = entries(ifindex, 3);
    for (Entry& entry : wanted) entry.fresh = true;
    const auto refused = table.set(wanted);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].index == 1);
    CHECK(refused[0].error == std::errc::file_exists);
    const std::array<Question, 1> question{{{wanted[1].key, true}}};
    REQUIRE(table.resolve(question).size() == 1);
    Neighbour found;
    REQUIRE(!table.get(wanted[1].key, found));
    CHECK(found.state == nud::permanent);
    CHECK(found.lladdr == parse_mac("02:88:88:88:88:88"));
    CHECK(!found.ours());
    CHECK(found.flags == 0);
    CHECK(ours(table, ifindex).size() == 2);
  });
}

TEST_CASE("some entries are looked up, or many", "[netlink][kernel]") {
  scratch::with_veth([](int ifindex) {
    Table table;
    table.set(entries(ifindex, 500));
    const unsigned count = GENERATE(0u, 3u, 64u, 65u, 400u);
    CAPTURE(count);
    std::vector<NeighbourKey> keys{{ifindex, address(1000)}};
    for (unsigned i = count; i > 0; --i) keys.push_back({ifindex, address(i - 1)});
    std::vector<Neighbour> found;
    REQUIRE(!table.get(keys, found));
    REQUIRE(found.size() == count);
    for (unsigned i = 0; i < count; ++i) CHECK(found[i].key.address == address(i));
  });
}

TEST_CASE("an address is resolved without any traffic", "[netlink][kernel]") {
  scratch::with_veth([](int ifindex) {
    Table table;
    const NeighbourKey key{ifindex, *parse_ip6("2001:db8::99")};
    const std::array<Question, 1> questions{{{key}}};
    REQUIRE(table.resolve(questions).empty());
    Neighbour found;
    REQUIRE(!table.get(key, found));
    CHECK(found.state == nud::incomplete);
    CHECK(found.ours());
    CHECK((found.flags & ntf::ext_learned) != 0);
  });
}

TEST_CASE("the monitor tells changes, but not those that are left out", "[netlink][kernel]") {
  scratch::with_veth([](int ifindex) {
    Table mine, theirs;
    Monitor monitor(mine.socket().port());
    mine.set(entries(ifindex, 100));
    CHECK(monitor.read().neighbours.empty());

    const std::vector<Entry> other{{{ifindex, address(500)}, mac(5)}};
    theirs.set(other);
    auto changes = monitor.read();
    REQUIRE(changes.neighbours.size() == 1);
    CHECK(changes.neighbours[0].neighbour.key == other[0].key);
    CHECK(!changes.neighbours[0].gone);

    sh("ip -6 neigh flush dev head0");
    changes = monitor.read();
    CHECK(std::count_if(changes.neighbours.begin(), changes.neighbours.end(),
                        [](const NeighbourChange& change) { return change.gone; }) == 101);
    sh("ip link set head0 down");
    changes = monitor.read();
    CHECK(!changes.links.empty());
    REQUIRE(!changes.addresses.empty());
    CHECK(changes.addresses[0].gone);
    CHECK(changes.addresses[0].address.ifindex == ifindex);
  });
}

TEST_CASE("the monitor tells where routes changed", "[netlink][kernel]") {
  scratch::with_veth([](int) {
    Monitor monitor;
    monitor.read();
    const Prefix changed{*parse_ip6("2001:db8:5::"), 48};
    for (const char* what : {"add 2001:db8:5::/48 dev head0", "del 2001:db8:5::/48 dev head0"}) {
      sh(std::string("ip -6 route ") + what);
      CHECK(monitor.read().routes == std::vector{changed});
    }
    sh("ip -6 route add default dev head0");
    CHECK(monitor.read().routes == std::vector{Prefix()});
    sh("ip -6 rule add to 2001:db8:5::/48 lookup 100");
    CHECK(monitor.read().routes == std::vector{Prefix()});
  });
}

TEST_CASE("a prefix holds the addresses that begin as it does", "[netlink]") {
  struct Case {
    const char* prefix;
    std::uint8_t bits;
    const char* first;
    const char* inside;
    const char* outside;
  };
  const Case each = GENERATE(values<Case>({
      {"2001:db8::5", 128, "2001:db8::5", "2001:db8::5", "2001:db8::4"},
      {"2001:db8::7", 127, "2001:db8::6", "2001:db8::7", "2001:db8::5"},
      {"2001:db8::5", 64, "2001:db8::", "2001:db8::ffff:1", "2001:db8:0:1::5"},
      {"2001:dbf::5", 29, "2001:db8::", "2001:dbf:ffff::", "2001:db7:ffff::"},
      {"2001:db8::5", 1, "::", "7fff::", "8000::"},
  }));
  const Prefix prefix{*parse_ip6(each.prefix), each.bits};
  CAPTURE(each.prefix, each.bits);
  CHECK(first_of(prefix) == parse_ip6(each.first));
  CHECK(contains(prefix, *parse_ip6(each.inside)));
  CHECK(!contains(prefix, *parse_ip6(each.outside)));
  CHECK(contains(Prefix(), *parse_ip6(each.outside)));
}

TEST_CASE("whether the table may be changed is known without changing it", "[netlink][kernel]") {
  scratch::with_veth([](int ifindex) {
    Table table;
    table.set(entries(ifindex, 10));
    CHECK(!table.permission());
    CHECK(ours(table, ifindex).size() == 10);
    scratch::drop_net_admin();
    CHECK(Table().permission() == std::errc::operation_not_permitted);
  });
}

TEST_CASE("an overflowing monitor says so", "[netlink][kernel]") {
  scratch::with_veth([](int ifindex) {
    Table table;
    Monitor monitor;
    const int bytes = 4096;
    ::setsockopt(monitor.fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    table.set(entries(ifindex, 2000));
    Changes changes = monitor.read();
    CHECK(changes.lost);
    CHECK(changes.neighbours.size() < 2000);
    CHECK_FALSE(changes.drained);  // The table can be read before the rest is.
    for (int reads = 0; !changes.drained; ++reads) {
      REQUIRE(reads < 1'000);
      changes = monitor.read();
      CHECK(changes.empty());
    }
    CHECK(!monitor.read().lost);
  });
}

TEST_CASE("routes are looked up", "[netlink][kernel]") {
  scratch::with_veth([](int ifindex) {
    Socket socket;
    Route route;
    REQUIRE(!find_route(socket, address(1), 0, route));
    CHECK(route.ifindex == ifindex);
    CHECK(!route.gateway);
    CHECK(route.source == parse_ip6("2001:db8::1"));

    CHECK(find_route(socket, *parse_ip6("2001:db8:5::1"), 0, route));
    sh("ip -6 route add 2001:db8:5::/64 via 2001:db8::fe");
    REQUIRE(!find_route(socket, *parse_ip6("2001:db8:5::1"), 0, route));
    CHECK(route.gateway == parse_ip6("2001:db8::fe"));

    REQUIRE(!find_route(socket, *parse_ip6("2001:db8::1"), 0, route));
    CHECK(route.local);
    REQUIRE(!find_route(socket, *parse_ip6("fe80::5"), ifindex, route));
    CHECK(route.ifindex == ifindex);
    sh("ip -6 route add unreachable 2001:db8:6::/64");
    CHECK(find_route(socket, *parse_ip6("2001:db8:6::1"), 0, route));
  });
}

TEST_CASE("an interface's settings are read, changed and put back", "[netlink][kernel]") {
  scratch::with_veth([](int ifindex) {
    Socket socket;
    DeviceSettings before, after;
    REQUIRE(!read_settings(socket, ifindex, "head0", before));
    DeviceSettings wanted = before;
    wanted.delay_first_probe_ms = 1000;
    wanted.retrans_ms = 100;
    wanted.ucast_solicit = 2;
    wanted.mcast_resolicit = 3;
    wanted.base_reachable_ms = 45000;
    if (wanted.evict_nocarrier) wanted.evict_nocarrier = !*wanted.evict_nocarrier;
    CHECK(!(before == wanted));
    REQUIRE(!write_settings(socket, ifindex, "head0", before, wanted));
    REQUIRE(!read_settings(socket, ifindex, "head0", after));
    CHECK(after == wanted);
    REQUIRE(!write_settings(socket, ifindex, "head0", after, before));
    REQUIRE(!read_settings(socket, ifindex, "head0", after));
    CHECK(after == before);
    CHECK(read_settings(socket, 7654, "nothing", after) == std::errc::no_such_device);
  });
}

TEST_CASE("capabilities are probed by doing", "[netlink][kernel]") {
  scratch::with_veth([](int) {
    if (GENERATE(false, true)) scratch::sh("sysctl -qw net.ipv6.conf.lo.disable_ipv6=1");
    const Capabilities found = probe_capabilities();
    CHECK(found.problem == "");
    CHECK(found.protocol);
    CHECK(found.ext_learned);
    // EXT_VALIDATED is younger than EXT_MANAGED.
    CHECK((found.managed || !found.validated));
    std::vector<Neighbour> left;
    REQUIRE(!dump(left, scratch::ifindex_of("lo")));
    CHECK(left.empty());
  });
}

TEST_CASE("the limits are readable anywhere and writable only from the initial namespace",
          "[netlink][kernel]") {
  scratch::with_veth([](int) {
    Socket socket;
    TableState state;
    REQUIRE(!read_table(socket, state));
    CHECK(state.limits.thresh3 > 0);
    CHECK(state.entry_bytes > 100);
    // The same values again: even if this were allowed it would change nothing.
    const std::error_code error = write_limits(socket, state.limits);
    CHECK(error == std::errc::no_such_file_or_directory);
    CHECK_THAT(explain_limits_error(error), Catch::Contains("--table-netns"));
  });
}
