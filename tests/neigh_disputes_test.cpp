// What the ledger holds to when it is told one thing and sees another, and who hears of it.
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

Neighbour ours(unsigned lladdr, std::uint16_t state = nud::stale) {
  Neighbour made;
  made.key = key;
  made.lladdr = mac(lladdr);
  made.state = state;
  made.flags = ntf::ext_learned;
  made.protocol = our_protocol;
  return made;
}

// No pins.
Ledger::Tuning on_the_wire() {
  Ledger::Tuning tuning;
  tuning.trust = Trust::wire;
  return tuning;
}

Ledger holding(const Binding& claim) {
  Ledger made{on_the_wire()};
  made.add(key, claim, start);
  made.observe(key, nullptr, start);
  REQUIRE(made.due(start).write.size() == 1);
  made.written(key);
  return made;
}

void see(Ledger& book, const Neighbour& entry, Instant now) {
  book.observe(key, &entry, now);
}

}  // namespace

TEST_CASE("a pin that was softened, and refutes a claim again, is softened again", "[neigh]") {
  const NeighbourKey other{3, tests::address(2)};
  Disputes disputes;
  const auto refute = [&](const NeighbourKey& which, Instant now, Instant::duration least) {
    disputes.challenge(which);
    CHECK(disputes.refute(which, now, least, 1h));
  };
  refute(other, start, 1s);
  refute(key, start, 10s);
  disputes.soften(key);
  CHECK(disputes.soften_late(start + 1s) == std::vector{other});
  refute(key, start + 2s, 10s);
  CHECK(disputes.is_firm(key));
  CHECK(disputes.next() == start + 10s);
  CHECK(disputes.soften_late(start + 10s) == std::vector{key});
}

TEST_CASE("a newer generation is not undone by the entry that it replaces", "[neigh]") {
  Ledger book = holding(told(1, 1));
  CHECK(book.claim(key, told(2, 2), start + 20s) == Ruling::moved);
  // Before it is written the kernel tells of the entry as it was.
  see(book, ours(1, GENERATE(nud::stale, nud::delay, nud::reachable)), start + 20s);
  CHECK(book.find(key)->binding == told(2, 2));
  CHECK(book.counters().conflicts == 0);
  const Due due = book.due(start + 21s);
  REQUIRE(due.write.size() == 1);
  CHECK(due.write[0].lladdr == mac(2));
  book.written(key);
  SECTION("but by whoever answers afterwards") {
    see(book, ours(1, nud::reachable), start + 22s);
    CHECK(book.find(key)->binding.lladdr == mac(1));
    CHECK(book.counters().conflicts == 1);
  }
}

TEST_CASE("after a restart a generation beats an entry that nobody answered for lately",
          "[neigh]") {
  Ledger book{on_the_wire()};
  SECTION("which is asked where the catalogue says") {
    book.add(key, told(2, 7), start);
    see(book, ours(1), start);
    CHECK(book.find(key)->binding.lladdr == mac(2));
    const Due due = book.due(start);
    REQUIRE(due.write.size() == 1);
    CHECK(due.write[0].lladdr == mac(2));
    CHECK(due.write[0].state == nud::probe);
  }
  SECTION("but not one that somebody answered for") {
    book.add(key, told(2, 7), start);
    see(book, ours(1, nud::reachable), start);
    CHECK(book.find(key)->binding.lladdr == mac(1));
  }
  SECTION("and without a generation the entry is right") {
    book.add(key, told(2), start);
    see(book, ours(1), start);
    CHECK(book.find(key)->binding.lladdr == mac(1));
  }
}

TEST_CASE("the last change of many is told when it is calm", "[neigh]") {
  Ledger book = holding(told(1));
  Instant now = start;
  for (unsigned i = 0; i < 50; ++i, now += 20ms) see(book, ours(i % 2 ? 1 : 2), now);
  book.take_moved();
  see(book, ours(3), now);
  REQUIRE(book.take_moved().empty());
  std::size_t told_of = 0;
  for (const Instant end = now + 3s; now < end; now += 10ms) {
    if (const auto next = book.next(now); next && *next <= now) book.due(now);
    told_of += book.take_moved().size();
  }
  CHECK(told_of == 1);
  CHECK(!book.next(now));
}

TEST_CASE("a contradiction is told of when it begins and when somebody answers", "[neigh]") {
  Ledger book = holding(told(1));
  see(book, ours(2), start + 1s);
  CHECK(book.take_contradicted() == std::vector{key});
  CHECK(!book.find(key)->answered);
  see(book, ours(2), start + 2s);
  CHECK(book.take_contradicted().empty());
  see(book, ours(2, nud::reachable), start + 3s);
  CHECK(book.take_contradicted() == std::vector{key});
  CHECK(book.find(key)->answered);
  CHECK(book.counters().settled == 0);
  SECTION("and settled by who says the same") {
    book.claim(key, told(2), start + 4s);
    CHECK(book.find(key)->told == mac(2));
  }
  SECTION("or by a newer generation") {
    book.claim(key, told(3, 1), start + 4s);
    CHECK(book.find(key)->binding == told(3, 1));
  }
  SECTION("or when it is where it was") {
    see(book, ours(1), start + 4s);
  }
  CHECK(book.counters().settled == 1);
  CHECK(book.take_contradicted().empty());
}

TEST_CASE("who was told nothing is not contradicted", "[neigh]") {
  Ledger book{Ledger::Tuning()};
  book.add(key, Binding(), start);
  see(book, ours(1, nud::reachable), start);
  see(book, ours(2, nud::reachable), start + 1s);
  CHECK(book.take_contradicted().empty());
}
