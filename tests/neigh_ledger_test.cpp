#include "head/neigh/ledger.hpp"
#include "tests/numbered.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <map>
#include <random>

using namespace head::neigh;
using namespace netlink;
using tests::mac;
using namespace std::chrono_literals;

namespace {

NeighbourKey key(unsigned number) {
  return {3, tests::address(number)};
}

Neighbour ours(unsigned number, unsigned lladdr, std::uint16_t state = nud::stale) {
  Neighbour made;
  made.key = key(number);
  made.lladdr = mac(lladdr);
  made.state = state;
  made.flags = ntf::ext_learned;
  made.protocol = our_protocol;
  return made;
}

Neighbour unanswered(unsigned number, std::uint16_t state) {
  Neighbour made = ours(number, 0, state);
  made.lladdr.reset();
  return made;
}

const Instant start = Instant(1h);

Binding told(const Mac& lladdr, std::uint64_t generation = 0) {
  return {.lladdr = lladdr, .source = Source::operator_, .generation = generation};
}

Ledger ledger() {
  return Ledger(Ledger::Tuning());
}

void carry_out(Ledger& book, const Due& due) {
  for (const Entry& entry : due.write) book.written(entry.key);
  for (const Question& question : due.resolve) book.written(question.key);
}

// One hold with its entry in the table.
Ledger holding(unsigned number, unsigned lladdr) {
  Ledger made = ledger();
  made.add(key(number), told(mac(lladdr)), start);
  made.observe(key(number), nullptr, start);
  REQUIRE(made.due(start).write.size() == 1);
  made.written(key(number));
  return made;
}

}  // namespace

TEST_CASE("a wanted neighbour is written at once, as STALE", "[neigh]") {
  Ledger book = ledger();
  CHECK(book.add(key(1), told(mac(1)), start));
  CHECK(!book.add(key(1), told(mac(1)), start));
  book.observe(key(1), nullptr, start);
  CHECK(book.next(start) == start);
  const Due due = book.due(start);
  REQUIRE(due.write.size() == 1);
  CHECK(due.write[0] == Entry{key(1), mac(1), nud::stale, false, true});
  CHECK(book.take_settled().empty());
  book.written(key(1));
  CHECK(book.take_settled() == std::vector{key(1)});
  CHECK(book.due(start).empty());
  CHECK(!book.next(start));
  CHECK(book.counters().installed == 1);
}

TEST_CASE("entries of ours are counted whatever their state, and before they are known",
          "[neigh]") {
  struct Case {
    std::optional<Neighbour> there;
    bool known, asked;
    std::size_t expected;
  };
  Neighbour theirs = ours(1, 1);  // As a run without the keeper leaves it.
  theirs.protocol = 0;
  theirs.flags = 0;
  const Case each = GENERATE_COPY(values<Case>({
      {std::nullopt, true, false, 0},
      {std::nullopt, false, false, 0},
      {std::nullopt, true, true, 1},
      {std::nullopt, false, true, 1},
      {ours(1, 1), true, false, 1},
      {theirs, true, false, 1},
      {unanswered(1, nud::incomplete), false, false, 1},
      {unanswered(1, nud::failed), true, false, 1},
  }));
  CAPTURE(each.there.has_value(), each.known, each.asked);
  Ledger book = ledger();
  book.add(key(1), each.known ? told(mac(1)) : Binding(), start);
  book.observe(key(1), each.there ? &*each.there : nullptr, start);
  if (each.asked) carry_out(book, book.due(start));
  CHECK(book.entries() == each.expected);
}

TEST_CASE("an entry that is there already is adopted without a write", "[neigh]") {
  Ledger book = ledger();
  book.add(key(1), told(mac(1)), start);
  const Neighbour there = ours(1, 1, nud::reachable);
  book.observe(key(1), &there, start);
  CHECK(book.take_settled() == std::vector{key(1)});
  CHECK(book.due(start).empty());
}

TEST_CASE("entries are validated until that is forgone", "[neigh]") {
  Ledger::Tuning tuning;
  tuning.validated = true;
  Ledger book(tuning);
  book.add(key(1), told(mac(1)), start);
  book.observe(key(1), nullptr, start);
  CHECK(book.due(start).write.at(0).validated);
  book.forgo_validated();
  book.add(key(2), told(mac(2)), start);
  book.observe(key(2), nullptr, start);
  CHECK(!book.due(start).write.at(0).validated);
}

