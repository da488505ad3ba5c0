// The keeper against a real kernel, in network namespaces of its own.
#include "head/neigh/keeper.hpp"
#include "netlink/device.hpp"
#include "netlink/format.hpp"
#include "netlink/monitor.hpp"
#include "netlink/table.hpp"
#include "scratch_namespace.hpp"
#include "tests/log_lines.hpp"
#include "tests/skip.hpp"

#include <catch2/catch.hpp>

#include <cstdio>
#include <map>
#include <mutex>

using namespace head::neigh;
using namespace netlink;
using namespace std::chrono_literals;
using scratch::eventually;
using scratch::sh;

namespace {

Ip6 address(unsigned number) {
  Ip6 made = *parse_ip6("2001:db8::1:0:0");
  made[14] = static_cast<std::uint8_t>(number >> 8);
  made[15] = static_cast<std::uint8_t>(number);
  return made;
}

Mac mac(unsigned number) {
  return {0x02, 0, 0, 0, static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
}

Want disc(unsigned number, std::optional<Mac> lladdr) {
  return {.disc = "disc" + std::to_string(number),
          .address = address(number),
          .lladdr = lladdr,
          .dev = "",
          .stats = std::make_shared<head::stats::DiscStats>()};
}

std::vector<Want> discs(unsigned count) {
  std::vector<Want> made;
  for (unsigned i = 0; i < count; ++i) made.push_back(disc(i, mac(i)));
  return made;
}

// What the keeper reported, by disc. It reports a want once.
class Reports {
 public:
  ~Reports() { CHECK(repeated_ == 0); }
  Keeper::Ready ready() {
    return [this](const std::string& disc, const BindingStatus& status) {
      const std::lock_guard lock(lock_);
      if (!reports_.try_emplace(disc, status).second) ++repeated_;
    };
  }
  std::size_t count() const {
    const std::lock_guard lock(lock_);
    return reports_.size();
  }
  BindingStatus of(const std::string& disc) const {
    REQUIRE(eventually([&] {
      const std::lock_guard lock(lock_);
      return reports_.contains(disc);
    }));
    const std::lock_guard lock(lock_);
    return reports_.at(disc);
  }

 private:
  mutable std::mutex lock_;
  std::map<std::string, BindingStatus> reports_;
  unsigned repeated_ = 0;
};

// How many of the first `count` discs have an entry of ours with the right address.
unsigned in_place(int ifindex, unsigned count) {
  std::vector<Neighbour> all;
  REQUIRE(!dump(all, ifindex));
  unsigned right = 0;
  for (unsigned i = 0; i < count; ++i) {
    const Neighbour* found = find(all, {ifindex, address(i)});
    right += found && found->ours() && found->lladdr == mac(i) && found->state == nud::stale &&
             (found->flags & ntf::ext_learned);
  }
  return right;
}

// The limits are the whole kernel's; only the test about them raises them.
Options options() {
  return {};
}

}  // namespace

TEST_CASE("two thousand discs have their entries before they are ready", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports reports;
    Keeper keeper(options());
    keeper.want(discs(2000), reports.ready());
    REQUIRE(eventually([&] { return reports.count() == 2000; }));
    CHECK(in_place(ifindex, 2000) == 2000);
    CHECK(reports.of("disc7").state == BindingState::held);
    CHECK(reports.of("disc7").dev == "head0");
    CHECK(reports.of("disc7").lladdr == mac(7));

    SECTION("a flush is undone") {
      sh("ip -6 neigh flush dev head0");
      CHECK(eventually([&] { return in_place(ifindex, 2000) == 2000; }, 1s));
      CHECK(keeper.snapshot(false).counters.repaired >= 2000);
    }
    SECTION("they outlive the link going down and coming up") {
      sh("ip link set head0 down");
      sh("ip link set head0 up");
      CHECK(eventually([&] { return in_place(ifindex, 2000) == 2000; }, 2s));
    }
    SECTION("detaching removes them, and nothing else") {
      sh("ip -6 neigh add 2001:db8::77 lladdr 02:00:00:00:77:77 dev head0");
      std::vector<std::string> names;
      for (unsigned i = 0; i < 1999; ++i) names.push_back("disc" + std::to_string(i));
      keeper.forget(names);
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
    Options deaf = options();
    deaf.monitor_bytes = 16 * 1024;
    Keeper keeper(deaf);
    keeper.want(discs(2000), reports.ready());
    REQUIRE(eventually([&] { return reports.count() == 2000; }));
    for (int i = 0; i < 5; ++i) {
      sh("ip -6 neigh flush dev head0");
      CHECK(eventually([&] { return in_place(ifindex, 2000) == 2000; }, 20s));
      sh("ip link set head0 down; ip link set head0 up");
      CHECK(eventually([&] { return in_place(ifindex, 2000) == 2000; }, 20s));
    }
    CHECK(keeper.snapshot(false).counters.notifications_lost > 0);
  });
}

