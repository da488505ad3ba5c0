// Asking ourselves whether a neighbour is where it is held to be.
#include "head/neigh/inquiry.hpp"
#include "head/neigh/solicitor.hpp"
#include "tests/neigh_ledger_parts.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

using namespace head::neigh;
using namespace netlink;
using tests::key;
using tests::mac;
using tests::start;
using tests::told;
using namespace std::chrono_literals;

namespace {

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
        tests::put(entry, write);
        ledger.written(key);
      }
      for (const Solicitation& question : due.solicit) {
        if (unreachable) {
          ledger.unasked(question, now);
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
    inquiry.begin_anew();
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
  CHECK(segment.questions.size() >= 5);  // It is asked once a second.
  CHECK(segment.questions.size() <= 8);
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
  segment.pass(1500ms);
  CHECK(segment.is_at(2));
}

TEST_CASE("where nobody answers, the kernel is left to ask", "[neigh]") {
  Segment segment;
  segment.hosts = {};
  segment.override_by(2);
  segment.pass(1s);
  CHECK(segment.is_at(1));
  CHECK(segment.entry.state == nud::stale);
  CHECK(segment.questions.size() == 2 * Inquiry::times + Silences::times);
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
    segment.ledger.heard_too_little();
    REQUIRE(segment.is_at(1));
  }
  deaf = false;
  segment.pass(100ms);
  CHECK(segment.is_at(1));
  CHECK(segment.ledger.counters().refuted == 1);
}

TEST_CASE("who keeps us from hearing answers does not get a pin, nor keeps it firm for ever",
          "[neigh]") {
  Segment segment;
  segment.hosts = {1, 2};
  segment.loses = [&] { return true; };
  segment.override_by(2);
  for (int i = 0; i < 100; ++i) {
    segment.pass(100ms);
    segment.ledger.heard(key, mac(2), segment.now);
    segment.ledger.heard_too_little();
    REQUIRE(segment.is_at(1));
  }
  CHECK(segment.entry.state == nud::stale);
}

