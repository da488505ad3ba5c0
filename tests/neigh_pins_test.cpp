// What was told with a generation, and is contradicted on the wire.
#include "tests/neigh_ledger_parts.hpp"

#include <catch2/catch.hpp>

using namespace head::neigh;
using namespace netlink;
using tests::key;
using tests::mac;
using tests::start;
using tests::told;
using namespace std::chrono_literals;

namespace {

// A ledger with one hold, which was told to be at mac(1), and a kernel that has what it is told.
struct Book {
  explicit Book(Trust trust = Trust::catalogue_unless_dead, std::uint64_t generation = 1)
      : ledger([&] {
          Ledger::Tuning tuning;
          tuning.trust = trust;
          tuning.validated = GENERATE(false, true);
          return tuning;
        }()) {
    ledger.add(key, told(1, generation), now);
    ledger.observe(key, nullptr, now);
    carry_out();
    ledger.take_moved();
  }

  // The kernel has come to that by itself.
  void see(unsigned lladdr, std::uint16_t state) {
    entry.lladdr = mac(lladdr);
    entry.state = state;
    ledger.observe(key, &entry, now);
    carry_out();
  }
  void announce(unsigned lladdr) {
    ledger.claim(key, {.lladdr = mac(lladdr), .source = Source::announcement}, now);
    carry_out();
  }
  void pass(Instant::duration time) {
    now += time;
    carry_out();
  }
  void carry_out() {
    for (const Due due = ledger.due(now); const Entry& write : due.write) {
      tests::put(entry, write);
      ledger.written(key);
    }
  }
  bool is_at(unsigned lladdr) const {
    return entry.lladdr == mac(lladdr) && ledger.find(key)->binding.lladdr == mac(lladdr);
  }
  Mac claimed() const { return ledger.dispute(key)->claimed.value_or(Mac{}); }

  Instant now = start;
  Ledger ledger;
  Neighbour entry;
};

}  // namespace

TEST_CASE("who only claims a pinned address does not get it", "[neigh]") {
  Book book;
  book.see(2, GENERATE(nud::stale, nud::reachable));  // Who overrides; or was asked.
  CHECK(book.is_at(1));
  CHECK(book.entry.state == nud::probe);  // Is it there still?
  book.pass(1ms);
  book.see(1, nud::reachable);
  CHECK(book.is_at(1));
  CHECK(book.entry.state == nud::permanent);  // No claim is of any consequence for a while.
  CHECK(book.claimed() == mac(2));
  CHECK(book.ledger.counters().conflicts == 1);
  CHECK(book.ledger.counters().refuted == 1);
  CHECK(book.ledger.take_moved().empty());
  CHECK(book.ledger.take_contradicted() == std::vector{key});
  SECTION("as little as when it is announced again") {
    book.announce(3);
    CHECK(book.entry.state == nud::permanent);
    CHECK(book.claimed() == mac(3));
  }
  SECTION("and later it is as any other") {
    book.pass(Ledger::firm_least - 2ms);
    CHECK(book.entry.state == nud::permanent);
    for (int i = 0; i < 2; ++i) book.pass(20ms);
    CHECK(book.entry.state == nud::stale);
    book.see(2, nud::stale);
    book.see(1, nud::reachable);
    CHECK(book.entry.state == nud::permanent);
    book.pass(Ledger::firm_least + 20ms);
    CHECK(book.entry.state == nud::permanent);  // For longer.
    for (int i = 0; i < 2; ++i) book.pass(Ledger::firm_least);
    CHECK(book.entry.state == nud::stale);
  }
  SECTION("unless requests are long unanswered, and nobody is there") {
    book.pass(2s);
    book.ledger.doubt(key, book.entry, book.now);
    book.carry_out();
    CHECK(book.entry.state == nud::probe);
    book.pass(300ms);
    book.see(2, nud::reachable);
    CHECK(book.is_at(2));
    book.pass(10ms);
    CHECK(book.ledger.take_moved() == std::vector{key});
  }
}

TEST_CASE("a pinned address is followed when who was told does not answer", "[neigh]") {
  Book book;
  switch (GENERATE(0, 1, 2)) {
    case 0:  // After a claim.
      book.see(2, nud::stale);
      CHECK(book.is_at(1));
      book.pass(50ms);
      book.see(2, nud::reachable);  // It answers, too soon to be the only one.
      CHECK(book.is_at(1));
      book.pass(200ms);
      break;
    case 1:
      book.announce(2);
      CHECK(book.is_at(1));
      book.pass(200ms);
      break;
    case 2:  // The kernel asks by itself.
      book.see(1, nud::probe);
      book.pass(200ms);
      break;
  }
  book.see(2, nud::reachable);
  CHECK(book.is_at(2));
  book.pass(10ms);  // A mark that the question went without is written.
  CHECK(book.ledger.take_moved() == std::vector{key});
  CHECK(book.ledger.find(key)->told == mac(1));
  SECTION("and is again when that is back") {
    book.see(1, nud::reachable);
    CHECK(book.is_at(1));
    CHECK(book.ledger.counters().settled == 1);
  }
  SECTION("and pinned there when that is told") {
    book.ledger.claim(key, told(2, 2), book.now);
    book.carry_out();
    book.see(1, nud::stale);
    book.pass(10ms);
    CHECK(book.is_at(2));
  }
}