TEST_CASE("what breaks an entry is repaired after the coalescing time", "[neigh]") {
  Ledger book = holding(1, 1);
  book.observe(key(1), nullptr, start + 1s);
  CHECK(book.due(start + 1s).empty());
  CHECK(book.next(start + 1s) == start + 1s + 2ms);
  CHECK(book.due(start + 1s + 2ms).write.size() == 1);
  book.written(key(1));
  CHECK(book.counters().repaired == 1);
  CHECK(book.counters().installed == 1);
}

TEST_CASE("somebody who keeps undoing our work is answered ever more slowly", "[neigh]") {
  Ledger book = holding(1, 1);
  Instant now = start;
  std::chrono::nanoseconds before{0};
  for (int i = 0; i < 12; ++i) {
    book.observe(key(1), nullptr, now);
    const auto wait = *book.next(now) - now;
    CHECK(wait >= before);
    CHECK(wait <= 1s);
    before = wait;
    now += wait;
    REQUIRE(book.due(now).write.size() == 1);
    book.written(key(1));
  }
  CHECK(before == 1s);
  book.observe(key(1), nullptr, now + 1min);
  CHECK(*book.next(now + 1min) == now + 1min + 2ms);
}

TEST_CASE("the wire beats what was told, and is not undone", "[neigh]") {
  Ledger book = holding(1, 1);
  const Neighbour moved = ours(1, 9);
  book.observe(key(1), &moved, start);
  CHECK(book.due(start + 1s).empty());
  CHECK(book.find(key(1))->binding.lladdr == mac(9));
  CHECK(book.find(key(1))->binding.source == Source::wire);
  CHECK(book.counters().conflicts == 1);
  SECTION("and it is what a repair restores") {
    book.observe(key(1), nullptr, start);
    const Due due = book.due(start + 1s);
    REQUIRE(due.write.size() == 1);
    CHECK(due.write[0].lladdr == mac(9));
  }
  SECTION("until the caller says something newer") {
    CHECK(book.claim(key(1), told(mac(5), 1), start) == Ruling::moved);
    const Due due = book.due(start);
    REQUIRE(due.write.size() == 1);
    CHECK(due.write[0].lladdr == mac(5));
  }
}

TEST_CASE("an old entry that contradicts the catalogue is kept, and verified", "[neigh]") {
  Ledger book = ledger();
  book.add(key(1), told(mac(1)), start);
  const Neighbour there = ours(1, 9);
  book.observe(key(1), &there, start);
  const Due due = book.due(start);
  REQUIRE(due.write.size() == 1);
  CHECK(due.write[0] == Entry{key(1), mac(9), nud::probe, false});
}

TEST_CASE("a neighbour that nobody knows is asked for, again and again, ever more slowly",
          "[neigh]") {
  Ledger book = ledger();
  book.add(key(1), Binding(), start);
  book.observe(key(1), nullptr, start);
  Instant now = start;
  std::chrono::nanoseconds last{0};
  for (int i = 0; i < 10; ++i) {
    const Due due = book.due(now);
    REQUIRE(due.resolve == std::vector{Question{key(1), i == 0}});
    CHECK(due.write.empty());
    carry_out(book, due);
    const Neighbour failed = unanswered(1, nud::failed);
    book.observe(key(1), &failed, now + 300ms);
    last = *book.next(now + 300ms) - (now + 300ms);
    CHECK(last <= 5s);
    now += 300ms + last;
  }
  CHECK(last > 4s);
  CHECK(book.counters().resolutions == 10);
  CHECK(book.take_settled().empty());
  SECTION("and kept when it answers") {
    const Neighbour answer = ours(1, 4, nud::reachable);
    book.observe(key(1), &answer, now);
    CHECK(book.take_settled() == std::vector{key(1)});
    CHECK(book.find(key(1))->binding.lladdr == mac(4));
    CHECK(book.counters().conflicts == 0);
    CHECK(!book.next(now));
  }
}