TEST_CASE("an entry of ours that somebody replaces is put back", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports reports;
    Keeper keeper(options());
    keeper.want(discs(3), reports.ready());
    REQUIRE(eventually([&] { return in_place(ifindex, 3) == 3; }));
    sh("ip -6 neigh replace " + to_string(address(1)) +
       " lladdr 02:99:99:99:99:99 nud reachable dev head0");
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
    Keeper keeper(options());
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
    Keeper keeper(options());
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
      std::vector<std::string> names;
      for (unsigned i = 0; i < count; ++i) names.push_back("disc" + std::to_string(i));
      keeper.forget(names);
      REQUIRE(eventually([&] { return in_place(ifindex, count) == 0; }));
      sh("ip link set head0 down; ip link set head0 up");
    }
    ::unlink(batch);
  });
}

TEST_CASE("a disc without a link-layer address is resolved before it is ready", "[neigh][kernel]") {
  scratch::with_tail([](int ifindex, scratch::Tail& tail) {
    tail.sh("ip -6 address add " + to_string(address(5)) + "/64 dev tail0 nodad");
    Reports reports;
    Keeper keeper(options());
    keeper.want({disc(5, std::nullopt)}, reports.ready());
    const BindingStatus status = reports.of("disc5");
    CHECK(status.state == BindingState::held);
    CHECK(status.lladdr == tail.lladdr());
    Neighbour found;
    REQUIRE(!Table().get({ifindex, address(5)}, found));
    CHECK(found.ours());
    CHECK(found.usable());
    CHECK(found.lladdr == tail.lladdr());
  });
}

TEST_CASE("hundreds of discs without link-layer addresses are resolved, paced", "[neigh][kernel]") {
  scratch::with_tail([](int, scratch::Tail& tail) {
    std::vector<Want> wanted;
    std::string script;
    for (unsigned i = 0; i < 300; ++i) {
      script += "address add " + to_string(address(i)) + "/64 dev tail0 nodad\n";
      wanted.push_back(disc(i, std::nullopt));
    }
    tail.sh("ip -6 -batch - <<'END'\n" + script + "END\n");
    Reports reports;
    Options paced = options();
    paced.resolutions_burst = 10;
    Keeper keeper(paced);
    const auto began = std::chrono::steady_clock::now();
    keeper.want(wanted, reports.ready());
    REQUIRE(eventually([&] { return reports.count() == 300; }));
    CHECK(std::chrono::steady_clock::now() - began > 500ms);
    CHECK(keeper.snapshot(false).held == 300);
  });
}

TEST_CASE("T16 a disc that nobody answers for is reported, and resolved when somebody does",
          "[neigh][kernel]") {
  scratch::with_tail([](int, scratch::Tail& tail) {
    Reports reports;
    Options impatient = options();
    impatient.patience = 300ms;
    Keeper keeper(impatient);
    keeper.want({disc(6, std::nullopt)}, reports.ready());
    const BindingStatus status = reports.of("disc6");
    CHECK(status.state == BindingState::waiting);
    CHECK_THAT(status.problem, Catch::Contains("does not answer neighbour solicitations"));
    CHECK(keeper.snapshot(false).unready == 1);
    tail.sh("ip -6 address add " + to_string(address(6)) + "/64 dev tail0 nodad");
    CHECK(eventually([&] { return keeper.snapshot(false).held == 1; }));
  });
}

TEST_CASE("T16 a neighbour advertisement beats what was told, and counts as a conflict",
          "[neigh][kernel]") {
  scratch::with_tail([](int ifindex, scratch::Tail& tail) {
    tail.sh("sysctl -qw net.ipv6.conf.tail0.ndisc_notify=1");
    tail.sh("ip -6 address add " + to_string(address(5)) + "/64 dev tail0 nodad");
    Reports reports;
    Keeper keeper(options());
    keeper.want({disc(5, tail.lladdr())}, reports.ready());
    REQUIRE(reports.of("disc5").state == BindingState::held);
    tail.sh("ip link set tail0 address 02:aa:aa:aa:aa:aa");
    const Mac moved{0x02, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa};
    CHECK(eventually([&] {
      const Snapshot now = keeper.snapshot();
      return now.counters.conflicts == 1 && now.entries.at(0).binding == moved;
    }));
    const Snapshot now = keeper.snapshot();
    CHECK(now.entries.at(0).learned);
    CHECK(now.entries.at(0).kernel.lladdr == moved);
    CHECK(now.entries.at(0).kernel.key.ifindex == ifindex);
    CHECK(now.entries.at(0).kernel.ours());
  });
}

