// What head-bench chaos makes of the checkers: which errors its faults excuse, and which requests.
#include "tools/bench/chaos_audit.hpp"
#include "tools/bench/nbd_bytes.hpp"

#include <catch2/catch.hpp>

#include <array>

using namespace bench::chaos;
using namespace bench::nbd_bytes;

namespace {

constexpr Wish write_one{.command = cmd_write, .first = 1, .count = 1};
constexpr Wish read_one{.command = cmd_read, .first = 1, .count = 1};
constexpr Wish flush{.command = cmd_flush};
constexpr Wish trim{.command = cmd_trim, .first = 1, .count = 1};
const std::array<std::byte, check::sector_bytes> zeroes{};

}  // namespace

TEST_CASE("chaos: what is answered is checked", "[bench][chaos]") {
  Audit audit(0, 8, check::Promise::replay);
  const auto guest = audit.join();
  const auto written = audit.ask(guest, write_one);
  audit.answer(written.number, 0, {});
  CHECK(audit.flaw().empty());
  const auto asked = audit.ask(audit.join(), read_one);
  CHECK(audit.waiting() == 1);
  audit.answer(asked.number, 0, zeroes);
  CHECK(audit.flaw() ==
        "disc 0: stale: sector 1 of disc 0 was read as zeroes (words 0-63) where only change 1 "
        "can be");
  CHECK(audit.account().writes == 1);
  CHECK(audit.account().reads == 1);
}

TEST_CASE("chaos: an answer to what was given up is one too many once", "[bench][chaos]") {
  Audit audit(0, 8, check::Promise::replay);
  const auto written = audit.ask(audit.join(), write_one);
  audit.give_up(written.number);
  audit.give_up(written.number);
  CHECK(audit.account().given_up == 1);
  CHECK(audit.waiting() == 0);
  CHECK(audit.flaw().empty());
}

TEST_CASE("chaos: a request fails only where a fault says so", "[bench][chaos]") {
  Audit audit(0, 8, check::Promise::writeback);
  const auto guest = audit.join();
  SECTION("no fault") {
    audit.answer(audit.ask(guest, trim).number, 5, {});
    CHECK(audit.flaw() ==
          "disc 0: invented: TRIM of sectors 1-1 (error 5) failed, though no tail refused it and "
          "no order said so");
  }
  SECTION("a command that its tail does not survive") {
    const auto early = audit.ask(guest, trim);
    audit.poison(cmd_trim);
    CHECK(audit.is_poisoned(trim));
    CHECK_FALSE(audit.is_poisoned(flush));
    audit.ask(guest, trim);
    CHECK(audit.waiting() == 0);
    audit.answer(early.number, 5, {});
    CHECK(audit.flaw().empty());
    audit.answer(audit.ask(guest, read_one).number, 5, {});
    CHECK_FALSE(audit.flaw().empty());
  }
  SECTION("FLUSH") {
    const auto since = audit.flush_may_fail(true);
    audit.answer(audit.ask(guest, flush).number, 5, {});
    CHECK(audit.flaw().empty());
    audit.tail_told_loss(since);
    audit.flush_is_well();
    audit.answer(audit.ask(guest, flush).number, 0, {});
    CHECK(audit.flaw().empty());
    CHECK(audit.account().failed == 1);
  }
}

TEST_CASE("chaos: a loss that a tail has told reaches every guest", "[bench][chaos]") {
  const auto promise = GENERATE(check::Promise::writeback, check::Promise::replay);
  Audit audit(0, 8, promise);
  const auto one = audit.join(), two = audit.join();
  const auto since = audit.flush_may_fail(true);
  audit.answer(audit.ask(one, flush).number, 5, {});
  audit.tail_told_loss(since);
  audit.answer(audit.ask(two, flush).number, 0, {});
  // In mode replay the head writes it again.
  CHECK(audit.flaw().empty() == (promise == check::Promise::replay));
}

TEST_CASE("chaos: a session ends only where that is allowed", "[bench][chaos]") {
  Audit audit(0, 8, check::Promise::replay);
  const auto one = audit.join(), two = audit.join();
  audit.leave(one, true);
  CHECK(audit.flaw().empty());
  audit.may_lose_session();
  audit.leave(two, false);
  CHECK(audit.flaw().empty());
  audit.leave(audit.join(), false);
  CHECK(audit.flaw() == "disc 0 lost the session of a guest, which headd ended");
}
