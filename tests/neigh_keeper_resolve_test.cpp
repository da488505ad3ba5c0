// The keeper against a real kernel: entries that have to be asked for, and what tails answer.
#include "head/neigh/ledger.hpp"
#include "netlink/device.hpp"
#include "tests/neigh_wants.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>

using namespace tests;

TEST_CASE("a disc without a link-layer address is resolved before it is ready", "[neigh][kernel]") {
  scratch::with_tail([](int ifindex, scratch::Tail& tail) {
    tail.sh("ip -6 address add " + to_string(address(5)) + "/64 dev tail0 nodad");
    Reports reports;
    Keeper keeper(Options{});
    keeper.want({disc(5, std::nullopt)}, reports.ready());
    const BindingStatus status = reports.of("disc5");
    CHECK(status.state == BindingState::held);
    CHECK(status.binding.lladdr == tail.lladdr());
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
    Options paced;
    paced.resolutions_burst = 10;
    Keeper keeper(paced);
    const auto began = std::chrono::steady_clock::now();
    keeper.want(wanted, reports.ready());
    REQUIRE(eventually([&] { return reports.count() == 300; }));
    CHECK(std::chrono::steady_clock::now() - began > 500ms);
    CHECK(eventually([&] { return keeper.snapshot(Detail::counts).held == 300; }));
  });
}

TEST_CASE("T16 a disc that nobody answers for is reported, and resolved when somebody does",
          "[neigh][kernel]") {
  scratch::with_tail([](int, scratch::Tail& tail) {
    Reports reports;
    Options impatient;
    impatient.patience = 300ms;
    Keeper keeper(impatient);
    keeper.want({disc(6, std::nullopt)}, reports.ready());
    const BindingStatus status = reports.of("disc6");
    CHECK(status.state == BindingState::waiting);
    CHECK_THAT(status.problem, Catch::Contains("does not answer neighbour solicitations"));
    CHECK(keeper.snapshot(Detail::counts).unready == 1);
    tail.sh("ip -6 address add " + to_string(address(6)) + "/64 dev tail0 nodad");
    CHECK(eventually([&] { return keeper.snapshot(Detail::counts).held == 1; }));
  });
}

TEST_CASE("T16 a neighbour advertisement beats what was told, and counts as a conflict",
          "[neigh][kernel]") {
  scratch::with_tail([](int ifindex, scratch::Tail& tail) {
    tail.sh("sysctl -qw net.ipv6.conf.tail0.ndisc_notify=1");
    tail.sh("ip -6 address add " + to_string(address(5)) + "/64 dev tail0 nodad");
    Reports reports;
    Keeper keeper(Options{});
    keeper.want({disc(5, tail.lladdr())}, reports.ready());
    REQUIRE(reports.of("disc5").state == BindingState::held);
    tail.sh("ip link set tail0 address 02:aa:aa:aa:aa:aa");
    const Mac moved{0x02, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa};
    CHECK(eventually([&] {
      const Snapshot now = keeper.snapshot();
      return now.counters.conflicts == 1 && now.entries.at(0).binding.lladdr == moved;
    }));
    const Snapshot now = keeper.snapshot();
    CHECK(now.entries.at(0).binding.source == Source::wire);
    CHECK(now.entries.at(0).kernel.lladdr == moved);
    CHECK(now.entries.at(0).kernel.key.ifindex == ifindex);
    CHECK(now.entries.at(0).kernel.ours());
  });
}