TEST_CASE("what an operator wants anew beats the wire", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports first, second;
    Keeper keeper(options());
    keeper.want({disc(1, mac(50))}, first.ready());
    first.of("disc1");
    keeper.want({disc(1, mac(1))}, second.ready());
    second.of("disc1");
    CHECK(eventually([&] { return in_place(ifindex, 2) == 1; }));
  });
}

TEST_CASE("discs behind a gateway share the gateway's entry", "[neigh][kernel]") {
  scratch::with_tail([](int ifindex, scratch::Tail& tail) {
    tail.sh("ip -6 address add 2001:db8::fe/64 dev tail0 nodad");
    sh("ip -6 route add 2001:db8:5::/64 via 2001:db8::fe");
    const NeighbourKey gateway{ifindex, *parse_ip6("2001:db8::fe")};
    Want one = disc(1, std::nullopt), two = disc(2, std::nullopt);
    one.address = *parse_ip6("2001:db8:5::1");
    two.address = *parse_ip6("2001:db8:5::2");
    Reports reports;
    Keeper keeper(options());
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
    Keeper keeper(options());
    keeper.want({lost}, reports.ready());
    CHECK(reports.of("disc1").state == BindingState::unplaced);
    CHECK_THAT(reports.of("disc1").problem, Catch::Contains("there is no route to 2001:db8:7::1"));
    sh("ip -6 route add 2001:db8:7::/64 dev head0");
    CHECK(eventually([&] { return keeper.snapshot(false).held == 1; }));
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
    Keeper keeper(options());
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
    CHECK(keeper.snapshot(false).counters.moves == 3);
  });
}

TEST_CASE("discs follow their route to another interface", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    sh("ip link add head1 type veth peer name tail1; ip link set head1 up; ip link set tail1 up");
    const int other = scratch::ifindex_of("head1");
    Reports reports;
    Keeper keeper(options());
    keeper.want(discs(2000), reports.ready());
    REQUIRE(eventually([&] { return in_place(ifindex, 2000) == 2000; }));
    SECTION("by the route itself, and stay when that goes") {
      sh("ip -6 route add 2001:db8::/112 dev head1");  // Of none of them.
      sh("ip -6 route add 2001:db8::1:0:0/112 dev head1");
      CHECK(eventually([&] { return in_place(other, 2000) == 2000; }, 5s));
      CHECK(eventually([&] { return in_place(ifindex, 2000) == 0; }, 5s));
      CHECK(keeper.snapshot(false).counters.moves == 2000);
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
    Keeper keeper(options());
    keeper.want(discs(100), reports.ready());
    REQUIRE(eventually([&] { return in_place(ifindex, 100) == 100; }));
    const tests::LogLines log;
    sh("ip link del head0");
    REQUIRE(eventually([&] { return keeper.snapshot(false).unready == 100; }));
    CHECK(eventually([&] { return log.count("discs have no way now") != 0; }));
    CHECK(log.count("another way") == 0);
    CHECK(keeper.snapshot(false).counters.moves == 0);
    CHECK(keeper.snapshot(false).counters.removed == 0);
  });
}