TEST_CASE("who was told and answers in time stays, however often another one claims it",
          "[neigh][property]") {
  Book book;
  for (unsigned i = 0; i < 500; ++i) {
    book.see(2, i % 2 ? nud::stale : nud::reachable);
    book.pass(std::chrono::milliseconds(i % 23));
    if (i % 5 == 0) book.see(1, nud::reachable);
    if (book.entry.lladdr != mac(1)) book.pass(10ms);  // It is undone so often.
    REQUIRE(book.is_at(1));
    if (i % 7 != 0) continue;
    book.see(1, nud::reachable);
    book.pass(Ledger::firm_most);
  }
  CHECK(book.ledger.take_moved().empty());
}

TEST_CASE("an older word does not loosen a pin", "[neigh]") {
  Book book;
  book.ledger.claim(key, told(2, GENERATE(0, 1)), book.now);
  CHECK(book.ledger.is_pinned(key));
  book.see(2, nud::reachable);
  CHECK(book.is_at(1));
}

TEST_CASE("who is told of anew has not been asked yet", "[neigh]") {
  Book book;
  book.see(1, nud::probe);
  book.pass(1min);  // In vain.
  book.ledger.claim(key, told(2, 2), book.now);
  book.carry_out();
  book.pass(10ms);
  book.see(3, nud::reachable);
  CHECK(book.is_at(2));
  CHECK(book.entry.state == nud::probe);
}

TEST_CASE("a claim that comes right behind the answer changes nothing", "[neigh]") {
  Book book;
  book.see(2, nud::stale);
  book.pass(5ms);
  // Before anything is written.
  book.entry.lladdr = mac(1);
  book.entry.state = nud::reachable;
  book.ledger.observe(key, &book.entry, book.now);
  book.see(2, nud::stale);
  CHECK(book.is_at(1));
  CHECK(book.entry.state == nud::permanent);
}

TEST_CASE("a question that is under way is not cut short by a look", "[neigh]") {
  Book book;
  book.see(2, nud::stale);
  CHECK(book.entry.state == nud::probe);
  // A second notice of that claim: what it finds there is what we wrote.
  book.pass(4ms);
  book.see(1, nud::probe);
  for (int i = 0; i < 3; ++i) book.pass(10ms);
  CHECK(book.entry.state == nud::probe);
}

TEST_CASE("a question that claims cut short is no question", "[neigh]") {
  Book book;
  for (int i = 0; i < 50; ++i) {
    book.see(2, nud::reachable);
    book.pass(10ms);
    REQUIRE(book.is_at(1));
  }
}

TEST_CASE("the catalogue's word alone, where that is wanted", "[neigh]") {
  Book book(Trust::catalogue);
  CHECK(book.entry.state == nud::permanent);
  book.announce(2);
  book.pass(1s);
  book.see(2, nud::reachable);
  book.pass(10ms);
  CHECK(book.is_at(1));
  CHECK(book.entry.state == nud::permanent);
  CHECK(book.claimed() == mac(2));
  book.pass(1h);
  book.ledger.doubt(key, book.entry, book.now);
  book.carry_out();
  CHECK(book.entry.state == nud::permanent);
  book.ledger.claim(key, told(2, 2), book.now);
  book.carry_out();
  CHECK(book.is_at(2));
  CHECK(book.entry.state == nud::permanent);
}

TEST_CASE("without a generation, or where the wire is trusted, the wire is followed", "[neigh]") {
  const bool trusted = GENERATE(false, true);
  Book book(trusted ? Trust::wire : Trust::catalogue, trusted ? 1 : 0);
  CHECK(book.entry.state == nud::stale);
  book.see(2, nud::stale);
  CHECK(book.is_at(2));
  CHECK(book.ledger.take_moved() == std::vector{key});
}

TEST_CASE("pins are of the networks that are named", "[neigh]") {
  Ledger::Tuning tuning;
  tuning.trust = Trust::catalogue;
  tuning.trust_prefixes = {*parse_prefix("2001:db8:ffff::/48")};
  Ledger book(tuning);
  const NeighbourKey there{3, *parse_ip6("2001:db8:ffff::1")}, elsewhere{3, *parse_ip6("fd00::1")};
  for (const NeighbourKey& one : {there, elsewhere}) {
    book.add(one, told(1, 1), start);
    book.observe(one, nullptr, start);
  }
  for (const Entry& entry : book.due(start).write)
    CHECK((entry.state == nud::permanent) == (entry.key == there));
  CHECK(book.is_firm(there));
  CHECK_FALSE(book.is_firm(elsewhere));
  CHECK(book.is_pinned(elsewhere));
}

TEST_CASE("a pin is not held firm where it could not be told from an administrator's entry",
          "[neigh]") {
  Ledger::Tuning tuning;
  tuning.exempt = false;
  Ledger book(tuning);
  book.add(key, told(1, 1), start);
  book.observe(key, nullptr, start);
  CHECK(book.due(start).write.at(0).state == nud::stale);
  book.written(key);
  Neighbour entry;
  entry.key = key;
  entry.lladdr = mac(2);
  entry.state = nud::stale;
  entry.protocol = our_protocol;
  book.observe(key, &entry, start + 1s);
  const auto asked = book.due(start + 1s).write;
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].lladdr == mac(1));
  CHECK(asked[0].state == nud::probe);
  book.written(key);
  entry.lladdr = mac(1);
  entry.state = nud::reachable;
  book.observe(key, &entry, start + 1s + 1ms);
  CHECK(book.due(start + 3s).write.empty());
}
