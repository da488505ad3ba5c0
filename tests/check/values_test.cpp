// The checker of values: for each of its rules histories that are right, and ones that are wrong.
// What it allows though no right disc does it (values_property_test.cpp counts how often):
//  - What was at risk at a crash, or with a failed FLUSH, stays so until a FLUSH or an overwrite,
//    even where a read has shown what is left: a second crash may bring the other back.
//  - A read ends only what had ended before it was asked, though it may have shown what came later.
//    One that was asked before a crash, or while a FLUSH may fail, ends nothing.
//  - While a FLUSH may fail, one that succeeds covers nothing.
//  - Mode replay: a log that is lost after a crash counts as lost before it was replayed, however
//    long ago the crash was; and one TRIM that may be there exposes all of its sector to a crash.
//  - A change that was asked before a crash and acknowledged after it counts as lost with the
//  crash,
//    though it may have been carried out again.
#include "tests/check/values.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstring>
#include <initializer_list>
#include <stdexcept>
#include <vector>

using namespace check;

namespace {

constexpr std::uint32_t disc = 3;
using Block = std::array<std::byte, sector_bytes>;

Block block(Change change, std::uint64_t sector = 0, std::uint32_t of = disc) {
  Block bytes{};
  if (change != 0) fill(bytes, change, of, sector);
  return bytes;
}

Block torn(Change first, Change second) {
  Block bytes = block(first);
  std::memcpy(bytes.data(), block(second).data(), sector_bytes / 2);
  return bytes;
}

Rule read(Values& values, const Block& bytes, std::uint64_t sector = 0) {
  return values.answer_read(values.ask_read(), sector, bytes).rule;
}

// What a read would find, asked now. Nothing is learnt of it.
Rule would(const Values& values, const Block& bytes, std::uint64_t sector = 0) {
  Values copy = values;
  return read(copy, bytes, sector);
}

// What sector 0 may hold, of all changes so far.
std::vector<Change> may_be(const Values& values, Change last) {
  std::vector<Change> all;
  for (Change change = 0; change <= last; ++change)
    if (would(values, block(change)) == Rule::none) all.push_back(change);
  return all;
}

Change ask(Values& values, Kind kind = Kind::write, bool fua = false) {
  return values.ask_change(kind, 0, 1, fua);
}

Change done(Values& values, Kind kind = Kind::write, bool fua = false) {
  const Change change = ask(values, kind, fua);
  values.answer_change(change, true);
  return change;
}

void flush(Values& values, bool success = true) {
  values.answer_flush(values.ask_flush(), success);
}

using All = std::vector<Change>;
const std::initializer_list<Promise> modes = {Promise::writeback, Promise::writethrough,
                                              Promise::replay};

}  // namespace

TEST_CASE("rule 1: a change may be there when it is asked, and is when it is done", "[check]") {
  const auto promise = GENERATE(values(modes));
  Values values(disc, 8, promise);
  CHECK(would(values, block(0)) == Rule::none);
  const Change one = values.ask_change(Kind::write, 2, 3, false);
  for (const std::uint64_t sector : {2u, 3u, 4u}) {
    CHECK(would(values, block(0, sector), sector) == Rule::none);
    CHECK(would(values, block(one, sector), sector) == Rule::none);
  }
  values.answer_change(one, true);
  for (const std::uint64_t sector : {2u, 3u, 4u}) {
    CHECK(would(values, block(one, sector), sector) == Rule::none);
    CHECK(would(values, block(0, sector), sector) == Rule::stale);
  }
  CHECK(would(values, block(0, 1), 1) == Rule::none);
  CHECK(would(values, block(one, 1), 1) == Rule::unasked);
  CHECK(would(values, block(one, 5), 5) == Rule::unasked);
}

TEST_CASE("rule 1: of changes that were under way together any may be the last", "[check]") {
  Values values(disc, 1, Promise::replay);
  const Change one = ask(values), two = ask(values);
  values.answer_change(two, true);
  CHECK(may_be(values, 2) == All{1, 2});
  const Change three = ask(values);
  values.answer_change(one, true);
  CHECK(may_be(values, 3) == All{1, 2, 3});
  values.answer_change(three, true);  // It was asked when the second was over, and the first not.
  CHECK(may_be(values, 3) == All{1, 3});
  done(values);
  CHECK(may_be(values, 4) == All{4});
}

