// Asking ourselves whether a neighbour is where it is held to be.
#include "head/neigh/inquiry.hpp"
#include "head/neigh/ledger.hpp"
#include "head/neigh/solicitor.hpp"
#include "tests/numbered.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <functional>
#include <random>
#include <set>
#include <vector>

using namespace head::neigh;
using namespace netlink;
using tests::mac;
using namespace std::chrono_literals;

namespace {

const NeighbourKey key{3, tests::address(1)};
const Instant start = Instant(1h);

Binding told(unsigned lladdr, std::uint64_t generation) {
  return {.lladdr = mac(lladdr), .source = Source::operator_, .generation = generation};
}

// A ledger that asks, a kernel that follows whoever overrides, and hosts that have the address.
struct Segment {
  explicit Segment(std::uint64_t generation = 1, Trust trust = Trust::catalogue_unless_dead)
      : ledger([&] {
          Ledger::Tuning tuning;
          tuning.trust = trust;
          tuning.solicits = true;
          tuning.validated = GENERATE(true, false);
          return tuning;
        }()) {
    ledger.add(key, told(1, generation), now);
    ledger.observe(key, nullptr, now);
    carry_out();
    ledger.take_moved();
  }

  // An advertisement with the override flag.
  void override_by(unsigned lladdr) {
    if (entry.state == nud::permanent) return announce(lladdr);
    entry.lladdr = mac(lladdr);
    entry.state = nud::stale;
    exposed += entry.lladdr != mac(1);
    ledger.observe(key, &entry, now);
    carry_out();
  }
  void announce(unsigned lladdr) {
    ledger.claim(key, {.lladdr = mac(lladdr), .source = Source::announcement}, now);
    carry_out();
  }
  void pass(Instant::duration time) {
    for (const Instant end = now + time; now < end;) {
      const auto next = ledger.next(now);
      now = std::min(end, std::max(now, next.value_or(end)));
      carry_out();
      if (now == end) break;
    }
  }
  void carry_out() {
    for (int round = 0; round < 4; ++round) {
      const Due due = ledger.due(now);
      if (due.empty()) return;
      for (const Entry& write : due.write) {
        entry.key = key;
        entry.lladdr = write.lladdr;
        entry.state = write.state;
        entry.flags = ntf::ext_learned;
        entry.ext_flags = write.validated ? ntf::ext_validated : 0;
        entry.protocol = our_protocol;
        ledger.written(key);
      }
      for (const Solicitation& question : due.solicit) {
        if (unreachable) {
          ledger.unasked(question.who, now);
          continue;
        }
        questions.push_back(question);
        for (const unsigned host : hosts)
          if ((!question.at || question.at == mac(host)) && !loses()) answer(host);
      }
    }
  }
  // Overriding, as an answer is: the kernel hears it too.
  void answer(unsigned host) {
    if (entry.state != nud::permanent && entry.lladdr != mac(host)) {
      entry.lladdr = mac(host);
      entry.state = nud::reachable;
      ledger.observe(key, &entry, now);
    }
    ledger.heard(key, mac(host), now);
  }
  bool is_at(unsigned lladdr) const {
    return entry.lladdr == mac(lladdr) && ledger.find(key)->binding.lladdr == mac(lladdr);
  }
  void wait_long() {
    ledger.suspect(key, entry, now);
    carry_out();
  }

  Instant now = start;
  Ledger ledger;
  Neighbour entry;
  std::set<unsigned> hosts{1};
  std::vector<Solicitation> questions;
  bool unreachable = false;
  unsigned exposed = 0;
  std::function<bool()> loses = [] { return false; };
};

}  // namespace

TEST_CASE("whoever is held is asked first, and everybody where it does not answer", "[neigh]") {
  Inquiry inquiry(mac(1), Inquiry::Manner::held_first, start);
  Instant now = start;
  for (unsigned i = 0; i < 2 * Inquiry::times; ++i) {
    CHECK(inquiry.due() == now);
    CHECK(inquiry.finding(now) == Finding::open);
    CHECK(inquiry.whom() == (i < Inquiry::times ? std::optional(mac(1)) : std::nullopt));
    inquiry.asked(now);
    now += Inquiry::apart;
  }
  CHECK(inquiry.finding(now - 1ms) == Finding::open);
  CHECK(inquiry.finding(now) == Finding::nobody);
  inquiry.answered(mac(1), now);
  CHECK(inquiry.finding(now) == Finding::here);
}