TEST_CASE("an interface that is deleted and made again gets its entries again", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Reports reports;
    Keeper keeper(options());
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

TEST_CASE("a former run's entries are adopted, and removed when nobody wants them",
          "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    {
      Reports reports;
      Keeper keeper(options());
      keeper.want(discs(10), reports.ready());
      REQUIRE(eventually([&] { return reports.count() == 10; }));
    }
    CHECK(in_place(ifindex, 10) == 10);
    sh("ip -6 neigh add 2001:db8::77 lladdr 02:00:00:00:77:77 dev head0 nud stale");
    Options hasty = options();
    hasty.orphan_grace = 200ms;
    Reports reports;
    Keeper keeper(hasty);
    keeper.want(discs(4), reports.ready());
    REQUIRE(eventually([&] { return reports.count() == 4; }));
    CHECK(eventually([&] { return in_place(ifindex, 10) == 4; }));
    CHECK(in_place(ifindex, 4) == 4);
    CHECK(keeper.snapshot(false).counters.installed == 0);
    CHECK(keeper.snapshot(false).counters.removed == 6);
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
      Keeper keeper(options());
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

TEST_CASE("a waiting request has its disc's entry looked at", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    const bool enabled = GENERATE(true, false);
    CAPTURE(enabled);
    Options chosen = options();
    chosen.enabled = enabled;
    const Want lost = disc(1, std::nullopt), good = disc(2, mac(2));
    Reports reports;
    Keeper keeper(chosen);
    if (!enabled) {
      const std::vector<Entry> entry{{{ifindex, address(2)}, mac(2)}};
      Table().set(entry);
    }
    keeper.want({lost, good}, reports.ready());
    CHECK(reports.of("disc2").state == (enabled ? BindingState::held : BindingState::off));
    if (!enabled) CHECK(reports.of("disc1").state == BindingState::off);
    lost.stats->neighbour_missing_at_ns = 0;
    keeper.look(lost.stats);
    keeper.look(good.stats);
    CHECK(eventually([&] { return lost.stats->neighbour_missing_at_ns != 0; }));
    REQUIRE(eventually([&] { return keeper.snapshot(false).counters.looks == 2; }));
    CHECK(good.stats->neighbour_missing_at_ns == 0);
    for (int i = 0; i < 100'000; ++i) keeper.look(lost.stats);
    const auto seen = [&] {
      const Counters now = keeper.snapshot(false).counters;
      return now.looks + now.looks_dropped;
    };
    CHECK(eventually([&] { return seen() == 100'002; }));
    Neighbour found;
    if (!enabled) CHECK(Table().get({ifindex, address(1)}, found).value() == ENOENT);
  });
}

TEST_CASE("the entry of a disc that waits long is probed, however reachable it was",
          "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    const Want quiet = disc(1, mac(1));
    Reports reports;
    Keeper keeper(options());
    keeper.want({quiet}, reports.ready());
    REQUIRE(reports.of("disc1").state == BindingState::held);
    Neighbour entry;
    REQUIRE(!Table().get({ifindex, address(1)}, entry));
    const bool validated = entry.ext_flags & ntf::ext_validated;
    const std::vector<Entry> reached{{{ifindex, address(1)}, mac(1), nud::reachable, validated}};
    REQUIRE(Table().set(reached).empty());
    // Nobody has mac(1): asked, it stays reachable no longer.
    const auto asked = [&] {
      return !Table().get({ifindex, address(1)}, entry) && entry.state != nud::reachable;
    };
    keeper.look(quiet.stats);
    CHECK(!eventually(asked, 200ms));
    quiet.stats->silent_at_ns = std::chrono::steady_clock::now().time_since_epoch().count();
    keeper.look(quiet.stats);
    CHECK(eventually(asked));
    CHECK(keeper.snapshot(false).counters.resolutions >= 1);
    CHECK(keeper.snapshot(false).counters.repaired == 0);
  });
}

TEST_CASE("a disc whose question waits for its turn is not given up", "[neigh][kernel]") {
  scratch::with_veth([](int) {
    Options slow = options();
    slow.patience = 100ms;
    slow.resolutions_per_second = 1;
    slow.resolutions_burst = 1;
    Reports reports;
    Keeper keeper(slow);
    keeper.want({disc(1, std::nullopt), disc(2, std::nullopt)}, reports.ready());
    CHECK(eventually([&] { return reports.count() == 1; }));
    const Snapshot now = keeper.snapshot();
    REQUIRE(now.discs.size() == 2);
    const auto unasked = std::count_if(now.discs.begin(), now.discs.end(), [](const auto& disc) {
      return disc.status.problem.find("has not been asked yet") != std::string::npos;
    });
    CHECK(unasked == 1);
    CHECK(eventually([&] { return reports.count() == 2; }));
  });
}

TEST_CASE("without CAP_NET_ADMIN the keeper says so, and keeps nobody waiting", "[neigh][kernel]") {
  scratch::with_veth([](int) {
    scratch::drop_net_admin();
    Options patient = options();
    patient.patience = 1min;
    Reports reports;
    Keeper keeper(patient);
    keeper.want({disc(1, mac(1)), disc(2, std::nullopt)}, reports.ready());
    for (const char* name : {"disc1", "disc2"}) {
      CHECK(reports.of(name).state == BindingState::waiting);
      CHECK_THAT(reports.of(name).problem, Catch::Contains("CAP_NET_ADMIN; start it as root"));
    }
    const Snapshot now = keeper.snapshot(false);
    CHECK(!now.permitted);
    CHECK(problems(now).at(0) == not_permitted);
    CHECK(now.counters.errors == 2);
  });
}

TEST_CASE("from another namespace the keeper says why it cannot raise the limits",
          "[neigh][kernel]") {
  scratch::with_veth([](int) {
    Reports reports;
    Keeper keeper(options());
    keeper.want(discs(2000), reports.ready());
    REQUIRE(eventually([&] { return reports.count() == 2000; }));
    const Snapshot now = keeper.snapshot(false);
    const TableStatus& table = now.table;
    CHECK(now.permitted);
    // The limits belong to the initial namespace; from here they cannot be raised.
    if (table.wanted == table.table.limits) return tests::skip("they are large enough already");
    CHECK_THAT(table.problem, Catch::Contains("--table-netns"));
    CHECK(problems(now) == std::vector{table.problem});
  });
}