TEST_CASE("the end of a question that is never told is found out by asking again", "[neigh]") {
  Ledger book = ledger();
  book.add(key(1), Binding(), start);
  book.observe(key(1), nullptr, start);
  REQUIRE(book.due(start).resolve.size() == 1);
  CHECK(book.due(start + 900ms).empty());
  CHECK(book.due(start + 1100ms).resolve.size() == 1);
}

TEST_CASE("a known neighbour that stops answering is probed at its address", "[neigh]") {
  Ledger book = holding(1, 1);
  const Neighbour failed = unanswered(1, nud::failed);
  book.observe(key(1), &failed, start);
  const Due due = book.due(start);
  REQUIRE(due.write.size() == 1);
  CHECK(due.write[0] == Entry{key(1), mac(1), nud::probe, false});
  CHECK(due.resolve.empty());
  CHECK(book.counters().failures == 1);
  book.take_settled();
  book.written(key(1));
  const Neighbour probed = ours(1, 1, nud::probe);
  book.observe(key(1), &probed, start);
  CHECK(book.find(key(1))->phase == Phase::failed);
  CHECK(book.take_settled().empty());
  const Neighbour answer = ours(1, 1, nud::reachable);
  book.observe(key(1), &answer, start);
  CHECK(book.find(key(1))->phase == Phase::held);
  CHECK(book.take_settled() == std::vector{key(1)});
}

TEST_CASE("an entry that is doubted is probed, and not again for seconds", "[neigh]") {
  Ledger book = holding(1, 1);
  Neighbour entry = ours(1, 1, nud::reachable);
  SECTION("as it is, its phase included") {
    entry.state = GENERATE(nud::reachable, nud::stale, nud::delay);
    book.doubt(key(1), entry, start);
    CHECK(book.next(start) == start);
    const Due due = book.due(start);
    REQUIRE(due.write.size() == 1);
    CHECK(due.write[0].state == nud::probe);
    CHECK(due.write[0].lladdr == mac(1));
    CHECK(!due.write[0].fresh);
    carry_out(book, due);
    CHECK(book.find(key(1))->phase == Phase::held);
    CHECK(book.find(key(1))->repairs == 0);
    book.doubt(key(1), entry, start + 4s);
    CHECK(book.due(start + 4s).empty());
    book.doubt(key(1), entry, start + 5s);
    CHECK(book.due(start + 5s).write.size() == 1);
  }
  SECTION("unless it is probed already, somebody else's, or not what is held") {
    entry.state = nud::probe;
    book.doubt(key(1), entry, start);
    entry = ours(1, 2, nud::reachable);
    book.doubt(key(1), entry, start);
    entry = ours(1, 1, nud::reachable);
    entry.protocol = 0;
    book.doubt(key(1), entry, start);
    book.doubt(key(7), ours(7, 7, nud::reachable), start);
    CHECK(book.due(start).empty());
  }
  SECTION("unless nobody needs it any more") {
    book.doubt(key(1), entry, start);
    book.release(key(1));
    CHECK(book.due(start).write.empty());
  }
}

TEST_CASE("questions are paced, and writes with them are not", "[neigh]") {
  Ledger::Tuning tuning;
  tuning.resolutions = Pacer(100, 10);
  Ledger book(tuning);
  for (unsigned i = 0; i < 100; ++i) {
    book.add(key(i), i < 50 ? Binding() : told(mac(i)), start);
    book.observe(key(i), nullptr, start);
  }
  Due due = book.due(start);
  CHECK(due.write.size() == 50);
  CHECK(due.resolve.size() == 10);
  CHECK(book.next(start) == start + 10ms);
  CHECK(book.due(start + 9ms).resolve.empty());
  CHECK(book.due(start + 10ms).resolve.size() == 1);
}

TEST_CASE("probes of doubted entries are paced, first come first served", "[neigh]") {
  Ledger::Tuning tuning;
  tuning.resolutions = Pacer(1, 1);
  Ledger book(tuning);
  for (unsigned i = 0; i < 2; ++i) {
    book.add(key(i), told(mac(i)), start);
    book.observe(key(i), nullptr, start);
  }
  carry_out(book, book.due(start));
  const auto probed = [&](Instant now) {
    for (unsigned i = 0; i < 2; ++i) book.doubt(key(i), ours(i, i, nud::reachable), now);
    const Due due = book.due(now);
    REQUIRE(due.write.size() == 1);
    return due.write[0].key;
  };
  CHECK(probed(start) == key(0));
  CHECK(book.next(start) == start + 1s);
  CHECK(probed(start + 6s) == key(1));  // Though the first is in doubt again.
  CHECK(probed(start + 7s) == key(0));
}