TEST_CASE("rule 1: a read may return what was current at any time of it", "[check]") {
  Values values(disc, 1, Promise::replay);
  done(values);
  const auto asked = values.ask_read();
  done(values);
  const Change three = ask(values);
  for (const Change seen : {1u, 2u, three}) {
    Values copy = values;
    CHECK_FALSE(copy.answer_read(asked, 0, block(seen)));
  }
  CHECK(values.answer_read(asked, 0, block(0)).rule == Rule::stale);
}

TEST_CASE("rule 1: zeroing is a change as a write is", "[check]") {
  Values values(disc, 1, Promise::replay);
  const Change one = done(values);
  const Change zeroes = ask(values, Kind::zero);
  CHECK(may_be(values, zeroes) == All{0, 1});
  values.answer_change(zeroes, true);
  CHECK(may_be(values, zeroes) == All{0});
  CHECK(would(values, block(one)) == Rule::stale);
  CHECK(would(values, block(zeroes)) == Rule::unasked);  // A zeroing writes no data.
  done(values);
  CHECK(would(values, block(0)) == Rule::stale);
}

TEST_CASE("what is read of another sector, another disc, or of nobody is told apart", "[check]") {
  Values values(disc, 2, Promise::replay);
  const Change one = values.ask_change(Kind::write, 0, 2, false);
  values.answer_change(one, true);
  CHECK(would(values, block(one, 1)) == Rule::misplaced);
  CHECK(would(values, block(one, 0, disc + 1)) == Rule::misplaced);
  CHECK(would(values, block(one + 7, 0, disc + 1)) == Rule::misplaced);  // Of a busier disc.
  CHECK(would(values, block(one + 1)) == Rule::unasked);
  Block damaged = block(one);
  damaged[GENERATE(0u, 9u, 300u, sector_bytes - 1)] ^= std::byte{4};
  CHECK(would(values, damaged) == Rule::damaged);
  Block looks_like_zero;
  fill(looks_like_zero, 0, disc, 0);
  CHECK(would(values, looks_like_zero) == Rule::damaged);
  // Parts of a change that was never asked for here.
  const Change elsewhere = values.ask_change(Kind::write, 1, 1, false);
  CHECK(would(values, torn(one, elsewhere)) == Rule::damaged);
}

TEST_CASE("several sectors are read at once, and each is checked", "[check]") {
  Values values(disc, 3, Promise::replay);
  const Change one = values.ask_change(Kind::write, 0, 3, false);
  values.answer_change(one, true);
  std::array<std::byte, 3 * sector_bytes> bytes;
  fill(bytes, one, disc, 0);
  CHECK_FALSE(values.answer_read(values.ask_read(), 0, bytes));
  std::fill(bytes.end() - 512, bytes.end(), std::byte{0});
  const Violation violation = values.answer_read(values.ask_read(), 0, bytes);
  CHECK(violation.rule == Rule::stale);
  CHECK(violation.sentence ==
        "sector 2 of disc 3 was read as zeroes (words 0-63) where only change 1 can be");
}

TEST_CASE("rule 2: what was read does not go back to what had ended before", "[check]") {
  Values values(disc, 1, Promise::replay);
  const Change one = ask(values), two = ask(values);
  values.answer_change(one, true);
  values.answer_change(two, true);
  SECTION("of two that were done") {
    CHECK(read(values, block(one)) == Rule::none);
    CHECK(would(values, block(two)) == Rule::stale);
    CHECK(would(values, block(one)) == Rule::none);
  }
  SECTION("to one that is not answered yet") {
    const Change three = ask(values);
    CHECK(read(values, block(three)) == Rule::none);
    CHECK(may_be(values, 3) == All{3});
  }
  SECTION("but a read that was asked before the end says nothing") {
    const Change three = ask(values);
    const auto asked = values.ask_read();
    values.answer_change(three, true);
    CHECK(may_be(values, 3) == All{3});
    CHECK_FALSE(values.answer_read(asked, 0, block(two)));
    CHECK(may_be(values, 3) == All{3});
  }
}

TEST_CASE("rule 2: a read that was dropped says nothing", "[check]") {
  Values values(disc, 1, Promise::replay);
  const auto asked = values.ask_read();
  values.drop_read(asked);
  CHECK_THROWS_AS(values.drop_read(asked), std::logic_error);
}

