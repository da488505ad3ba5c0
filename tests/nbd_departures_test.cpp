#include "head/nbd/departures.hpp"
#include "tests/nbd_connection_talk.hpp"
#include "tests/sim/nbd_server.hpp"

#include <catch2/catch.hpp>

using namespace head;
using namespace std::chrono_literals;
using iouring::Duration;
using iouring::WallInstant;
using nbd::Command;
using tests::Asked;
using tests::Talk;

TEST_CASE("a packet was parked if it departed after its send was done", "[nbd]") {
  const WallInstant begun{1'000'000s};
  const nbd::TimedSend send{.begun = begun, .done = begun + 2ms};
  CHECK_FALSE(nbd::parked_for(send, begun - 1us));  // An earlier one's, told again.
  CHECK(nbd::parked_for(send, begun + 10us) == Duration{});
  // The thread was held up before the send, not the packet.
  CHECK(nbd::parked_for(send, begun + 2ms) == Duration{});
  CHECK(nbd::parked_for(send, begun + 300ms) == Duration(300ms));
  // Told before the send was known to be done, so it was not parked.
  CHECK(nbd::parked_for({.begun = begun, .done = {}}, begun + 1ms) == Duration{});
}

namespace {

// A connection to a tail that answers, and reads of 16 bytes on it.
struct Reading {
  Reading() {
    talk.io.faults = {};
    talk.ask({});
    REQUIRE(talk.connection.ready());
  }
  void submit(Asked& request) { talk.connection.submit(request); }
  // One, and its answer.
  void read() {
    submit(one);
    talk.go_on();
    REQUIRE(talk.answers.size() == ++answered);
  }

  sim::TailState state{1 << 20};
  Talk talk{1, [this] { return std::make_unique<sim::NbdServer>(state, 1); }};
  Asked one{Command::read, 0, 16};
  std::size_t answered = 0;
};

}  // namespace

TEST_CASE("the departure of one send in 64 is asked for, and of those after a rest", "[nbd]") {
  Reading reading;
  auto& io = reading.talk.io;
  const auto asked_in = [&](int reads) {
    const auto before = io.departures;
    for (int i = 0; i < reads; ++i) reading.read();
    return io.departures - before;
  };
  CHECK(asked_in(64) == 1);
  CHECK(asked_in(640) == 10);
  CHECK(asked_in(10) == 1);
  io.advance(900ms);
  CHECK(asked_in(1) == 0);
  io.advance(1s);
  CHECK(asked_in(1) == 1);
  CHECK(asked_in(60) == 0);
  CHECK(reading.talk.parked.empty());
}

TEST_CASE("what TCP may put off by itself is not asked for", "[nbd]") {
  Reading reading;
  auto& io = reading.talk.io;
  const auto asked_for = [&](std::uint32_t size) {
    io.advance(2s);
    const auto before = io.departures;
    Asked write(Command::write, 0, size);
    reading.submit(write);
    reading.talk.go_on();
    ++reading.answered;
    return io.departures - before == 1;
  };
  CHECK(asked_for(1'100));
  CHECK(asked_for(4'096));
  CHECK_FALSE(asked_for(8'192));

  io.health.recovering = true;
  io.advance(6s);
  reading.submit(reading.one);
  reading.talk.connection.look_at_network();
  reading.talk.go_on();
  REQUIRE(reading.talk.losses == 1);
  CHECK(asked_for(1'100));
  CHECK_FALSE(asked_for(4'096));
  io.advance(10s);
  CHECK(asked_for(4'096));

  // The interface was away: once, the kernel cuts what is sent into pieces of 36 bytes.
  reading.talk.outage_until = io.now() + 1ms;
  CHECK_FALSE(asked_for(37));
  CHECK(asked_for(4'096));
  reading.talk.outage_until = io.now() + 1ms;
  io.advance(2s);
  const auto before_read = io.departures;
  reading.submit(reading.one);
  reading.talk.go_on();
  CHECK(io.departures == before_read + 1);

  // Another is unanswered.
  io.advance(2s);
  const auto before = io.departures;
  Asked first(Command::write, 0, 8'192), second(Command::read, 0, 16);
  reading.submit(first);
  reading.submit(second);
  reading.talk.go_on();
  CHECK(io.departures == before);
}

TEST_CASE("how long a packet was parked is told", "[nbd]") {
  Reading reading;
  auto& io = reading.talk.io;
  io.parked = 300ms;
  reading.read();
  CHECK(reading.talk.parked.empty());
  io.advance(300ms);
  reading.talk.go_on();
  REQUIRE(reading.talk.parked.size() == 1);
  CHECK(reading.talk.parked[0] >= 299ms);
  CHECK(reading.talk.parked[0] <= 301ms);
  // The next one is told of as well.
  io.parked = 0ms;
  io.advance(1s);
  reading.read();
  io.parked = 200ms;
  io.advance(1s);
  reading.read();
  io.advance(200ms);
  reading.talk.go_on();
  CHECK(reading.talk.parked.size() == 2);
}

TEST_CASE("a connection can end while a departure is waited for", "[nbd]") {
  Reading reading;
  reading.talk.io.parked = 1h;
  reading.read();
  const bool leave = GENERATE(false, true);
  if (leave)
    reading.talk.connection.leave();
  else
    reading.talk.connection.fail("enough");
  reading.talk.go_on();
  CHECK(reading.talk.closed());
  CHECK(reading.talk.parked.empty());
}
