// The model of head-bench chaos catches what it is there for, and nothing else.
#include "tools/bench/chaos_model.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstring>
#include <random>

using namespace bench::chaos;

namespace {

constexpr std::uint32_t disc = 3;
constexpr std::uint64_t sectors = 8;
using Block = std::array<std::byte, sector_bytes>;

Block block(Sequence sequence, std::uint64_t sector, std::uint32_t of = disc) {
  Block bytes{};
  if (sequence != 0) stamp(bytes, {sequence, of, sector});
  return bytes;
}

Flaw flaw(const History& history, std::uint64_t sector, const Block& bytes) {
  const Verdict verdict = history.check(sector, bytes);
  CHECK(verdict.said.empty() == (verdict.flaw == Flaw::none));
  return verdict.flaw;
}

bool may_be(const History& history, std::uint64_t sector, Sequence sequence) {
  return flaw(history, sector, block(sequence, sector)) == Flaw::none;
}

Sequence acknowledged(History& history, std::uint64_t sector = 0, bool fua = false) {
  const Sequence sequence = history.ask_write(sector, 1, fua);
  history.answer_write(sequence);
  return sequence;
}

void flushed(History& history) {
  history.answer_flush(history.ask_flush());
}

}  // namespace

TEST_CASE("a disc that nobody wrote is zeroes", "[bench][chaos]") {
  const History history(disc, sectors, Promise::replay);
  CHECK(may_be(history, 0, 0));
  CHECK(flaw(history, 0, block(1, 0)) == Flaw::unasked);
}

TEST_CASE("a write that is not answered may be there or not; then it must", "[bench][chaos]") {
  const auto promise = GENERATE(Promise::writeback, Promise::writethrough, Promise::replay);
  History history(disc, sectors, promise);
  const Sequence one = history.ask_write(2, 3, false);
  for (const std::uint64_t sector : {2, 3, 4}) {
    CHECK(may_be(history, sector, 0));
    CHECK(may_be(history, sector, one));
  }
  CHECK_FALSE(may_be(history, 1, one));
  CHECK_FALSE(may_be(history, 5, one));
  history.answer_write(one);
  for (const std::uint64_t sector : {2, 3, 4}) {
    CHECK(may_be(history, sector, one));
    CHECK(flaw(history, sector, block(0, sector)) == Flaw::older);  // A lost write.
  }
  acknowledged(history, 3);
  CHECK(flaw(history, 3, block(one, 3)) == Flaw::older);  // Stale data, or a ghost.
}

TEST_CASE("data of another sector or disc, and damage, are told apart", "[bench][chaos]") {
  History history(disc, sectors, Promise::replay);
  const Sequence one = history.ask_write(0, 2, false);
  history.answer_write(one);
  CHECK(flaw(history, 0, block(one, 1)) == Flaw::other_sector);
  CHECK(flaw(history, 0, block(one, 0, disc + 1)) == Flaw::other_disc);
  const auto at = GENERATE(0u, 9u, 17u, 300u, sector_bytes - 1);
  Block damaged = block(one, 0);
  damaged[at] ^= std::byte{4};
  CHECK(flaw(history, 0, damaged) == Flaw::damaged);
  // Half of one write and half of another.
  const Sequence two = acknowledged(history);
  Block torn = block(two, 0);
  std::memcpy(torn.data(), block(one, 0).data(), sector_bytes / 2);
  CHECK(flaw(history, 0, torn) == Flaw::damaged);
}

TEST_CASE("writeback loses with the tail what was not flushed, and only that", "[bench][chaos]") {
  History history(disc, sectors, Promise::writeback);
  const Sequence one = acknowledged(history);
  flushed(history);
  const Sequence two = acknowledged(history);
  const Sequence three = acknowledged(history);
  history.head_crashes();
  CHECK_FALSE(may_be(history, 0, two));  // The tail has it.
  history.tail_crashes();
  for (const Sequence any : {one, two, three}) CHECK(may_be(history, 0, any));
  CHECK_FALSE(may_be(history, 0, 0));
  // A FLUSH makes stable what is there, whatever it is: none of these is safe by it.
  flushed(history);
  for (const Sequence any : {one, two, three}) CHECK(may_be(history, 0, any));
  const Sequence four = acknowledged(history);
  CHECK_FALSE(may_be(history, 0, three));
  flushed(history);
  history.tail_crashes();
  CHECK(may_be(history, 0, four));
  CHECK_FALSE(may_be(history, 0, three));
}