TEST_CASE("rule 3: what failed, was abandoned, or is a TRIM may be there or not", "[check]") {
  const auto promise = GENERATE(values(modes));
  Values values(disc, 1, promise);
  const Change one = done(values);
  const auto how = GENERATE(0, 1, 2);
  const Change two = ask(values, how == 2 ? Kind::trim : Kind::write);
  if (how == 0) values.answer_change(two, false);
  if (how == 1) values.abandon(two);
  if (how == 2) values.answer_change(two, true);
  const Block after = block(how == 2 ? 0 : two);
  CHECK(read(values, block(one)) == Rule::none);
  CHECK(read(values, block(one)) == Rule::none);
  CHECK(read(values, after) == Rule::none);  // It was carried out late: rule 2 ends the first one.
  CHECK(would(values, block(one)) == Rule::stale);
  const Change three = done(values);
  CHECK(would(values, after) == Rule::stale);  // A ghost.
  CHECK(would(values, block(three)) == Rule::none);
}

TEST_CASE("rule 3: a change asked before the other was given up does not end it", "[check]") {
  Values values(disc, 1, Promise::replay);
  const Change lost = ask(values), other = ask(values);
  values.abandon(lost);
  values.answer_change(other, true);
  CHECK(may_be(values, 2) == All{lost, other});
}

TEST_CASE("rule 3: in mode replay a change may be undone until its failure is told", "[check]") {
  const auto promise = GENERATE(values(modes));
  Values values(disc, 1, promise);
  const Change one = done(values);
  const Change two = ask(values, Kind::write);
  CHECK(read(values, block(two)) == Rule::none);
  CHECK(would(values, block(one)) == Rule::stale);
  values.answer_change(two, false);
  const Rule undone = promise == Promise::replay ? Rule::none : Rule::stale;
  CHECK(would(values, block(one)) == undone);
  CHECK(read(values, block(two)) == Rule::none);
  CHECK(would(values, block(one)) == Rule::stale);  // Not once it has been told.
}

TEST_CASE("rule 4: writeback loses what was not flushed, and only that", "[check]") {
  Values values(disc, 1, Promise::writeback);
  done(values);
  flush(values);
  done(values);
  done(values);
  values.log_lost();  // There is none.
  CHECK(may_be(values, 3) == All{3});
  values.tail_crashed();
  CHECK(may_be(values, 3) == All{1, 2, 3});
  CHECK(would(values, block(0)) == Rule::stale);
  flush(values);  // It makes stable what is there, whatever that is.
  CHECK(may_be(values, 3) == All{1, 2, 3});
  CHECK(read(values, block(2)) == Rule::none);
  CHECK(may_be(values, 3) == All{2});
  done(values);
  flush(values);
  values.tail_crashed();
  CHECK(may_be(values, 4) == All{4});
}

TEST_CASE("rule 4: writethrough loses nothing", "[check]") {
  Values values(disc, 1, Promise::writethrough);
  const Change one = done(values);
  values.tail_crashed();
  CHECK(may_be(values, 1) == All{one});
  const Change open = ask(values);
  CHECK(read(values, block(open)) == Rule::none);
  values.tail_crashed();  // Nobody was told of it.
  CHECK(may_be(values, 2) == All{one, open});
  values.answer_change(open, true);
  CHECK(may_be(values, 2) == All{open});
}

TEST_CASE("rule 4: replay loses nothing, except with its log", "[check]") {
  Values values(disc, 1, Promise::replay);
  done(values);
  SECTION("a crash alone") {
    values.tail_crashed();
    CHECK(may_be(values, 1) == All{1});
  }
  SECTION("a log that is lost alone, and then a crash") {
    values.log_lost();
    CHECK(may_be(values, 1) == All{1});
    values.tail_crashed();
    CHECK(may_be(values, 1) == All{0, 1});
  }
  SECTION("what is written afterwards is kept") {
    values.log_lost();
    done(values);
    values.tail_crashed();
    CHECK(may_be(values, 2) == All{2});
  }
  SECTION("what was flushed need not be kept") {
    flush(values);
    values.log_lost();
    values.tail_crashed();
    CHECK(may_be(values, 1) == All{1});
  }
  SECTION("a log that is lost after a crash, perhaps before it was replayed") {
    values.tail_crashed();
    values.log_lost();
    CHECK(may_be(values, 1) == All{0, 1});
  }
  SECTION("a change that nobody was told of is not kept") {
    const Change open = ask(values);
    CHECK(read(values, block(open)) == Rule::none);
    CHECK(may_be(values, 2) == All{2});
    values.abandon(open);
    values.tail_crashed();
    CHECK(may_be(values, 2) == All{1, 2});
  }
  SECTION("nor what a TRIM has discarded") {
    done(values, Kind::trim);
    values.tail_crashed();
    CHECK(may_be(values, 2) == All{0, 1});
  }
}