TEST_CASE("a neighbour is removed with its last user", "[neigh]") {
  Ledger book = holding(1, 1);
  book.add(key(1), told(mac(1)), start);
  book.release(key(1));
  CHECK(book.due(start).empty());
  book.release(key(1));
  CHECK(book.due(start).remove == std::vector{key(1)});
  CHECK(book.find(key(1)) == nullptr);
  book.release(key(1));
  CHECK(book.due(start).empty());

  SECTION("unless somebody wants it again") {
    book.remove(key(2));
    book.add(key(2), told(mac(2)), start);
    CHECK(book.due(start).remove.empty());
  }
}

TEST_CASE("somebody else's entry is neither written nor removed", "[neigh]") {
  Ledger book = ledger();
  book.add(key(1), told(mac(1)), start);
  Neighbour theirs = ours(1, 7, nud::permanent);
  theirs.protocol = 0;
  theirs.flags = 0;
  book.observe(key(1), &theirs, start);
  CHECK(book.take_settled() == std::vector{key(1)});
  CHECK(book.due(start).empty());
  book.release(key(1));
  CHECK(book.due(start).empty());
}

TEST_CASE("a write that the kernel refuses is tried again later", "[neigh]") {
  Ledger book = ledger();
  book.add(key(1), told(mac(1)), start);
  book.observe(key(1), nullptr, start);
  REQUIRE(book.due(start).write.size() == 1);
  book.refused(key(1), ENOBUFS, start);
  CHECK(book.find(key(1))->error == ENOBUFS);
  CHECK(book.due(start).empty());
  CHECK(book.due(start + 1s).write.size() == 1);
  book.written(key(1));
  CHECK(book.find(key(1))->error == 0);
}

TEST_CASE("what was made where nothing was is judged again before it is written again", "[neigh]") {
  Ledger book = ledger();
  book.add(key(1), told(mac(1)), start);
  book.observe(key(1), nullptr, start);
  REQUIRE(book.due(start).write.at(0).fresh);
  SECTION("somebody's own stays") {
    Neighbour theirs = ours(1, 7, nud::permanent);
    theirs.protocol = 0;
    book.contested(key(1), &theirs, start);
    CHECK(book.due(start + 1min).empty());
    CHECK(book.take_settled() == std::vector{key(1)});
    CHECK(book.find(key(1))->phase == Phase::foreign);
    CHECK(book.counters().installed == 0);
  }
  SECTION("what the kernel began to resolve by itself is replaced") {
    Neighbour asked = unanswered(1, nud::incomplete);
    asked.protocol = 0;
    asked.flags = 0;
    book.contested(key(1), &asked, start);
    CHECK(book.due(start).empty());
    CHECK(book.due(start + 1s).write.at(0) == Entry{key(1), mac(1)});
  }
  SECTION("what went again is made again, ever more slowly") {
    Instant now = start;
    for (int i = 0; i < 12; ++i) {
      book.contested(key(1), nullptr, now);
      now = *book.next(now);
      REQUIRE(book.due(now).write.at(0).fresh);
    }
    book.contested(key(1), nullptr, now);
    CHECK(*book.next(now) == now + 1s);
  }
}

TEST_CASE("a write that is not permitted keeps nobody waiting, and is seldom tried", "[neigh]") {
  Ledger book = ledger();
  const bool known = GENERATE(true, false);
  book.add(key(1), known ? told(mac(1)) : Binding(), start);
  book.observe(key(1), nullptr, start);
  Instant now = start;
  for (int i = 0; i < 3; ++i) {
    const Due due = book.due(now);
    REQUIRE(due.write.size() + due.resolve.size() == 1);
    book.refused(key(1), EPERM, now);
    const std::vector<NeighbourKey> once{key(1)};
    CHECK(book.take_settled() == (i == 0 ? once : std::vector<NeighbourKey>()));
    CHECK(book.due(now + 9s).empty());
    now += 10s;
  }
  const Due due = book.due(now);
  carry_out(book, due);
  CHECK(book.find(key(1))->error == 0);
  if (known) CHECK(book.take_settled() == std::vector{key(1)});
}