TEST_CASE("somebody else counts only when who is held has been asked often enough", "[neigh]") {
  Inquiry inquiry(mac(1), Inquiry::Manner::held_first, start);
  inquiry.answered(mac(2), start);  // By nobody who was asked.
  CHECK_FALSE(inquiry.other());
  inquiry.asked(start);
  inquiry.answered(mac(2), start);
  CHECK(inquiry.finding(start + 100ms) == Finding::open);
  inquiry.asked(start + 50ms);
  inquiry.asked(start + 100ms);
  CHECK(inquiry.finding(start + 149ms) == Finding::open);
  SECTION("then it is there") {
    CHECK(inquiry.finding(start + 150ms) == Finding::elsewhere);
    CHECK(inquiry.other() == mac(2));
  }
  SECTION("unless that one answers at the last moment") {
    inquiry.answered(mac(1), start + 149ms);
    CHECK(inquiry.due() == start + 149ms);
    CHECK(inquiry.finding(start + 149ms) == Finding::here);
  }
  SECTION("unless answers were lost on our side") {
    inquiry.begin_anew(start + 149ms);
    CHECK(inquiry.finding(start + 150ms) == Finding::open);
    CHECK_FALSE(inquiry.other());
    CHECK(inquiry.whom() == mac(1));
  }
}

TEST_CASE("a question that could not be sent is none", "[neigh]") {
  Inquiry inquiry(mac(1), Inquiry::Manner::held_first, start);
  for (Instant now = start; now < start + 10s; now += Inquiry::again_if_unasked) {
    REQUIRE(inquiry.due() == now);
    inquiry.asked(now);
    inquiry.unasked(now);
    REQUIRE(inquiry.finding(now + 1s) == Finding::open);
    REQUIRE(inquiry.whom() == mac(1));
  }
}