TEST_CASE("rule 4: an answer may come after the crash of who gave it", "[check]") {
  Values values(disc, 1, Promise::writeback);
  done(values);
  flush(values);
  const bool fua = GENERATE(false, true);
  const Change two = ask(values, Kind::write, fua);
  values.tail_crashed();
  values.answer_change(two, true);
  CHECK(may_be(values, 2) == (fua ? All{2} : All{1, 2}));
  flush(values);
  CHECK(may_be(values, 2) == (fua ? All{2} : All{1, 2}));
  const Change three = done(values);
  CHECK(may_be(values, 3) == All{three});
}

TEST_CASE("rule 4: an answer may come after the end of the headd that gave it", "[check]") {
  Values values(disc, 1, Promise::replay);
  const Change one = ask(values);
  values.log_lost();
  values.answer_change(one, true);
  CHECK(may_be(values, 1) == All{1});
  values.tail_crashed();
  CHECK(may_be(values, 1) == All{0, 1});
}

TEST_CASE("rule 4: a crash that takes time is told twice", "[check]") {
  Values values(disc, 1, Promise::writeback);
  done(values);
  values.tail_crashed();
  done(values);  // The tail lived still.
  CHECK(may_be(values, 2) == All{2});
  values.tail_crashed();
  CHECK(may_be(values, 2) == All{0, 1, 2});
}

TEST_CASE("rule 5: a FLUSH covers what was acknowledged before it was asked", "[check]") {
  Values values(disc, 1, Promise::writeback);
  done(values);
  const auto asked = values.ask_flush();
  done(values);
  values.answer_flush(asked, true);
  values.tail_crashed();
  CHECK(may_be(values, 2) == All{1, 2});
  CHECK(would(values, block(0)) == Rule::stale);
}

TEST_CASE("rule 5: a crash while a FLUSH is under way", "[check]") {
  Values values(disc, 1, Promise::writeback);
  done(values);
  const auto asked = values.ask_flush();
  values.tail_crashed();
  values.answer_flush(asked, true);  // By the next process, which knows of nothing.
  CHECK(may_be(values, 1) == All{0, 1});
}

TEST_CASE("rule 5: a change with FUA covers itself", "[check]") {
  Values values(disc, 1, Promise::writeback);
  done(values, Kind::write, true);
  values.tail_crashed();
  CHECK(may_be(values, 1) == All{1});
  done(values, Kind::zero, true);
  values.tail_crashed();
  CHECK(may_be(values, 2) == All{0});
}

// Another one that was under way meanwhile may have been carried out after it, and be stable.
TEST_CASE("rule 5: a change with FUA covers nothing that overlapped it", "[check]") {
  Values values(disc, 1, Promise::writeback);
  const Change fua = ask(values, Kind::write, true);
  done(values);
  done(values);
  values.answer_change(fua, true);
  CHECK(may_be(values, 3) == All{1, 3});
  values.tail_crashed();
  CHECK(may_be(values, 3) == All{1, 2, 3});
}

TEST_CASE("rule 6: a failed FLUSH may have lost what it was to cover", "[check]") {
  Values values(disc, 1, GENERATE(Promise::writeback, Promise::writethrough));
  const Change one = ask(values), two = ask(values);
  values.answer_change(one, true);
  values.answer_change(two, true);
  flush(values);
  CHECK(may_be(values, 2) == All{1, 2});
  flush(values, false);
  // The cache shows the one for a while, then the storage the other.
  CHECK(read(values, block(two)) == Rule::none);
  CHECK(read(values, block(one)) == Rule::none);
  CHECK(would(values, block(0)) == Rule::stale);
  flush(values);  // It brings nothing back.
  CHECK(may_be(values, 2) == All{1, 2});
  done(values);
  CHECK(may_be(values, 3) == All{3});
}