// The ledger against a table that others delete from, replace in, and that the wire speaks to.
TEST_CASE("whatever happens to the table, it ends as wanted and others' entries stay",
          "[neigh][property]") {
  const auto seed = GENERATE(range(0u, 300u));
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  Ledger book = ledger();
  std::map<NeighbourKey, Neighbour> table;
  std::map<NeighbourKey, Neighbour> others;
  Instant now = start;

  const auto tell = [&](const NeighbourKey& about) {
    const auto found = table.find(about);
    book.observe(about, found == table.end() ? nullptr : &found->second, now);
  };
  const auto carry_out = [&] {
    const Due due = book.due(now);
    for (const auto& gone : due.remove) {
      // As the keeper does: what became somebody else's since is not removed.
      if (!others.contains(gone)) table.erase(gone);
    }
    for (const auto& entry : due.write) {
      if (entry.fresh && table.contains(entry.key)) {
        book.contested(entry.key, &table.at(entry.key), now);
        continue;
      }
      REQUIRE(!others.contains(entry.key));
      if (pick(10) == 0) {
        book.refused(entry.key, ENOBUFS, now);
        continue;
      }
      Neighbour written = ours(0, 0, entry.state);
      written.key = entry.key;
      written.lladdr = entry.lladdr;
      table[entry.key] = written;
      book.written(entry.key);
    }
    for (const auto& [asked, fresh, exempt] : due.resolve) {
      if (fresh && table.contains(asked)) {
        book.contested(asked, &table.at(asked), now);
        continue;
      }
      REQUIRE(!others.contains(asked));
      const unsigned number = asked.address[15];
      table[asked] =
          pick(2) ? ours(number, number, nud::reachable) : unanswered(number, nud::failed);
      book.written(asked);
      tell(asked);
    }
  };

  for (int step = 0; step < 200; ++step) {
    const unsigned number = pick(8);
    switch (pick(7)) {
      case 0:
        book.add(key(number), pick(2) ? told(mac(number)) : Binding(), now);
        tell(key(number));
        break;
      case 1:
        book.release(key(number));
        break;
      case 2:
        if (!others.contains(key(number))) table.erase(key(number));
        tell(key(number));
        break;
      case 3:
        if (const auto found = table.find(key(number));
            found != table.end() && found->second.ours()) {
          found->second.flags = 0;
          found->second.lladdr = mac(200);
          tell(key(number));
        }
        break;
      case 4:
        if (const auto found = table.find(key(number));
            found != table.end() && found->second.usable() && found->second.ours()) {
          found->second.lladdr = mac(100 + pick(3));
          tell(key(number));
        }
        break;
      case 5:
        // The ledger is not told: it finds out when it writes.
        if (!table.contains(key(number))) {
          others[key(number)] = ours(number, 77, nud::permanent);
          others[key(number)].protocol = 0;
          table[key(number)] = others[key(number)];
        }
        break;
      case 6:
        now += std::chrono::milliseconds(pick(50));
        break;
    }
    if (pick(3) == 0) carry_out();
  }
  // Quiet from here on: two minutes, and a reconciliation.
  for (int second = 0; second < 120; ++second) {
    now += 1s;
    carry_out();
  }
  std::vector<Neighbour> all;
  for (const auto& [where, entry] : table) all.push_back(entry);
  book.settle(all, now);
  for (int second = 0; second < 120; ++second) {
    now += 1s;
    carry_out();
  }
  for (const auto& [where, entry] : others)
    CHECK((table.contains(where) && table.at(where).lladdr == mac(77)));
  for (const auto& [where, hold] : book.holds()) {
    REQUIRE(table.contains(where));
    CHECK(table.at(where).usable());
    if (!others.contains(where)) CHECK(table.at(where).ours());
    if (!others.contains(where)) CHECK(table.at(where).lladdr == hold.binding.lladdr);
  }
  for (const auto& [where, entry] : table)
    if (!others.contains(where)) CHECK(book.find(where) != nullptr);
}

