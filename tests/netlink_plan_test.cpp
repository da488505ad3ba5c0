#include "netlink/format.hpp"
#include "tests/numbered.hpp"

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <map>
#include <random>

using namespace netlink;
using tests::mac;

namespace {

NeighbourKey key(unsigned number) {
  return {2, tests::address(number)};
}

Neighbour entry(unsigned number, unsigned lladdr, std::uint16_t state, std::uint8_t flags,
                std::uint8_t protocol) {
  Neighbour made;
  made.key = key(number);
  if (lladdr != 0) made.lladdr = mac(lladdr);
  made.state = state;
  made.flags = flags;
  made.protocol = protocol;
  return made;
}

Neighbour ours(unsigned number, unsigned lladdr, std::uint16_t state = nud::stale) {
  return entry(number, lladdr, state, ntf::ext_learned, our_protocol);
}

Verdict verdict(std::optional<Mac> wanted, const Neighbour& actual, bool validated = false) {
  return judge({key(1), wanted, validated}, &actual).verdict;
}

}  // namespace

TEST_CASE("one entry is judged", "[netlink]") {
  SECTION("nothing there") {
    CHECK(judge({key(1), mac(1)}, nullptr).verdict == Verdict::set);
    CHECK(judge({key(1), {}}, nullptr).verdict == Verdict::resolve);
  }
  SECTION("ours, as it should be, whatever state it lives in") {
    for (const auto state : {nud::stale, nud::reachable, nud::delay, nud::probe})
      CHECK(verdict(mac(1), ours(1, 1, state)) == Verdict::right);
  }
  SECTION("ours, but the wire says otherwise") {
    const Neighbour moved = ours(1, 9);
    CHECK(verdict(mac(1), moved) == Verdict::learned);
    CHECK(judge({key(1), mac(1)}, &moved).lladdr == mac(9));
    CHECK(!judge({key(1), mac(1)}, &moved).write);
    CHECK(verdict({}, moved) == Verdict::learned);
  }
  SECTION("ours, but somebody replaced it: that clears NTF_EXT_LEARNED") {
    const Neighbour replaced = entry(1, 9, nud::reachable, 0, our_protocol);
    CHECK(verdict(mac(1), replaced) == Verdict::set);
    CHECK(judge({key(1), mac(1)}, &replaced).lladdr == mac(1));
    // Permanent, it is theirs.
    CHECK(verdict(mac(9), entry(1, 9, nud::permanent, 0, our_protocol)) == Verdict::foreign);
  }
  SECTION("ours, and held firm") {
    const auto firm = [](unsigned lladdr, const Neighbour& actual) {
      return judge({.key = key(1), .lladdr = mac(lladdr), .validated = true, .firm = true},
                   &actual);
    };
    const Neighbour permanent = ours(1, 9, nud::permanent);
    CHECK(firm(9, permanent).verdict == Verdict::right);
    CHECK(firm(9, ours(1, 9)).verdict == Verdict::set);
    CHECK(firm(9, ours(1, 9)).state == nud::permanent);
    CHECK(firm(8, permanent).verdict == Verdict::set);  // Of an older word than that.
    CHECK(verdict(mac(9), permanent) == Verdict::set);  // Not any more.
    CHECK(verdict(mac(8), permanent) == Verdict::set);
    CHECK(verdict({}, permanent) == Verdict::learned);
  }
  SECTION("ours, but it does not answer") {
    CHECK(verdict(mac(1), ours(1, 0, nud::failed)) == Verdict::resolve);
    CHECK(verdict({}, ours(1, 0, nud::incomplete)) == Verdict::resolve);
  }
  SECTION("ours, without a mark that this kernel has") {
    CHECK(verdict(mac(1), ours(1, 1), true) == Verdict::set);
    Neighbour validated = ours(1, 1);
    validated.ext_flags = ntf::ext_validated;
    CHECK(verdict(mac(1), validated, true) == Verdict::right);
  }
  SECTION("learned by the kernel by itself") {
    CHECK(verdict(mac(1), entry(1, 1, nud::reachable, 0, 0)) == Verdict::set);
    CHECK(verdict({}, entry(1, 9, nud::stale, 0, 0)) == Verdict::learned);
    CHECK(verdict(mac(1), entry(1, 9, nud::reachable, 0, 0)) == Verdict::learned);
    const Neighbour rumour = entry(1, 9, nud::stale, 0, 0);
    CHECK(verdict(mac(1), rumour) == Verdict::set);
    CHECK(judge({key(1), mac(1)}, &rumour).state == nud::probe);
    CHECK(verdict(mac(1), entry(1, 0, nud::incomplete, 0, 0)) == Verdict::set);
    CHECK(verdict({}, entry(1, 0, nud::failed, 0, 0)) == Verdict::resolve);
  }
  SECTION("put there by somebody else") {
    CHECK(verdict(mac(1), entry(1, 9, nud::permanent, 0, 0)) == Verdict::foreign);
    CHECK(verdict(mac(1), entry(1, 9, nud::noarp, 0, 0)) == Verdict::foreign);
    CHECK(verdict(mac(1), entry(1, 1, nud::stale, ntf::ext_learned, 0)) == Verdict::foreign);
    CHECK(verdict(mac(1), entry(1, 1, nud::stale, ntf::ext_learned, 11)) == Verdict::foreign);
  }
}

