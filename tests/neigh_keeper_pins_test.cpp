// What others say of a pinned address, to the kernel and to the keeper.
#include "tests/neigh_wants.hpp"

#include <string>

using namespace tests;

namespace {

const Mac thief{0x02, 0xbb, 0xbb, 0xbb, 0xbb, 0xbb};

Want pinned(unsigned number, const Mac& lladdr) {
  Want want = disc(number, lladdr);
  want.claim.generation = 1;
  return want;
}

// So many neighbour advertisements for that address, from a host beside its own.
void claim(scratch::Tail& tail, const Ip6& address, bool overrides, int times = 1) {
  tail.sh(
      "python3 -c \"import socket, time\n"
      "s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)\n"
      "s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)\n"
      "said = bytes([136, 0, 0, 0, " +
      std::string(overrides ? "32" : "0") + ", 0, 0, 0]) + socket.inet_pton(socket.AF_INET6, '" +
      to_string(address) +
      "') + bytes.fromhex('020102bbbbbbbbbb')\n"
      "for i in range(" +
      std::to_string(times) +
      "):\n"
      "  s.sendto(said, ('ff02::1', 0, 0, socket.if_nametoindex('tail0')))\n"
      "  time.sleep(0.001)\n\"");
}

// An interface whose own address is tentative asks nobody.
void await_own_address() {
  sh("for i in $(seq 100); do ip -6 address show dev head0 | grep -q tentative || exit 0; "
     "sleep 0.05; done; exit 1");
}

}  // namespace

TEST_CASE("who claims a pinned address while its host answers does not get it", "[neigh][kernel]") {
  const bool overrides = GENERATE(true, false);
  CAPTURE(overrides);
  scratch::with_tail([&](int, scratch::Tail& tail) {
    tail.sh("ip -6 address add " + to_string(address(5)) + "/64 dev tail0 nodad");
    Reports reports;
    Keeper keeper(Options{});
    keeper.want({pinned(5, tail.lladdr())}, reports.ready());
    REQUIRE(reports.of("disc5").state == BindingState::held);
    await_own_address();
    claim(tail, address(5), overrides);
    CHECK(eventually([&] { return keeper.snapshot(Detail::counts).counters.refuted == 1; }));
    const auto entry = [&] { return keeper.snapshot().entries.at(0); };
    CHECK(eventually([&] { return entry().kernel.state == nud::permanent; }));
    CHECK(entry().kernel.lladdr == tail.lladdr());
    CHECK(entry().binding.lladdr == tail.lladdr());
    CHECK(entry().claimed == thief);
    CHECK(entry().pinned);
    // As often as anybody likes, from now on.
    claim(tail, address(5), overrides, 300);
    CHECK(entry().kernel.lladdr == tail.lladdr());
    CHECK(entry().kernel.state == nud::permanent);
    CHECK(keeper.snapshot(Detail::counts).counters.refuted <= 2);  // It is asked once a second.
  });
}

TEST_CASE("a pinned disc that moves without a word is followed", "[neigh][kernel]") {
  scratch::with_tail([](int, scratch::Tail& tail) {
    tail.sh("sysctl -qw net.ipv6.conf.tail0.ndisc_notify=1");
    tail.sh("ip -6 address add " + to_string(address(5)) + "/64 dev tail0 nodad");
    Reports reports;
    Options options;
    options.trust = GENERATE(Trust::catalogue_unless_dead, Trust::catalogue);
    Keeper keeper(options);
    Want want = pinned(5, tail.lladdr());
    const bool proven_before = GENERATE(true, false);
    want.stats->prove(proven_before ? 0x02aaaaaaaaaa : 0x7fff'02aaaaaaaaaa);
    keeper.want({want}, reports.ready());
    REQUIRE(reports.of("disc5").state == BindingState::held);
    CHECK(want.stats->rumoured_at == 0);
    await_own_address();
    const Mac before = tail.lladdr();
    tail.sh("ip link set tail0 address 02:aa:aa:aa:aa:aa");
    const Mac moved{0x02, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa};
    const auto entry = [&] { return keeper.snapshot().entries.at(0); };
    if (options.trust == Trust::catalogue) {
      // Unless somebody says so who counts generations.
      CHECK(eventually([&] { return entry().claimed == moved; }));
      CHECK(entry().kernel.lladdr == before);
      Want told = pinned(5, moved);
      told.claim.generation = 2;
      keeper.want({told}, {});
    }
    CHECK(eventually([&] { return entry().binding.lladdr == moved; }));
    CHECK(eventually([&] { return entry().kernel.lladdr == moved; }));
    if (options.trust == Trust::catalogue) return;
    // Its tail is to prove itself there, until somebody says so who counts generations.
    const std::uint64_t there = 0x02aaaaaaaaaa;
    CHECK(eventually([&] { return (want.stats->rumoured_at & 0xffff'ffff'ffff) == there; }));
    // An earlier headd had it proven there; or this one had, but it was back in between.
    CHECK(want.stats->must_prove() != proven_before);
    // Somebody says where it is: nobody connects unasked before nothing is sent elsewhere any more.
    want.claim.lladdr = Mac{0x02, 0xdd, 0xdd, 0xdd, 0xdd, 0xdd};
    ++want.claim.generation;
    keeper.want({want}, {});
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (want.stats->rumoured_at != 0 && std::chrono::steady_clock::now() < deadline) continue;
    std::vector<Neighbour> written;
    REQUIRE(!dump(written));
    CHECK(std::any_of(written.begin(), written.end(), [&](const Neighbour& one) {
      return one.key.address == address(5) && one.lladdr == want.claim.lladdr;
    }));
    want.claim.lladdr = moved;
    ++want.claim.generation;
    keeper.want({want}, {});
    CHECK(eventually([&] { return want.stats->rumoured_at == 0; }));
  });
}

TEST_CASE("an administrator's permanent entry is respected, though it was ours before",
          "[neigh][kernel]") {
  scratch::with_tail([](int, scratch::Tail& tail) {
    Reports reports;
    Keeper keeper(Options{});
    keeper.want({pinned(5, tail.lladdr())}, reports.ready());
    REQUIRE(reports.of("disc5").state == BindingState::held);
    sh("ip -6 neigh replace " + to_string(address(5)) +
       " lladdr 02:cc:cc:cc:cc:cc nud permanent dev head0");
    const Mac theirs{0x02, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc};
    CHECK(eventually(
        [&] { return keeper.snapshot().discs.at(0).status.state == BindingState::foreign; }));
    CHECK(keeper.snapshot().entries.at(0).kernel.lladdr == theirs);
    keeper.forget({"disc5"});
    CHECK(eventually([&] { return keeper.snapshot().entries.empty(); }));
    std::vector<Neighbour> all;
    REQUIRE(!dump(all));
    CHECK(std::any_of(all.begin(), all.end(),
                      [&](const Neighbour& one) { return one.lladdr == theirs; }));
  });
}
