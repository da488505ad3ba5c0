// The checker of progress: who waits too long, who is excused, and what is answered twice.
#include "tests/check/progress.hpp"

#include <catch2/catch.hpp>

#include <stdexcept>

using namespace check;
using namespace std::chrono_literals;

TEST_CASE("a request that is answered within the limit is well", "[check]") {
  Progress progress(2s);
  const auto one = progress.ask(1s, "one"), two = progress.ask(2s, "two");
  CHECK(progress.waiting() == 2);
  CHECK_FALSE(progress.look(3s));
  CHECK_FALSE(progress.answer(two, 4s));
  CHECK_FALSE(progress.answer(one, 3s));
  CHECK(progress.waiting() == 0);
  CHECK_FALSE(progress.look(1h));
}

TEST_CASE("a request that is not answered within the limit is stuck", "[check]") {
  Progress progress(2s);
  const auto one = progress.ask(1s, "one");
  const Violation violation = progress.look(3001ms);
  CHECK(violation.rule == Rule::stuck);
  CHECK(violation.sentence ==
        "one waits for 2001 ms, 2001 ms of them with nothing in its way; 2000 ms are allowed");
  CHECK(progress.answer(one, 4s).rule == Rule::stuck);  // That comes too late.
  CHECK_FALSE(progress.look(5s));
}

TEST_CASE("time counts from the end of what was in the way", "[check]") {
  Progress progress(2s);
  const auto one = progress.ask(0s, "one");
  progress.trouble_begins(1s);
  CHECK_FALSE(progress.look(1h));
  progress.trouble_begins(1h);
  progress.trouble_ends(2h);  // The other one goes on.
  CHECK_FALSE(progress.look(3h));
  progress.trouble_ends(3h);
  CHECK_FALSE(progress.look(3h + 2s));
  CHECK(progress.look(3h + 2001ms).rule == Rule::stuck);
  CHECK_FALSE(progress.answer(one, 3h + 1s));
  CHECK_THROWS_AS(progress.trouble_ends(4h), std::logic_error);
}

TEST_CASE("who was late before there was trouble is stuck", "[check]") {
  Progress progress(2s);
  const auto one = progress.ask(0s, "one");
  progress.trouble_begins(3s);
  CHECK(progress.look(4s).rule == Rule::stuck);
  CHECK(progress.answer(one, 4s).rule == Rule::stuck);
}

TEST_CASE("an excused request may wait for ever, or be answered once", "[check]") {
  Progress progress(2s);
  const auto one = progress.ask(0s, "one"), two = progress.ask(0s, "two");
  progress.excuse(one);
  CHECK(progress.waiting() == 1);
  CHECK_FALSE(progress.answer(two, 1s));
  CHECK_FALSE(progress.look(1h));
  const auto three = progress.ask(1h, "three");
  CHECK(progress.look(2h).rule == Rule::stuck);  // The others are not.
  CHECK_FALSE(progress.answer(one, 2h));
  CHECK(progress.answer(one, 2h).rule == Rule::repeated);
  progress.excuse(three);
  CHECK_FALSE(progress.answer(three, 2h));
  progress.excuse(three);  // It makes nothing unanswered again.
  CHECK(progress.answer(three, 2h).rule == Rule::repeated);
}

TEST_CASE("an answer to what was answered, or not asked, is one too many", "[check]") {
  Progress progress(2s);
  const auto one = progress.ask(0s, "one"), two = progress.ask(0s, "two");
  CHECK_FALSE(progress.answer(two, 1s));
  const Violation again = progress.answer(two, 1s);
  CHECK(again.rule == Rule::repeated);
  CHECK(again.sentence == "two was answered a second time");
  CHECK_FALSE(progress.answer(one, 1s));
  CHECK(progress.answer(one, 1s).rule == Rule::repeated);
  CHECK(progress.answer(two, 1s).rule == Rule::repeated);
  CHECK(progress.answer(two + 1, 1s).rule == Rule::repeated);
}