TEST_CASE("a FLUSH covers what was acknowledged before it was asked", "[bench][chaos]") {
  History history(disc, sectors, Promise::writeback);
  const Sequence one = acknowledged(history, 0);
  const auto flush = history.ask_flush();
  const Sequence two = acknowledged(history, 1);
  history.answer_flush(flush);
  history.tail_crashes();
  CHECK(may_be(history, 0, one));
  CHECK_FALSE(may_be(history, 0, 0));
  CHECK(may_be(history, 1, two));
  CHECK(may_be(history, 1, 0));
}

TEST_CASE("a crash between a write and its FLUSH, and FUA", "[bench][chaos]") {
  History history(disc, sectors, Promise::writeback);
  acknowledged(history, 0);
  acknowledged(history, 1, true);
  const Sequence asked = history.ask_write(2, 1, false);
  const Sequence asked_fua = history.ask_write(3, 1, true);
  history.tail_crashes();
  history.answer_write(asked);  // Perhaps by the process that is gone.
  history.answer_write(asked_fua);
  flushed(history);
  CHECK(may_be(history, 0, 0));
  CHECK_FALSE(may_be(history, 1, 0));
  CHECK(may_be(history, 2, 0));
  CHECK_FALSE(may_be(history, 3, 0));
}

TEST_CASE("replay and writethrough lose nothing with the tail", "[bench][chaos]") {
  const auto promise = GENERATE(Promise::writethrough, Promise::replay);
  History history(disc, sectors, promise);
  const Sequence one = acknowledged(history);
  history.tail_crashes();
  CHECK(may_be(history, 0, one));
  CHECK_FALSE(may_be(history, 0, 0));
  history.doubt_head(true);
  CHECK(may_be(history, 0, 0) == (promise == Promise::replay));
  history.doubt_head(false);
  CHECK_FALSE(may_be(history, 0, 0));
  // What headd keeps for `replay` is gone with headd: as documented.
  history.head_crashes();
  CHECK(may_be(history, 0, 0) == (promise == Promise::replay));
  CHECK(may_be(history, 0, one));
  // The next headd keeps what it acknowledges.
  const Sequence two = acknowledged(history);
  history.tail_crashes();
  CHECK(may_be(history, 0, two));
  CHECK_FALSE(may_be(history, 0, one));
}

TEST_CASE("a write given up may come later, until a newer one is acknowledged", "[bench][chaos]") {
  History history(disc, sectors, Promise::replay);
  const Sequence one = acknowledged(history);
  const Sequence lost = history.ask_write(0, 1, false);
  history.abandon(lost);
  for (const Sequence either : {one, lost, one}) CHECK(may_be(history, 0, either));
  const Sequence three = acknowledged(history);
  CHECK(flaw(history, 0, block(lost, 0)) == Flaw::older);  // A ghost.
  CHECK(may_be(history, 0, three));
}

TEST_CASE("a write given up may be what a crash brings back", "[bench][chaos]") {
  History history(disc, sectors, Promise::writeback);
  const Sequence one = acknowledged(history);
  const Sequence lost = history.ask_write(0, 1, false);
  history.abandon(lost);
  flushed(history);
  const Sequence three = acknowledged(history);
  CHECK_FALSE(may_be(history, 0, lost));
  history.tail_crashes();
  for (const Sequence any : {one, lost, three}) CHECK(may_be(history, 0, any));
}

// A disc as simple as can be, that really loses things: the model allows whatever it does, and
// notices when it does what it must not.
TEST_CASE("the model agrees with a disc that crashes, and with no other", "[bench][chaos]") {
  const auto promise = GENERATE(Promise::writeback, Promise::writethrough);
  const auto seed = GENERATE(range(0u, 20u));
  std::mt19937 random(seed);
  History history(disc, sectors, promise);
  std::array<Sequence, sectors> now{}, stable{};
  unsigned caught = 0;
  for (int step = 0; step < 2000; ++step) {
    const std::uint64_t at = random() % sectors;
    switch (random() % 6) {
      case 0:
      case 1: {
        const bool fua = random() % 4 == 0;
        const Sequence before = now[at];
        now[at] = acknowledged(history, at, fua);
        if (fua || promise == Promise::writethrough) stable[at] = now[at];
        CHECK_FALSE(may_be(history, at, before));  // Lost at once.
        ++caught;
        break;
      }
      case 2: {  // Not answered, and either done or not.
        const Sequence open = history.ask_write(at, 1, false);
        if (random() % 2 == 0) now[at] = open;
        if (random() % 2 == 0) stable[at] = now[at];
        history.abandon(open);
        break;
      }
      case 3:
        flushed(history);
        stable = now;
        break;
      case 4:
        if (random() % 8 == 0) {
          history.tail_crashes();
          now = stable;
        }
        break;
      default:
        CHECK(may_be(history, at, now[at]));
    }
  }
  CHECK(caught > 100);
}