TEST_CASE("a waiting request has its disc's entry looked at", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    const bool enabled = GENERATE(true, false);
    CAPTURE(enabled);
    Options chosen;
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
    REQUIRE(eventually([&] { return keeper.snapshot(Detail::counts).counters.looks == 2; }));
    CHECK(good.stats->neighbour_missing_at_ns == 0);
    for (int i = 0; i < 100'000; ++i) keeper.look(lost.stats);
    const auto seen = [&] {
      const Counters now = keeper.snapshot(Detail::counts).counters;
      return now.looks + now.looks_dropped;
    };
    CHECK(eventually([&] { return seen() == 100'002; }));
    Neighbour found;
    if (!enabled) CHECK(Table().get({ifindex, address(1)}, found).value() == ENOENT);
  });
}

TEST_CASE("a disc that waits long is asked for, however reachable it was", "[neigh][kernel]") {
  const bool listens = GENERATE(true, false);  // For answers; else the kernel is made to ask.
  CAPTURE(listens);
  scratch::with_veth([&](int ifindex) {
    const Want quiet = disc(1, mac(1));
    Reports reports;
    Options options;
    options.announcements = listens;
    Keeper keeper(options);
    keeper.want({quiet}, reports.ready());
    REQUIRE(reports.of("disc1").state == BindingState::held);
    Neighbour entry;
    REQUIRE(!Table().get({ifindex, address(1)}, entry));
    const bool validated = entry.ext_flags & ntf::ext_validated;
    const std::vector<Entry> reached{{{ifindex, address(1)}, mac(1), nud::reachable, validated}};
    REQUIRE(Table().set(reached).empty());
    // Nobody has mac(1): asked by the kernel, it stays reachable no longer.
    const auto asked = [&] {
      if (listens)
        return keeper.snapshot(Detail::counts).counters.solicitations >= 2 * Inquiry::times;
      return !Table().get({ifindex, address(1)}, entry) && entry.state != nud::reachable;
    };
    keeper.look(quiet.stats);
    CHECK(!eventually(asked, 200ms));
    quiet.stats->silent_at_ns = std::chrono::steady_clock::now().time_since_epoch().count();
    keeper.look(quiet.stats);
    CHECK(eventually(asked));
    CHECK(keeper.snapshot(Detail::counts).counters.resolutions >= 1);
    CHECK(keeper.snapshot(Detail::counts).counters.repaired == 0);
  });
}

TEST_CASE("a disc whose question waits for its turn is not given up", "[neigh][kernel]") {
  scratch::with_veth([](int) {
    Options slow;
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

TEST_CASE("the kernel's questions are answered where nobody else would", "[neigh][kernel]") {
  scratch::with_veth([](int ifindex) {
    Options options;
    options.responder = true;
    options.coalesce = 10s;  // Or the entry would be there before anything needs it.
    netlink::DeviceSettings settings;
    Table table;
    {
      Reports reports;
      Keeper keeper(options);
      keeper.want({disc(1, mac(1))}, reports.ready());
      REQUIRE(reports.of("disc1").state == BindingState::held);
      REQUIRE(!netlink::read_settings(table.socket(), ifindex, "head0", settings));
      CHECK(settings.app_solicit == 1);
      sh("ip -6 neigh del " + to_string(address(1)) + " dev head0");
      sh("bash -c 'echo x > /dev/udp/" + to_string(address(1)) + "/9'");
      Neighbour found;
      CHECK(eventually(
          [&] {
            return !table.get({ifindex, address(1)}, found) && found.usable();
          },
          5000ms));
      CHECK(found.lladdr == mac(1));
      CHECK(found.ours());
      CHECK(keeper.snapshot(Detail::counts).counters.answered == 1);
    }
    REQUIRE(!netlink::read_settings(table.socket(), ifindex, "head0", settings));
    CHECK(settings.app_solicit == 0);
  });
}

TEST_CASE("what is known to be wrong is no answer to the kernel's question", "[neigh]") {
  // A responder that says an old address again would keep a wrong binding for ever.
  Ledger book{Ledger::Tuning()};
  const NeighbourKey key{3, address(1)};
  book.add(key, {.lladdr = mac(1), .source = Source::operator_, .generation = 0}, Instant(1h));
  book.observe(key, nullptr, Instant(1h));
  book.written(book.due(Instant(1h)).write.at(0).key);
  Neighbour asked;
  asked.key = key;
  asked.state = nud::probe;
  asked.lladdr = mac(1);
  CHECK_FALSE(book.asked(key, asked, Instant(1h)));
  asked.state = nud::incomplete;
  asked.lladdr.reset();
  CHECK(book.asked(key, asked, Instant(1h)));
  CHECK(book.due(Instant(1h)).write.size() == 1);
  CHECK_FALSE(book.asked({3, address(2)}, asked, Instant(1h)));
}

TEST_CASE("connections to a silent host are tried by turns, whoever comes to it later",
          "[neigh][kernel]") {
  scratch::with_veth([](int) {
    std::vector<Want> wants;
    for (unsigned i = 0; i < 5; ++i) wants.push_back(disc(i, mac(1)));
    Reports reports;
    Keeper keeper(Options{});
    keeper.want(wants, reports.ready());
    REQUIRE(reports.of("disc4").state == BindingState::held);
    const auto apart = [](const Want& want) { return want.stats->attempts_apart_ms.load(); };
    CHECK(apart(wants[0]) == 0);
    wants[0].stats->silent_at_ns = std::chrono::steady_clock::now().time_since_epoch().count();
    keeper.look(wants[0].stats);
    CHECK(eventually([&] { return apart(wants[4]) == 5 * 200; }));
    CHECK(keeper.snapshot(Detail::counts).silent_hosts == 1);
    // One that is new, and one that is wanted again.
    wants.push_back(disc(5, mac(1)));
    keeper.want({wants[5], wants[1]}, {});
    for (const Want& want : wants) CHECK(eventually([&] { return apart(want) == 6 * 200; }));
    // One that an administrator takes elsewhere, and one that is told to be.
    sh("ip -6 neigh replace " + to_string(address(2)) +
       " lladdr 02:cc:cc:cc:cc:cc nud permanent dev head0");
    CHECK(eventually([&] { return apart(wants[2]) == 0; }));
    Want told = disc(3, mac(7));
    told.stats = wants[3].stats;
    told.claim.generation = 1;
    keeper.want({told}, {});
    CHECK(eventually([&] { return apart(wants[3]) == 0; }));
  });
}