TEST_CASE("rule 6: writeback after a failed FLUSH, and replay", "[check]") {
  const auto promise = GENERATE(Promise::writeback, Promise::replay);
  Values values(disc, 1, promise);
  done(values);
  flush(values, false);
  CHECK(may_be(values, 1) == (promise == Promise::replay ? All{1} : All{0, 1}));
  values.log_lost();  // Perhaps before it was written again.
  CHECK(may_be(values, 1) == All{0, 1});
  done(values);
  flush(values, false);
  flush(values);
  values.log_lost();
  CHECK(may_be(values, 2) == (promise == Promise::replay ? All{2} : All{0, 1, 2}));
}

TEST_CASE("rule 6: replay that has lost its log loses with a failed FLUSH", "[check]") {
  Values values(disc, 1, Promise::replay);
  done(values);
  values.log_lost();
  CHECK(may_be(values, 1) == All{1});
  flush(values, false);
  CHECK(may_be(values, 1) == All{0, 1});
}

TEST_CASE("rule 6: in mode replay a TRIM after a failed FLUSH may bring back what it discards",
          "[check]") {
  Values values(disc, 1, Promise::replay);
  const Change one = done(values);
  const Change two = done(values);
  values.may_forget(true);
  values.may_forget(false);
  CHECK(would(values, block(one)) == Rule::stale);  // It is kept, and written again.
  values.answer_change(ask(values, Kind::trim), true);
  CHECK(would(values, block(one)) == Rule::none);
  CHECK(read(values, block(two)) == Rule::none);
  done(values);
  CHECK(would(values, block(one)) == Rule::stale);
}

TEST_CASE("rule 6: a loss that was heard of leaves what is acknowledged after that", "[check]") {
  Values values(disc, 1, Promise::writeback);
  const Change one = done(values);
  const Change two = ask(values);
  values.may_forget(true);
  values.may_forget(false);
  SECTION("headd has asked the change again") {
    values.loss_heard();
    values.answer_change(two, true);
    CHECK(may_be(values, 2) == All{two});
  }
  SECTION("it has not, yet") {
    values.answer_change(two, true);
    values.loss_heard();
    CHECK(may_be(values, 2) == All{0, one, two});
  }
  SECTION("nor will it ever") {
    values.loss_unheard();
    values.loss_heard();  // Of another one.
    values.answer_change(two, true);
    CHECK(may_be(values, 2) == All{0, one, two});
  }
}

TEST_CASE("rule 6: in mode replay a FLUSH ends what came back with a loss", "[check]") {
  Values values(disc, 1, Promise::replay);
  const Change one = done(values);
  const Change two = ask(values);
  values.may_forget(true);
  values.may_forget(false);
  const bool unheard = GENERATE(false, true);
  if (unheard) values.loss_unheard();
  values.answer_change(two, true);
  CHECK(may_be(values, 2) == All{one, two});
  const auto early = values.ask_flush();
  const Change three = ask(values);
  values.answer_flush(early, true);
  CHECK(may_be(values, 3) == (unheard ? All{one, two, three} : All{two, three}));
  values.answer_change(three, true);
  CHECK(may_be(values, 3) == All{three});
}

TEST_CASE("rule 6: while a FLUSH may fail anything that is not stable may be lost", "[check]") {
  Values values(disc, 1, Promise::writeback);
  done(values, Kind::write, true);
  values.may_forget(true);
  done(values);
  CHECK(may_be(values, 2) == All{1, 2});
  flush(values);  // It may have been the second of two of which the first failed.
  CHECK(read(values, block(2)) == Rule::none);
  CHECK(may_be(values, 2) == All{1, 2});
  CHECK(would(values, block(0)) == Rule::stale);
  values.may_forget(false);
  CHECK(may_be(values, 2) == All{1, 2});
  done(values);
  CHECK(may_be(values, 3) == All{3});
  CHECK_THROWS_AS(values.may_forget(false), std::logic_error);
}

