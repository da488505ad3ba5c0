// The production connection against tails that take their time. The numbers are explained in
// HAZARDS.md.
#include "tests/nbd_connection_talk.hpp"
#include "tests/seeds.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <deque>
#include <string>
#include <string_view>

using namespace tests;

namespace {

// A tail that speaks and reads when the test wants it to; it hears all.
struct Line {
  Bytes* to_us = nullptr;
  std::size_t heard = 0;
  bool reads = true;
};
class SlowTail final : public sim::Peer {
 public:
  SlowTail(Line& line, Bytes first) : line_(line), first_(std::move(first)) {}

  bool on_bytes(Bytes& from_us, Bytes& to_us) override {
    line_.to_us = &to_us;
    line_.heard += from_us.size();
    from_us.clear();
    to_us.insert(to_us.end(), first_.begin(), first_.end());
    first_.clear();
    return true;
  }
  std::size_t room() const override { return line_.reads ? SIZE_MAX : 0; }

 private:
  Line& line_;
  Bytes first_;
};

struct SlowTalk {
  explicit SlowTalk(std::uint64_t seed, Bytes first = sim::greeting(false))
      : talk(seed, [this, first] { return std::make_unique<SlowTail>(line, first); }) {}
  void say(const Bytes& bytes) {
    line.to_us->insert(line.to_us->end(), bytes.begin(), bytes.end());
  }

  Line line;
  Talk talk;
};

}  // namespace

TEST_CASE("H13 a tail that is silent, or drips, does not hold the handshake for ever",
          "[nbd][sim]") {
  SlowTalk slow(1, {});
  Talk& talk = slow.talk;
  talk.ask({});
  const Bytes greeting = sim::greeting(true);
  const bool drips = GENERATE(false, true);
  CAPTURE(drips);
  const auto limit = talk.options.handshake_timeout;
  for (std::size_t second = 0; second + 1 < std::size_t(limit / std::chrono::seconds(1));
       ++second) {
    talk.io.advance(std::chrono::seconds(1));
    if (drips) slow.say({greeting[second]});
    talk.go_on();
    REQUIRE(talk.connection.state() == nbd::Connection::State::handshaking);
  }
  talk.io.advance(std::chrono::seconds(1));
  talk.go_on();
  CHECK(talk.closed());
  CHECK(talk.problem.find("handshake") != std::string::npos);
}

TEST_CASE("T3 T14 a reply that comes before its request has left is kept until it has",
          "[nbd][sim]") {
  const auto seed = GENERATE(range(0u, seeds(200)));
  CAPTURE(seed);
  SlowTalk slow(seed);
  slow.talk.ask({});
  REQUIRE(slow.talk.connection.ready());
  const std::size_t before = slow.line.heard;
  slow.line.reads = false;
  Asked write(Command::write, 0, 8192);
  slow.talk.connection.submit(write);
  Bytes reply;
  slow.say(reply << simple(0));
  slow.talk.go_on();
  CHECK(slow.talk.answers.empty());  // Its memory is the kernel's.
  CHECK(slow.talk.back.empty());
  SECTION("it leaves") {
    slow.line.reads = true;
    slow.talk.go_on();
    REQUIRE(slow.talk.answers.size() == 1);
    CHECK(slow.talk.answers[0].second == 0);
    CHECK(slow.line.heard - before == sizeof(nbd::wire::Request) + 8192);
  }
  SECTION("it never does: it was not answered") {
    slow.talk.connection.fail("enough");
    slow.talk.go_on();
    CHECK(slow.talk.answers.empty());
    CHECK(slow.talk.back == std::vector<nbd::Request*>{&write});
  }
}

TEST_CASE("T11 a tail that reads no more can be left", "[nbd][sim]") {
  const auto seed = GENERATE(range(0u, seeds(100)));
  CAPTURE(seed);
  SlowTalk slow(seed);
  slow.talk.ask({});
  REQUIRE(slow.talk.connection.ready());
  slow.line.reads = false;
  std::deque<Asked> writes;
  while (slow.talk.connection.room())
    slow.talk.connection.submit(writes.emplace_back(Command::write, 0, 4096));
  slow.talk.go_on();
  slow.talk.connection.leave();
  slow.talk.go_on();
  CHECK(!slow.talk.closed());  // It may still answer what it had.
  slow.talk.io.advance(std::chrono::seconds(1));
  slow.talk.go_on();
  CHECK(slow.talk.closed());
  CHECK(slow.talk.back.size() == nbd::Slots::capacity);
}

TEST_CASE("T13 a reply that comes with the deadline is an answer or is not, never both",
          "[nbd][sim]") {
  const auto seed = GENERATE(range(0u, seeds(1000)));
  CAPTURE(seed);
  SlowTalk slow(seed);
  Asked read(Command::read, 0, 64);
  slow.talk.ask({&read});
  slow.talk.connection.leave();
  slow.talk.go_on();
  Bytes reply;
  slow.say(reply << simple(0) << std::string_view(std::string(64, 'x')));
  for (unsigned steps = seed % 12; steps > 0; --steps) slow.talk.io.step();
  slow.talk.io.advance(std::chrono::seconds(1));
  slow.talk.go_on();
  CHECK(slow.talk.closed());
  CHECK(slow.talk.answers.size() + slow.talk.back.size() == 1);
}

TEST_CASE("the time away splits into the way, as TCP knows it, and the tail", "[nbd][sim]") {
  using namespace std::chrono_literals;
  const auto seed = GENERATE(range(1u, 10u));
  CAPTURE(seed);
  SlowTalk slow(seed);
  Talk& talk = slow.talk;
  talk.io.health.least_round_trip = 300us;
  talk.ask({});
  REQUIRE(talk.connection.ready());
  std::uint64_t cookie = 0;
  const auto wire_of = [&](iouring::Duration time) -> iouring::Duration {
    Asked flush(Command::flush, 0, 0);
    talk.connection.submit(flush);
    talk.go_on();
    talk.io.advance(time);
    talk.connection.look_at_network();
    Bytes reply;
    slow.say(reply << simple(0, cookie += sim::cookie_of(0)));
    talk.go_on();
    REQUIRE(talk.answers.size() == 1);
    talk.answers.clear();
    CHECK(flush.away >= time);
    return flush.wire;
  };
  CHECK(wire_of(2ms) == 300us);
  CHECK(wire_of(100us) < 300us);  // Never more than it was away.
  talk.io.health.least_round_trip = 50us;
  CHECK(wire_of(2ms) == 300us);  // It does not look for each request,
  wire_of(5s);                   // but now and then.
  CHECK(wire_of(2ms) == 50us);
  // The kernel forgets what was long ago, and then knows the tail's answers only.
  talk.io.health.least_round_trip = 2ms;
  wire_of(5s);
  CHECK(wire_of(4ms) == 50us);
}