TEST_CASE("a plan leaves other people's entries out", "[netlink]") {
  const std::vector<Desired> desired{{key(2), mac(2)}, {key(4), mac(4)}};
  const std::vector<Neighbour> actual{ours(1, 1), entry(3, 3, nud::reachable, 0, 0), ours(4, 4),
                                      ours(5, 5)};
  const Plan changes = plan(desired, actual);
  CHECK(changes.remove == std::vector{key(1), key(5)});
  CHECK(changes.set == std::vector<Entry>{{key(2), mac(2), nud::stale, false, true}});
  CHECK(changes.resolve.empty());
  CHECK(changes.foreign.empty());
}

TEST_CASE("a plan carried out leaves nothing to plan", "[netlink][property]") {
  const auto seed = GENERATE(range(0u, 500u));
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  const std::uint16_t states[] = {nud::incomplete, nud::reachable, nud::stale,    nud::delay,
                                  nud::probe,      nud::failed,    nud::permanent};
  const std::uint8_t protocols[] = {0, 0, 11, our_protocol, our_protocol, our_protocol};
  const bool validated = pick(2) == 0;
  std::map<NeighbourKey, Desired> want;
  std::map<NeighbourKey, Neighbour> have;
  for (int i = 0; i < 8; ++i) {
    const unsigned w = pick(6), h = pick(6);
    want[key(w)] = {key(w), pick(4) ? std::optional(mac(1 + pick(3))) : std::nullopt, validated};
    have[key(h)] =
        entry(h, 1 + pick(3), states[pick(7)], pick(2) ? ntf::ext_learned : 0, protocols[pick(6)]);
  }
  const auto listed = [](const auto& map) {
    std::vector<typename std::decay_t<decltype(map)>::mapped_type> all;
    for (const auto& [k, v] : map) all.push_back(v);
    return all;
  };
  const Plan changes = plan(listed(want), listed(have));
  for (const auto& k : changes.remove) {
    CHECK(have.at(k).ours());
    CHECK(!want.contains(k));
    have.erase(k);
  }
  for (const auto& learned : changes.learned) want.at(learned.key).lladdr = learned.lladdr;
  for (const auto& set : changes.set) {
    CHECK(set.lladdr == want.at(set.key).lladdr);
    CHECK((set.state == nud::stale || set.state == nud::probe));
    CHECK(set.fresh == !have.contains(set.key));
    Neighbour written = ours(0, 0, set.state);
    written.key = set.key;
    written.lladdr = set.lladdr;
    if (set.validated) written.ext_flags = ntf::ext_validated;
    have[set.key] = written;
  }
  for (const auto& [k, fresh, exempt] : changes.resolve) {
    CHECK(fresh == !have.contains(k));
    Neighbour answered = ours(0, 0, nud::reachable);
    answered.key = k;
    if (!want.at(k).lladdr) want.at(k).lladdr = mac(4);
    answered.lladdr = want.at(k).lladdr;
    if (validated) answered.ext_flags = ntf::ext_validated;
    have[k] = answered;
  }
  for (const auto& k : changes.foreign) CHECK(!have.at(k).ours());
  const Plan again = plan(listed(want), listed(have));
  CHECK(again.empty());
  CHECK(again.learned.empty());
}

TEST_CASE("addresses are told apart", "[netlink]") {
  CHECK(is_unicast(*parse_mac("52:54:00:12:34:56")));
  CHECK(!is_unicast(*parse_mac("00:00:00:00:00:00")));
  CHECK(!is_unicast(*parse_mac("ff:ff:ff:ff:ff:ff")));
  CHECK(!is_unicast(*parse_mac("33:33:00:00:00:01")));
  CHECK(is_multicast(*parse_ip6("ff02::1")));
  CHECK(!is_multicast(*parse_ip6("fe80::1")));
  CHECK(is_link_local(*parse_ip6("febf::1")));
  CHECK(!is_link_local(*parse_ip6("fec0::1")));
  CHECK(is_unspecified(*parse_ip6("::")));
}

