// The keeper against a real kernel, in network namespaces of its own: entries are in place, stay
// so, and leave others' alone.
#include "netlink/device.hpp"
#include "netlink/monitor.hpp"
#include "tests/neigh_wants.hpp"
#include "tests/skip.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

using namespace tests;

TEST_CASE("two thousand discs have their entries before they are ready", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports reports;
    Keeper keeper(Options{});
    keeper.want(discs(2000), reports.ready());
    REQUIRE(eventually([&] { return reports.count() == 2000; }));
    CHECK(in_place(ifindex, 2000) == 2000);
    CHECK(reports.of("disc7").state == BindingState::held);
    CHECK(reports.of("disc7").dev == "head0");
    CHECK(reports.of("disc7").binding.lladdr == mac(7));

    SECTION("a flush is undone") {
      sh("ip -6 neigh flush dev head0");
      CHECK(eventually([&] { return in_place(ifindex, 2000) == 2000; }, 1s));
      CHECK(keeper.snapshot(Detail::counts).counters.repaired >= 2000);
    }
    SECTION("they outlive the link going down and coming up") {
      sh("ip link set head0 down");
      sh("ip link set head0 up");
      CHECK(eventually([&] { return in_place(ifindex, 2000) == 2000; }, 2s));
    }
    SECTION("detaching removes them, and nothing else") {
      sh("ip -6 neigh add 2001:db8::77 lladdr 02:00:00:00:77:77 dev head0");
      keeper.forget(names(1999));
      CHECK(eventually([&] { return in_place(ifindex, 2000) == 1; }));
      CHECK(in_place(ifindex, 1999) == 0);
      sh("ip -6 neigh show 2001:db8::77 dev head0 | grep -q 02:00:00:00:77:77");
    }
  });
}

// With 100,000 entries a link going down overflowed the monitor; the table was compared while the
// kernel still dropped notifications, and what went after that came back a minute later.
TEST_CASE("entries come back although most notifications are lost", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports reports;
    Options deaf;
    deaf.monitor_bytes = 16 * 1024;
    Keeper keeper(deaf);
    keeper.want(discs(2000), reports.ready());
    REQUIRE(eventually([&] { return reports.count() == 2000; }));
    for (int i = 0; i < 5; ++i) {
      sh("ip -6 neigh flush dev head0 || true");  // It gives up when they come back at once.
      CHECK(eventually([&] { return in_place(ifindex, 2000) == 2000; }, 20s));
      sh("ip link set head0 down; ip link set head0 up");
      CHECK(eventually([&] { return in_place(ifindex, 2000) == 2000; }, 20s));
    }
    CHECK(keeper.snapshot(Detail::counts).counters.notifications_lost > 0);
  });
}

TEST_CASE("an entry of ours that somebody replaces is put back", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports reports;
    Keeper keeper(Options{});
    keeper.want(discs(3), reports.ready());
    REQUIRE(eventually([&] { return in_place(ifindex, 3) == 3; }));
    sh("ip -6 neigh replace " + to_string(address(1)) +
       " lladdr 02:99:99:99:99:99 nud reachable dev head0");
    CHECK(eventually([&] { return in_place(ifindex, 3) == 3; }));
    // The same, but for the flag that keeps it from collection; our mark stays.
    for (const char* state : {"stale", "reachable"})
      sh("ip -6 neigh replace " + to_string(address(1)) + " lladdr " + to_string(mac(1)) + " nud " +
         state + " dev head0");
    CHECK(eventually([&] { return in_place(ifindex, 3) == 3; }));
    sh("ip -6 neigh del " + to_string(address(2)) + " dev head0");
    CHECK(eventually([&] { return in_place(ifindex, 3) == 3; }));
  });
}

TEST_CASE("somebody else's entry for a disc is used and left alone", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    const std::string entry = to_string(address(0)) + " lladdr 02:88:88:88:88:88 dev head0";
    sh("ip -6 neigh add " + entry + " nud permanent");
    Reports reports;
    Keeper keeper(Options{});
    keeper.want(discs(2), reports.ready());
    CHECK(reports.of("disc0").state == BindingState::foreign);
    CHECK(reports.of("disc1").state == BindingState::held);
    keeper.forget({"disc0", "disc1"});
    REQUIRE(eventually([&] { return in_place(ifindex, 2) == 0; }));
    Neighbour found;
    REQUIRE(!Table().get({ifindex, address(0)}, found));
    CHECK(found.state == nud::permanent);
    CHECK(!found.ours());
  });
}