TEST_CASE("where the catalogue alone is believed, nobody is asked where a disc is", "[neigh]") {
  Segment segment(1, Trust::catalogue);
  segment.hosts = {2};
  segment.override_by(2);
  segment.wait_long();
  segment.pass(1min);
  for (const Solicitation& question : segment.questions) CHECK(question.of_host);
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
  Instant now = start;
  SECTION("by us") {
    entry.lladdr = mac(1);
    entry.state = nud::stale;
    book.suspect(at(0), entry, start);
    for (; now < start + 150ms; now += 1ms) {
      book.due(now);
      book.heard(at(0), mac(7), now);
    }
  }
  SECTION("by the kernel, which asked") {
    entry.lladdr = mac(7);
    entry.state = nud::reachable;
    book.observe(at(0), &entry, start);
  }
  std::set<NeighbourKey> asked;
  for (const Instant end = now + 400ms; now < end; now += 5ms)
    for (const Solicitation& question : book.due(now).solicit)
      if (!question.at) asked.insert(question.who);
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

TEST_CASE("a host is silent when it answers for none of several, and until it answers", "[neigh]") {
  Silences silences;
  const Host host{3, mac(1)};
  Instant now = start;
  CHECK_FALSE(silences.due(now));
  silences.doubt(host, now);
  for (unsigned i = 0; i < Silences::times; ++i, now += Silences::apart) {
    const auto turn = silences.due(now);
    REQUIRE(turn);
    CHECK_FALSE(turn->fell_silent);
    silences.asked(host, tests::address(i), now);
    CHECK_FALSE(silences.due(now));
    CHECK_FALSE(silences.is_silent(host));
  }
  SECTION("it answers in time") {
    CHECK_FALSE(silences.end(host, now));
    CHECK_FALSE(silences.due(now + 1h));
    silences.doubt(host, now + Silences::ask_every - 1ms);
    CHECK_FALSE(silences.due(now + 1h));
    silences.doubt(host, now + Silences::ask_every);
    CHECK(silences.due(now + 1h));
  }
  SECTION("what was not sent is no question") {
    silences.unasked(host, now);
    const auto turn = silences.due(now + Silences::ask_every);
    REQUIRE(turn);
    CHECK_FALSE(turn->fell_silent);
  }
  SECTION("it does not") {
    const auto turn = silences.due(now);
    REQUIRE(turn);
    CHECK(turn->fell_silent);
    CHECK(silences.is_silent(host));
    CHECK(silences.count() == 1);
    // So many inquiries for its discs, and one question a second.
    unsigned inquiries = 0, questions = 0;
    for (const Instant end = now + 10s; now < end; now += 10ms) {
      inquiries += silences.take(host, now, now);
      const auto next = silences.due(now);
      if (!next) continue;
      CHECK_FALSE(next->fell_silent);
      silences.asked(host, next->asked_for, now);
      ++questions;
    }
    CHECK(inquiries >= 29);
    CHECK(inquiries <= 31);
    CHECK(questions == 9);
    CHECK(silences.end(host, now));
    CHECK_FALSE(silences.is_silent(host));
    CHECK(silences.take(host, now, now));
  }
}

namespace {

// Discs of one tail, before a kernel that asks by itself where entries that are used are not
// permanent.
struct Rack {
  explicit Rack(unsigned discs, std::uint64_t generation) : count(discs) {
    Ledger::Tuning tuning;
    tuning.solicits = true;
    tuning.quietens = true;
    ledger.emplace(tuning);
    for (unsigned i = 0; i < count; ++i) {
      ledger->add(at(i), told(1, generation), now);
      ledger->observe(at(i), nullptr, now);
    }
    carry_out();
  }
  static NeighbourKey at(unsigned number) { return {3, tests::address(number)}; }
  // Each waits for its tail, and says so.
  void suffer(Instant::duration time) {
    for (const Instant end = now + time; now < end; now += 20ms) {
      for (unsigned i = 0; i < count; ++i)
        if ((now - start) / 20ms % 25 == i % 25) ledger->suspect(at(i), entries[at(i)], now);
      carry_out();
    }
  }
  void carry_out() {
    for (int round = 0; round < 4; ++round) {
      const Due due = ledger->due(now);
      if (due.empty()) return;
      for (const Entry& write : due.write) {
        ++writes;
        Neighbour& entry = entries[write.key];
        tests::put(entry, write);
        ledger->written(write.key);
      }
      for (const Solicitation& question : due.solicit) {
        ++questions;
        const auto host = hosts.find(question.who);
        if (host == hosts.end()) continue;
        if (!question.at || question.at == mac(host->second))
          ledger->heard(question.who, mac(host->second), now);
      }
    }
  }
  unsigned in_state(std::uint16_t state, unsigned lladdr) const {
    return static_cast<unsigned>(
        std::count_if(entries.begin(), entries.end(), [&](const auto& one) {
          return one.second.state == state && one.second.lladdr == mac(lladdr);
        }));
  }

  unsigned count;
  Instant now = start;
  std::optional<Ledger> ledger;
  std::map<NeighbourKey, Neighbour> entries;
  std::map<NeighbourKey, unsigned> hosts;  // Who has which address now.
  unsigned questions = 0, writes = 0;
};

}  // namespace

TEST_CASE("a dead host costs a few questions a second, however many discs it had", "[neigh]") {
  const unsigned discs = GENERATE(1u, 20u, 2000u);
  const std::uint64_t generation = GENERATE(0u, 1u);
  Rack rack(discs, generation);
  rack.suffer(1s);
  CHECK(rack.in_state(nud::permanent, 1) == discs);  // The kernel does not ask.
  CHECK(rack.ledger->silent_hosts() == 1);
  CHECK(rack.ledger->take_silent_changed() == std::vector{Host{3, mac(1)}});
  CHECK(rack.questions <= 40);
  rack.questions = 0;
  rack.suffer(20s);
  CHECK(rack.questions <= 20 * 11);
  SECTION("until it answers for one of them") {
    for (unsigned i = 0; i < discs; ++i) rack.hosts[Rack::at(i)] = 1;
    rack.suffer(1100ms);
    rack.suffer(50ms);
    CHECK(rack.in_state(nud::stale, 1) == discs);
    CHECK(rack.ledger->silent_hosts() == 0);
    CHECK(rack.ledger->take_silent_changed() == std::vector{Host{3, mac(1)}});
  }
  SECTION("until a connection is opened") {
    rack.ledger->reached(Rack::at(0), start, rack.now);  // Long ago.
    CHECK(rack.ledger->silent_hosts() == 1);
    rack.ledger->reached(Rack::at(0), rack.now, rack.now);
    rack.carry_out();
    CHECK(rack.in_state(nud::stale, 1) == discs);
  }
  SECTION("until one of them is found elsewhere: then all are") {
    for (unsigned i = 0; i < discs; ++i) rack.hosts[Rack::at(i)] = 2;
    // So many at once; pins are asked for three times.
    rack.suffer(2s + discs * (generation == 0 ? 3ms : 8ms));
    CHECK(rack.in_state(nud::stale, 2) == discs);
  }
}

TEST_CASE("a host that has lost most of its discs is known by those that it has", "[neigh]") {
  Rack rack(200, 0);
  rack.hosts[Rack::at(77)] = 1;
  rack.suffer(30s);
  const unsigned writes = rack.writes;
  rack.suffer(30s);
  CHECK(rack.writes - writes <= 4 * 200);  // It is not doubted again and again.
}

TEST_CASE("an entry that is made permanent as nobody answers tells no disc to connect anew",
          "[neigh]") {
  Rack rack(20, 0);
  rack.suffer(1s);
  REQUIRE(rack.in_state(nud::permanent, 1) == 20);
  CHECK(rack.ledger->take_returned().empty());
  CHECK(rack.ledger->counters().repaired == 0);
  for (unsigned i = 0; i < 20; ++i) rack.hosts[Rack::at(i)] = 1;
  rack.suffer(1100ms);
  rack.suffer(50ms);
  CHECK(rack.ledger->take_returned().size() == 20);  // Now.
}

TEST_CASE("questions of a host that cannot be sent are no answers to an inquiry", "[neigh]") {
  Segment segment;
  segment.hosts = {};
  segment.override_by(2);
  segment.unreachable = true;
  segment.wait_long();
  segment.pass(10s);
  segment.ledger.heard(key, mac(2), segment.now);
  segment.unreachable = false;
  segment.hosts = {1};
  segment.pass(2s);
  CHECK(segment.is_at(1));
  CHECK(segment.ledger.counters().refuted == 1);
}

TEST_CASE("inquiries wait for their turn, but for urgent ones", "[neigh]") {
  Inquiries all;
  const auto at = [](unsigned i) { return NeighbourKey{3, tests::address(i)}; };
  for (unsigned i = 0; i < 100; ++i) CHECK(all.open(at(i), mac(1), Inquiry::Manner::once, start));
  const auto running = [&] {
    unsigned found = 0;
    for (unsigned i = 0; i < 200; ++i) found += all.change(at(i), [](Inquiry&) {});
    return found;
  };
  CHECK(running() == Inquiries::at_once);
  all.hurry(at(99), mac(1), Inquiry::Manner::held_first, start);
  all.hurry(at(150), mac(1), Inquiry::Manner::held_first, start);
  CHECK(running() == Inquiries::at_once + 2);
  all.close(at(99), start);
  CHECK(running() == Inquiries::at_once + 1);
  all.close(at(50), start);  // It waits.
  for (unsigned i = 0; i < 99; ++i) {
    const unsigned left = 98 - i - (i < 50);
    all.close(at(i), start);
    CHECK(running() == std::min<unsigned>(Inquiries::at_once, left) + 1);
  }
}

TEST_CASE("a disc that is nowhere does not make its host silent", "[neigh]") {
  Rack rack(10, 0);
  for (unsigned i = 1; i < 10; ++i) rack.hosts[Rack::at(i)] = 1;
  for (int i = 0; i < 500; ++i, rack.now += 20ms) {
    rack.ledger->suspect(Rack::at(0), rack.entries[Rack::at(0)], rack.now);
    rack.carry_out();
    REQUIRE(rack.ledger->silent_hosts() == 0);
    REQUIRE(rack.in_state(nud::stale, 1) == 10);
  }
  CHECK(rack.questions <= 60);  // In ten seconds, ever more rarely.
}