TEST_CASE("addresses are written and read", "[netlink]") {
  CHECK(to_string(*parse_ip6("2001:0db8:0:0:0:0:0:1")) == "2001:db8::1");
  for (const char* good :
       {"::", "::1", "1::", "::2:0:0", "1:0:0:2::", "1::2:0:0:3", "1:0:2:0:3:0:4:0", "::1.2.3.4",
        "::ffff:1.2.3.4", "::ffff:0:102:304", "fe80::abcd:0:12:f", "1:2:3:4:5:6:7:8",
        "0:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:0", "::5:6:7:8"})
    CHECK(to_string(*parse_ip6(good)) == good);
  for (const auto* bad : {"", "1", "2001:db8::g", "::1%eth0", "[::1]", " ::1", "::1 ",
                          "1:2:3:4:5:6:7:8:9", "10.0.0.1"})
    CHECK(!parse_ip6(bad));
  CHECK(!parse_ip6(std::string_view("::1\0", 4)));
  CHECK(to_string(*parse_mac("52:54:00:AB:cd:0f")) == "52:54:00:ab:cd:0f");
  for (const auto* bad :
       {"", "52:54:00:12:34", "52:54:00:12:34:5", "52:54:00:12:34:567", "52-54-00-12-34-56",
        "52:54:00:12:34:5g", "+2:54:00:12:34:56", "0x:54:00:12:34:56"})
    CHECK(!parse_mac(bad));
}

TEST_CASE("neighbours are ordered by interface, then by address", "[netlink]") {
  std::mt19937 random(12);
  for (int i = 0; i < 20'000; ++i) {
    NeighbourKey a{static_cast<int>(random() % 2), {}};
    for (auto& byte : a.address) byte = static_cast<std::uint8_t>(random());
    NeighbourKey b = a;
    b.address[random() % 16] = static_cast<std::uint8_t>(random());
    b.address[random() % 16] = static_cast<std::uint8_t>(random());
    REQUIRE((a <=> b) == (a.address <=> b.address));
    REQUIRE((a == b) == (a.address == b.address));
    b.ifindex = 2;
    REQUIRE(a < b);
  }
}

TEST_CASE("an address is written as inet_ntop writes it", "[netlink]") {
  std::mt19937 random(11);
  for (int i = 0; i < 20'000; ++i) {
    Ip6 address;
    for (std::size_t word = 0; word < 8; ++word) {  // With many zeros, and some words of one digit.
      const auto value = random() % 3 == 0 ? random() : random() % 2 == 0 ? 0 : random() % 16;
      address[2 * word] = static_cast<std::uint8_t>(value >> 8);
      address[2 * word + 1] = static_cast<std::uint8_t>(value);
    }
    char text[INET6_ADDRSTRLEN];
    REQUIRE(to_string(address) == ::inet_ntop(AF_INET6, address.data(), text, sizeof text));
  }
}

TEST_CASE("an entry is one line, as ip has it", "[netlink]") {
  CHECK(to_line(ours(1, 1), "eth1") ==
        "2001:db8::1:0:1 dev eth1 lladdr 02:00:00:00:00:01 extern_learn proto 72 STALE");
  CHECK(to_line(entry(1, 0, nud::failed, ntf::router, 0), "eth1") ==
        "2001:db8::1:0:1 dev eth1 lladdr - router FAILED");
  CHECK(nud_name(nud::none) == "NONE");
  CHECK(nud_name(3) == "?");
}

TEST_CASE("what needs not be exempt is right without, and is not replaced for it", "[netlink]") {
  Neighbour plain = ours(1, 1);
  plain.flags = 0;
  const Desired wanted{.key = key(1), .lladdr = mac(1), .exempt = false};
  CHECK(judge(wanted, &plain).verdict == Verdict::right);
  CHECK(judge({.key = key(1), .lladdr = mac(1)}, &plain).verdict == Verdict::set);
  // An announcement is followed as it is of others.
  plain.lladdr = mac(2);
  CHECK(judge(wanted, &plain).verdict == Verdict::learned);
  const std::vector<Desired> desired{wanted};
  CHECK(!plan(desired, {}).set.at(0).exempt);
}