// Between looking at the table and writing it, others write too; theirs was overwritten.
TEST_CASE("what others enter at the same moment stays theirs", "[neigh][kernel]") {
  constexpr unsigned count = 2000, rounds = 5;
  scratch::with_veth([](int ifindex) {
    char batch[] = "/tmp/head-neigh-test.XXXXXX";
    const int file = ::mkstemp(batch);
    REQUIRE(file >= 0);
    std::string text;
    for (unsigned i = 0; i < count; ++i)
      text += "neigh add " + to_string(address(i)) +
              " lladdr 02:88:88:88:88:88 nud permanent dev head0\n";
    REQUIRE(::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    ::close(file);
    const std::string command = "ip -6 -batch " + std::string(batch) + " 2>/dev/null";
    const auto is_theirs = [](const Neighbour& entry) {
      return entry.state == nud::permanent && !entry.ours();
    };
    Keeper keeper(Options{});
    for (unsigned round = 0; round < rounds; ++round) {
      Monitor witness;
      std::FILE* others = ::popen(command.c_str(), "r");  // Until it meets an entry of ours.
      REQUIRE(others != nullptr);
      std::vector<Neighbour> all;
      REQUIRE(eventually([&] { return !dump(all, ifindex) && all.size() > 50; }));
      Reports reports;
      keeper.want(discs(count), reports.ready());
      ::pclose(others);
      REQUIRE(eventually([&] { return reports.count() == count; }));
      REQUIRE(!dump(all, ifindex));
      const Changes seen = witness.read();
      REQUIRE(seen.drained);
      const auto made =
          std::count_if(seen.neighbours.begin(), seen.neighbours.end(),
                        [&](const NeighbourChange& change) { return is_theirs(change.neighbour); });
      CHECK(std::count_if(all.begin(), all.end(), is_theirs) == made);
      CHECK(in_place(ifindex, count) == count - made);
      keeper.forget(names(count));
      REQUIRE(eventually([&] { return in_place(ifindex, count) == 0; }));
      sh("ip link set head0 down; ip link set head0 up");
    }
    ::unlink(batch);
  });
}

TEST_CASE("what is of a newer generation beats what was wanted before", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports first, second;
    Keeper keeper(Options{});
    keeper.want({disc(1, mac(50))}, first.ready());
    first.of("disc1");
    Want newer = disc(1, mac(1));
    newer.claim.generation = 1;
    keeper.want({newer}, second.ready());
    second.of("disc1");
    CHECK(eventually([&] { return in_place(ifindex, 2) == 1; }));
  });
}

TEST_CASE("a former run's entries are adopted, and removed when nobody wants them",
          "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    {
      Reports reports;
      Keeper keeper(Options{});
      keeper.want(discs(10), reports.ready());
      REQUIRE(eventually([&] { return reports.count() == 10; }));
    }
    CHECK(in_place(ifindex, 10) == 10);
    sh("ip -6 neigh add 2001:db8::77 lladdr 02:00:00:00:77:77 dev head0 nud stale");
    Options hasty;
    hasty.orphan_grace = 200ms;
    Reports reports;
    Keeper keeper(hasty);
    keeper.want(discs(4), reports.ready());
    REQUIRE(eventually([&] { return reports.count() == 4; }));
    CHECK(eventually([&] { return in_place(ifindex, 10) == 4; }));
    CHECK(in_place(ifindex, 4) == 4);
    CHECK(keeper.snapshot(Detail::counts).counters.installed == 0);
    CHECK(keeper.snapshot(Detail::counts).counters.removed == 6);
    sh("ip -6 neigh show 2001:db8::77 dev head0 | grep -q 02:00:00:00:77:77");
  });
}

TEST_CASE("interfaces are set for discs, and put back at the end", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Socket socket;
    DeviceSettings before, during, after;
    REQUIRE(!read_settings(socket, ifindex, "head0", before));
    {
      Reports reports;
      Keeper keeper(Options{});
      keeper.want(discs(1), reports.ready());
      reports.of("disc0");
      REQUIRE(!read_settings(socket, ifindex, "head0", during));
      CHECK(during.delay_first_probe_ms == 1000);
      CHECK(during.retrans_ms == 100);
      CHECK(during.mcast_resolicit == 3);
      CHECK(during.evict_nocarrier.value_or(false) == false);
    }
    REQUIRE(!read_settings(socket, ifindex, "head0", after));
    Neighbour left;
    REQUIRE(!Table().get({ifindex, address(0)}, left));
    // A validated entry whose binding goes wrong is healed by asking by multicast only.
    if (left.ext_flags & ntf::ext_validated) {
      CHECK(after.mcast_resolicit == during.mcast_resolicit);
      after.mcast_resolicit = before.mcast_resolicit;
    }
    CHECK(after == before);
  });
}

TEST_CASE("without CAP_NET_ADMIN the keeper says so, and keeps nobody waiting", "[neigh][kernel]") {
  scratch::with_veth([](int) {
    scratch::drop_net_admin();
    Options patient;
    patient.patience = 1min;
    Reports reports;
    Keeper keeper(patient);
    keeper.want({disc(1, mac(1)), disc(2, std::nullopt)}, reports.ready());
    for (const char* name : {"disc1", "disc2"}) {
      CHECK(reports.of(name).state == BindingState::waiting);
      CHECK_THAT(reports.of(name).problem, Catch::Contains("CAP_NET_ADMIN; start it as root"));
    }
    const Snapshot now = keeper.snapshot(Detail::counts);
    CHECK(!now.permitted);
    CHECK(problems(now).at(0) == not_permitted);
    CHECK(now.counters.errors == 2);
  });
}

TEST_CASE("from another namespace the keeper says why it cannot raise the limits",
          "[neigh][kernel]") {
  scratch::with_veth([](int) {
    Reports reports;
    Keeper keeper(Options{});
    keeper.want(discs(2000), reports.ready());
    REQUIRE(eventually([&] { return reports.count() == 2000; }));
    const Snapshot now = keeper.snapshot(Detail::counts);
    const TableStatus& table = now.table;
    CHECK(now.permitted);
    // The limits belong to the initial namespace; from here they cannot be raised.
    if (table.wanted == table.table.limits) return tests::skip("they are large enough already");
    CHECK_THAT(table.problem, Catch::Contains("--table-netns"));
    CHECK(problems(now) == std::vector{table.problem});
  });
}