TEST_CASE("discs are told when their neighbour moved, once it is written", "[neigh]") {
  Ledger book = holding(1, 1);
  book.take_moved();
  SECTION("by word of an operator") {
    CHECK(book.claim(key(1), told(mac(2), 1), start) == Ruling::moved);
    CHECK(book.take_moved().empty());
    REQUIRE(book.due(start).write == std::vector{Entry{key(1), mac(2), nud::stale, false, false}});
    book.written(key(1));
    CHECK(book.take_moved() == std::vector{key(1)});
    CHECK(book.counters().conflicts == 0);
    SECTION("whose older word is a conflict, and changes nothing") {
      CHECK(book.claim(key(1), told(mac(3), 1), start) == Ruling::overruled);
      CHECK(book.due(start + 10s).empty());
      CHECK(book.take_moved().empty());
      CHECK(book.counters().conflicts == 1);
      CHECK(book.find(key(1))->told == mac(2));
      CHECK(book.find(key(1))->binding.lladdr == mac(2));
    }
  }
  SECTION("as the wire says") {
    const Neighbour moved = ours(1, 9);
    book.observe(key(1), &moved, start);
    CHECK(book.take_moved() == std::vector{key(1)});
    CHECK(book.due(start + 10s).empty());
  }
  SECTION("as was announced, once who was there does not answer") {
    const Binding announced{.lladdr = mac(7), .source = Source::announcement, .generation = 0};
    CHECK(book.claim(key(1), announced, start) == Ruling::overruled);
    CHECK(book.dispute(key(1))->claimed == mac(7));
    REQUIRE(book.due(start).write == std::vector{Entry{key(1), mac(1), nud::probe, false, false}});
    book.written(key(1));
    CHECK(book.take_moved().empty());
    const Neighbour there = ours(1, 7, nud::reachable);
    book.observe(key(1), &there, start + 300ms);
    CHECK(book.find(key(1))->binding.lladdr == mac(7));
    CHECK(book.take_moved() == std::vector{key(1)});
  }
  SECTION("or when it is there again") {
    const Neighbour failed = unanswered(1, nud::failed);
    book.observe(key(1), &failed, start);
    carry_out(book, book.due(start));
    CHECK(book.take_moved().empty());
    const Neighbour answer = ours(1, 1, nud::reachable);
    book.observe(key(1), &answer, start + 1s);
    CHECK(book.take_moved() == std::vector{key(1)});
  }
}

TEST_CASE("two hosts that both claim an address are told of as flapping", "[neigh]") {
  Ledger book = holding(1, 1);
  for (unsigned i = 0; i < 50; ++i) {
    const Neighbour moved = ours(1, i % 2 ? 1 : 2);
    book.observe(key(1), &moved, start + i * 20ms);
  }
  CHECK(book.dispute(key(1))->flaps.flapping(start + 1s));
  CHECK(book.counters().flaps == 1);
  CHECK(book.counters().conflicts == 50);
  CHECK(book.take_moved().size() <= Flaps::many + 1);
}

TEST_CASE("an entry that somebody undid some time ago is repaired as soon as ever", "[neigh]") {
  Ledger book = holding(1, 1);
  Instant now = start;
  for (int i = 0; i < 8; ++i) {
    now += 5s;
    book.observe(key(1), nullptr, now);
    REQUIRE(book.due(now + 2ms).write.size() == 1);
    book.written(key(1));
    CHECK(book.take_returned() == std::vector<NeighbourKey>{key(1)});
  }
}

TEST_CASE("what was refused while an interface was away is tried when it is back", "[neigh]") {
  Ledger book = holding(1, 1);
  Instant now = start + 5s;
  book.observe(key(1), nullptr, now);
  for (int i = 0; i < 6; ++i) {
    now += 1s;
    REQUIRE(book.due(now).write.size() == 1);
    book.refused(key(1), EINVAL, now);
  }
  REQUIRE(book.due(now + 2ms).empty());
  book.forgive(key(1).ifindex + 1, now + 2ms);
  REQUIRE(book.due(now + 2ms).empty());
  book.forgive(key(1).ifindex, now + 2ms);
  CHECK(book.due(now + 2ms).write.size() == 1);
}