TEST_CASE("our solicitation is as RFC 4861 has it, for one host or for all", "[neigh]") {
  const Ip6 who = *parse_ip6("fd00:3::7"), us = *parse_ip6("fd00:3::1");
  const auto packet = solicitation(who, {.address = us, .lladdr = mac(9)});
  CHECK(group_of(who) == Mac{0x33, 0x33, 0xff, 0x00, 0x00, 0x07});
  CHECK(packet[7] == std::byte{255});
  const auto at = [&](std::size_t where) {
    Ip6 found;
    std::memcpy(found.data(), &packet[where], found.size());
    return found;
  };
  CHECK(at(8) == us);
  CHECK(at(24) == *parse_ip6("ff02::1:ff00:7"));
  CHECK(packet[40] == std::byte{135});
  CHECK(at(48) == who);
  // Summed up with the pseudo-header, what is right gives nothing (RFC 1071).
  std::uint32_t sum = 32 + 58;
  for (std::size_t i = 8; i < packet.size(); i += 2)
    sum += std::to_integer<std::uint32_t>(packet[i]) << 8 |
           std::to_integer<std::uint32_t>(packet[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  CHECK(sum == 0xffff);
}

TEST_CASE("while a claim against a pin is looked into, no claim is of any consequence", "[neigh]") {
  Segment segment;
  segment.hosts = {1, 2};
  segment.override_by(2);
  CHECK(segment.is_at(1));
  CHECK(segment.entry.state == nud::permanent);
  CHECK(segment.questions == std::vector{Solicitation{key, mac(1)}});
  CHECK(segment.ledger.counters().refuted == 1);
  CHECK(segment.ledger.dispute(key)->claimed == mac(2));
  for (int i = 0; i < 5000; ++i) {  // A flood, for five seconds.
    segment.override_by(2);
    segment.pass(1ms);
    REQUIRE(segment.is_at(1));
  }
  CHECK(segment.exposed == 1);
  CHECK(segment.questions.size() <= 8);  // It is asked once a second.
  CHECK(segment.ledger.take_moved().empty());
  SECTION("nor when it has been held firm for long, and claims come still") {
    for (int i = 0; i < 200; ++i) {
      segment.override_by(2);
      segment.pass(500ms);
      REQUIRE(segment.is_at(1));
    }
    CHECK(segment.exposed == 1);
  }
  SECTION("afterwards it is as any other") {
    segment.pass(Ledger::firm_most + 1s);
    CHECK(segment.entry.state == nud::stale);
  }
}

TEST_CASE("a pin whose host is gone is followed, and soon", "[neigh]") {
  Segment segment;
  segment.hosts = {2};
  SECTION("when the new host overrides") {
    segment.override_by(2);
  }
  SECTION("when it only announces itself") {
    segment.announce(2);
  }
  SECTION("when nobody says anything, and a request waits") {
    segment.wait_long();
  }
  SECTION("though the old one still answered when the new one announced itself") {
    segment.hosts = {1, 2};
    segment.override_by(2);
    CHECK(segment.is_at(1));
    segment.hosts = {2};
    segment.pass(1s);
    segment.override_by(2);
  }
  segment.pass(149ms);
  CHECK(segment.is_at(1));
  segment.pass(60ms);
  CHECK(segment.is_at(2));
  segment.pass(10ms);
  CHECK(segment.ledger.take_moved() == std::vector{key});
  CHECK(segment.entry.state != nud::permanent);
}

TEST_CASE("where nobody can be asked, a pin stays where it was told to be", "[neigh]") {
  Segment segment;
  segment.hosts = {2};
  segment.unreachable = true;
  segment.override_by(2);
  segment.pass(1min);
  CHECK(segment.is_at(1));
  CHECK(segment.entry.state == nud::permanent);
  segment.unreachable = false;
  segment.pass(500ms);
  CHECK(segment.is_at(2));
}

TEST_CASE("where nobody answers, the kernel is left to ask", "[neigh]") {
  Segment segment;
  segment.hosts = {};
  segment.override_by(2);
  segment.pass(1s);
  CHECK(segment.is_at(1));
  CHECK(segment.entry.state == nud::stale);
  CHECK(segment.questions.size() == 2 * Inquiry::times);
}

TEST_CASE("answers that we could not hear are asked for again", "[neigh]") {
  Segment segment;
  segment.hosts = {1, 2};
  bool deaf = true;
  segment.loses = [&] { return deaf; };
  segment.override_by(2);
  for (int i = 0; i < 20; ++i) {
    segment.pass(100ms);
    segment.ledger.heard(key, mac(2), segment.now);
    segment.ledger.heard_too_little(segment.now);
    REQUIRE(segment.is_at(1));
  }
  deaf = false;
  segment.pass(100ms);
  CHECK(segment.is_at(1));
  CHECK(segment.ledger.counters().refuted == 1);
}

TEST_CASE("where the catalogue alone is believed, nobody is asked", "[neigh]") {
  Segment segment(1, Trust::catalogue);
  segment.hosts = {2};
  segment.override_by(2);
  segment.wait_long();
  segment.pass(1min);
  CHECK(segment.questions.empty());
  CHECK(segment.is_at(1));
}

TEST_CASE("an announcement of an address that is no pin is not followed while it is asked",
          "[neigh]") {
  Segment segment(0);
  segment.hosts = GENERATE(std::set<unsigned>{1, 2}, std::set<unsigned>{2});
  segment.announce(2);
  CHECK(segment.entry.state != nud::permanent);
  segment.pass(300ms);
  CHECK(segment.is_at(segment.hosts.contains(1) ? 1 : 2));
}

TEST_CASE("when one of a tail's discs is found elsewhere, the others are asked at once",
          "[neigh]") {
  Ledger::Tuning tuning;
  tuning.solicits = true;
  Ledger book(tuning);
  const auto at = [](unsigned number) { return NeighbourKey{3, tests::address(number)}; };
  for (unsigned i = 0; i < 6; ++i) {
    book.add(at(i), told(i < 5 ? 1 : 2, 0), start);
    book.observe(at(i), nullptr, start);
  }
  for (const Entry& write : book.due(start).write) book.written(write.key);
  Neighbour entry;
  entry.key = at(0);
  entry.protocol = our_protocol;
  entry.flags = ntf::ext_learned;
  SECTION("by us") {
    entry.lladdr = mac(1);
    entry.state = nud::stale;
    book.suspect(at(0), entry, start);
    Instant now = start;
    for (; now < start + 150ms; now += 1ms) {
      book.due(now);
      book.heard(at(0), mac(7), now);
    }
    CHECK_FALSE(book.due(now).empty());
  }
  SECTION("by the kernel, which asked") {
    entry.lladdr = mac(7);
    entry.state = nud::reachable;
    book.observe(at(0), &entry, start);
  }
  std::set<NeighbourKey> asked;
  for (Instant now = start; now < start + 400ms; now += 5ms)
    for (const Solicitation& question : book.due(now).solicit) asked.insert(question.who);
  asked.erase(at(0));
  CHECK(asked == std::set{at(1), at(2), at(3), at(4)});
}

TEST_CASE("a pin is never lost while its host answers one question of three", "[neigh][property]") {
  std::mt19937 random(GENERATE(range(1u, 21u)));
  const auto pick = [&](unsigned below) { return static_cast<unsigned>(random() % below); };
  Segment segment;
  segment.hosts = {1, 2, 3};
  unsigned in_a_row = 0;
  segment.loses = [&] {
    const bool lost = in_a_row < 2 && pick(2) == 0;
    in_a_row = lost ? in_a_row + 1 : 0;
    return lost;
  };
  // Only who is held is asked then, so that what is lost in a row is of one host.
  for (int i = 0; i < 400; ++i) {
    switch (pick(5)) {
      case 0:
        segment.override_by(2 + pick(2));
        break;
      case 1:
        segment.announce(2 + pick(2));
        break;
      case 2:
        segment.wait_long();
        break;
      case 3:  // Whoever is not asked answers all the same.
        segment.ledger.heard(key, mac(2 + pick(2)), segment.now);
        break;
      default:
        segment.pass(std::chrono::milliseconds(pick(pick(4) ? 80 : 20'000)));
    }
    REQUIRE(segment.ledger.find(key)->binding.lladdr == mac(1));
    REQUIRE(segment.entry.lladdr == mac(1));
  }
  CHECK(segment.ledger.take_moved().empty());
}