TEST_CASE("rule 7: a sector is torn only where a change has failed", "[check]") {
  const auto tearing = GENERATE(Tearing::failed, Tearing::in_flight);
  Values values(disc, 1, Promise::replay, tearing);
  const Change one = done(values);
  const Change two = ask(values);
  const Rule in_flight = tearing == Tearing::in_flight ? Rule::none : Rule::torn;
  CHECK(would(values, torn(one, two)) == in_flight);
  const auto asked = values.ask_read();
  SECTION("it was done") {
    values.answer_change(two, true);
    CHECK(would(values, torn(one, two)) == Rule::torn);
    CHECK(values.answer_read(asked, 0, torn(one, two)).rule == in_flight);
  }
  SECTION("it was abandoned") {
    values.abandon(two);
    CHECK(would(values, torn(one, two)) == in_flight);
  }
  SECTION("it has failed") {
    values.answer_change(two, false);
    CHECK(would(values, torn(one, two)) == Rule::none);
    CHECK(would(values, torn(two, 0)) == Rule::torn);  // Those zeroes were overwritten long ago.
    const Change three = done(values);
    CHECK(would(values, torn(one, two)) == Rule::torn);
    CHECK(would(values, torn(three, two)) == Rule::torn);
  }
}

TEST_CASE("rule 7: a zeroing that fails may leave a part of the sector", "[check]") {
  Values values(disc, 1, Promise::replay);
  const Change zeroes = ask(values, Kind::zero);
  const Change one = ask(values);
  values.answer_change(one, true);
  CHECK(would(values, torn(one, 0)) == Rule::torn);
  values.answer_change(zeroes, false);
  CHECK(would(values, torn(one, 0)) == Rule::none);
}

// The first head's guest ends with its head; the guest goes on at another, and what it flushes
// there is there for good.
TEST_CASE("two heads: what a dead guest left is not written over what came later", "[check]") {
  Values values(disc, 1, Promise::replay);
  const Change first = done(values);
  const Change open = ask(values);
  values.abandon(open);
  values.log_lost();  // Of the first head, which must not replay it any more.
  CHECK(may_be(values, 2) == All{1, 2});
  const Change second = done(values);
  flush(values);
  CHECK(would(values, block(first)) == Rule::stale);
  CHECK(would(values, block(open)) == Rule::stale);
  values.tail_crashed();
  CHECK(may_be(values, 3) == All{second});
}

TEST_CASE("what is said to read as zeroes is checked in every stretch", "[check]") {
  using Stretch = Values::Stretch;
  Values values(disc, 8, Promise::replay);
  const Change one = values.ask_change(Kind::write, 2, 1, false);
  values.answer_change(one, true);
  const Stretch right[] = {{.first = 0, .count = 2}, {.first = 3, .count = 5}};
  CHECK_FALSE(values.answer_zeroes(values.ask_read(), right));
  const Stretch wrong[] = {{.first = 0, .count = 1}, {.first = 1, .count = 2}};
  CHECK(values.answer_zeroes(values.ask_read(), wrong).rule == Rule::stale);
  CHECK_FALSE(values.answer_zeroes(values.ask_read(), {}));
}

TEST_CASE("several guests read and write one disc", "[check]") {
  Values values(disc, 1, Promise::replay);
  const auto early = values.ask_read(), later = values.ask_read();
  const Change one = ask(values), two = ask(values);
  values.answer_change(one, true);
  const auto last = values.ask_read();
  values.answer_change(two, true);
  CHECK_FALSE(values.answer_read(last, 0, block(two)));
  CHECK(may_be(values, 2) == All{2});  // One guest has seen it, so all do from now on.
  CHECK_FALSE(values.answer_read(early, 0, block(0)));
  CHECK_FALSE(values.answer_read(later, 0, block(one)));
  CHECK(may_be(values, 2) == All{2});
}

TEST_CASE("what cannot have happened is refused", "[check]") {
  CHECK_THROWS_AS(Values(discs_max, 1, Promise::replay), std::logic_error);
  CHECK_THROWS_AS(Values(0, sectors_max + 1, Promise::replay), std::logic_error);
  Values values(disc, 2, Promise::replay);
  CHECK_THROWS_AS(values.ask_change(Kind::write, 1, 2, false), std::logic_error);
  CHECK_THROWS_AS(values.ask_change(Kind::write, UINT64_MAX, 2, false), std::logic_error);
  const Change one = done(values);
  CHECK_THROWS_AS(values.answer_change(one, true), std::logic_error);
  CHECK_THROWS_AS(values.abandon(one), std::logic_error);
  CHECK_THROWS_AS(values.answer_read(values.ask_read(), 2, block(0)), std::logic_error);
  CHECK_THROWS_AS(values.answer_read(17, 0, block(0)), std::logic_error);
}
