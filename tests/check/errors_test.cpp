// The checker of errors: what a tail tells once reaches everybody whom it concerns, and nobody is
// told what no tail has told.
#include "tests/check/errors.hpp"

#include <catch2/catch.hpp>

using namespace check;

namespace {

Rule sync(Errors& errors, Errors::Guest guest, bool success = true) {
  return errors.answer_sync(guest, errors.ask_sync(), success).rule;
}

}  // namespace

TEST_CASE("where no tail has lost anything every FLUSH may succeed", "[check]") {
  Errors errors;
  errors.join(1);
  CHECK(sync(errors, 1) == Rule::none);
  CHECK(sync(errors, 2) == Rule::none);  // Of one whom it does not know.
  CHECK_FALSE(errors.owes(1));
  CHECK_FALSE(errors.owes(2));
}

TEST_CASE("a loss is told once, to each guest that was there", "[check]") {
  Errors errors;
  errors.join(1);
  errors.join(2);
  errors.tail_lost_data();
  errors.join(3);
  CHECK(errors.owes(1));
  CHECK(sync(errors, 1, false) == Rule::none);
  CHECK(sync(errors, 1) == Rule::none);
  CHECK(sync(errors, 3) == Rule::none);
  const Violation violation = errors.answer_sync(2, errors.ask_sync(), true);
  CHECK(violation.rule == Rule::swallowed);
  CHECK(violation.sentence ==
        "guest 2 was told that all is stable, and never that the tail has lost data");
  CHECK(sync(errors, 2) == Rule::swallowed);  // Until it is told.
  CHECK(sync(errors, 2, false) == Rule::none);
  CHECK(sync(errors, 2) == Rule::none);
  CHECK_FALSE(errors.owes(2));
}

TEST_CASE("a FLUSH that was asked before the loss need not tell it; the next one must", "[check]") {
  Errors errors;
  errors.join(1);
  const auto early = errors.ask_sync();
  errors.tail_lost_data();
  CHECK(errors.answer_sync(1, early, true).rule == Rule::none);
  CHECK(sync(errors, 1) == Rule::swallowed);
}

TEST_CASE("of several losses the oldest counts", "[check]") {
  Errors errors;
  errors.join(1);
  errors.tail_lost_data();
  const auto between = errors.ask_sync();
  errors.tail_lost_data();
  CHECK(errors.answer_sync(1, between, true).rule == Rule::swallowed);
  CHECK(sync(errors, 1, false) == Rule::none);  // One error tells both.
  CHECK(sync(errors, 1) == Rule::none);
}

TEST_CASE("a guest that is gone need not be told", "[check]") {
  Errors errors;
  errors.join(1);
  errors.tail_lost_data();
  errors.leave(1);
  errors.join(1);
  CHECK(sync(errors, 1) == Rule::none);
}

TEST_CASE("what is repaired need not be told, what is lost afterwards must", "[check]") {
  Errors errors;
  errors.join(1);
  errors.tail_lost_data();
  errors.repaired();
  CHECK_FALSE(errors.owes(1));
  CHECK(sync(errors, 1) == Rule::none);
  errors.tail_lost_data();
  CHECK(errors.owes(1));
  CHECK(sync(errors, 1) == Rule::swallowed);
}

TEST_CASE("of a loss that is known late, who was told meanwhile need not be told again",
          "[check]") {
  Errors errors;
  errors.join(1);
  errors.join(2);
  CHECK(sync(errors, 2, false) == Rule::none);  // Too early to be of this loss.
  const auto since = errors.ask();
  CHECK(sync(errors, 1, false) == Rule::none);
  CHECK(sync(errors, 2) == Rule::none);
  errors.tail_lost_data(since);
  CHECK(sync(errors, 1) == Rule::none);
  CHECK(sync(errors, 2) == Rule::swallowed);
}

TEST_CASE("a request fails only where it is excused, or all may", "[check]") {
  Errors errors;
  const Violation violation = errors.fail(7, errors.ask(), "READ of sector 3");
  CHECK(violation.rule == Rule::invented);
  CHECK(violation.sentence ==
        "READ of sector 3 failed, though no tail refused it and no order said so");
  errors.excuse(7);
  CHECK_FALSE(errors.fail(7, errors.ask(), "READ"));
  CHECK(errors.fail(8, errors.ask(), "READ").rule == Rule::invented);
}

TEST_CASE("while all may fail, and what was asked by then", "[check]") {
  Errors errors;
  const auto before = errors.ask();
  errors.allow(true);
  const auto during = errors.ask();
  CHECK_FALSE(errors.fail(1, before, "READ"));
  CHECK_FALSE(errors.fail(2, during, "READ"));
  errors.allow(false);
  CHECK_FALSE(errors.fail(3, during, "READ"));
  CHECK(errors.fail(4, errors.ask(), "READ").rule == Rule::invented);
  errors.allow(false);  // It ends nothing a second time.
  const auto late = errors.ask();
  CHECK(errors.fail(5, late, "READ").rule == Rule::invented);
}
