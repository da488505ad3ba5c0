#include "iouring/kernel.hpp"
#include "iouring/ring.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <random>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace {

using iouring::Ring;
using iouring::Socket;
using iouring::UniqueFd;

// One end of a pair in the ring, with a send that is waited for; the other end is the test's.
struct End {
  explicit End(Ring& ring) : io(ring) {
    std::array<int, 2> fds{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
    other = UniqueFd(iouring::adopt, fds[0]);
    socket = io.adopt(UniqueFd(iouring::adopt, fds[1]));
  }

  void send() { send(std::as_bytes(std::span("x", 1))); }
  void send(std::span<const std::byte> bytes) { io.send(sent, socket, bytes); }
  void on_sent(iouring::Result result) noexcept { res = result.res; }

  Ring& io;
  UniqueFd other;
  Socket socket;
  int res = 0;
  iouring::Op<&End::on_sent> sent{*this};
};

// Everything that the daemon does with a socket, between two ends in one ring.
struct Echo {
  explicit Echo(Ring& ring) : io(ring) {
    std::array<int, 2> fds{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
    here = io.adopt(UniqueFd(iouring::adopt, fds[0]));
    there = io.adopt(UniqueFd(iouring::adopt, fds[1]));
    listen();
  }
  ~Echo() {
    io.shutdown(here);
    while (heard.pending()) io.run_once();
    io.close(here, false);
    io.close(there, true);
  }

  void listen() { io.recv_pooled(heard, here, 0, true); }
  void on_heard(iouring::Result result) noexcept {
    got.insert(got.end(), result.bytes.begin(), result.bytes.end());
    if (result.res > 0) listen();
  }
  void on_said(iouring::Result result) noexcept { said_bytes = result.res; }
  void on_alarm() noexcept { ++alarms; }

  Ring& io;
  Socket here, there;
  std::vector<std::byte> got;
  int said_bytes = 0;
  int alarms = 0;
  iouring::Op<&Echo::on_heard> heard{*this};
  iouring::Op<&Echo::on_said> said{*this};
  iouring::Alarm<&Echo::on_alarm> alarm{*this};
};

}  // namespace

// 5.10 was taken, although 5.15 was asked for.
TEST_CASE("a kernel that is older than what is promised is refused", "[iouring]") {
  for (const char* old : {"5.14.21-150500", "5.10.0-30-amd64", "4.19.0", "5.4"}) {
    CAPTURE(old);
    const auto objection = iouring::objection_to_kernel(old);
    REQUIRE(objection);
    CHECK(objection->find(old) != std::string::npos);
    CHECK(objection->find("Linux 5.15 or newer") != std::string::npos);
  }
  for (const char* good : {"5.15.0", "5.15", "6.1.0-18-amd64", "6.12.0+deb13", "10.0", "odd"})
    CHECK_FALSE(iouring::objection_to_kernel(good));
}

TEST_CASE("every rung of the ladder of features carries the same bytes", "[iouring]") {
  iouring::Features allowed;
  SECTION("all there is") {}
  SECTION("no DEFER_TASKRUN") {
    allowed.defer_taskrun = false;
  }
  SECTION("no shared ring of buffers") {
    allowed.buffer_ring = false;
  }
  SECTION("no direct sockets") {
    allowed.direct_sockets = false;
  }
  SECTION("as in 5.15") {
    allowed = {.defer_taskrun = false,
               .buffer_ring = false,
               .direct_sockets = false,
               .skip_success = false};
  }
  // Four buffers for sixteen sockets: most receives find the pool empty at first.
  Ring ring({.entries = 64, .receive_buffers = 4, .receive_buffer_size = 256, .allowed = allowed});
  CHECK(ring.features().direct_sockets == (allowed.direct_sockets && allowed.buffer_ring));
  std::vector<std::unique_ptr<Echo>> echoes;
  for (int i = 0; i < 16; ++i) echoes.push_back(std::make_unique<Echo>(ring));

  std::vector<std::byte> text(5'000);
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = std::byte(i * 7);
  for (auto& echo : echoes) ring.send(echo->said, echo->there, text);
  const auto all_heard = [&] {
    for (const auto& echo : echoes)
      if (echo->got.size() < text.size()) return false;
    return true;
  };
  for (int rounds = 0; rounds < 100'000 && !all_heard(); ++rounds) ring.run_once();
  for (const auto& echo : echoes) {
    CHECK(echo->said_bytes == static_cast<int>(text.size()));
    CHECK(echo->got == text);
  }
  ring.arm(echoes[0]->alarm, ring.now() + std::chrono::milliseconds(1));
  ring.arm(echoes[1]->alarm, ring.now() + std::chrono::hours(1));
  while (echoes[0]->alarms == 0) ring.run_once();
  ring.disarm(echoes[1]->alarm);
  CHECK(echoes[1]->alarms == 0);
}

TEST_CASE("timers fire in the order of their deadlines, whatever the order of arming",
          "[iouring]") {
  struct Clock {
    struct One {
      void on_alarm() noexcept { fired->push_back(number); }
      int number = 0;
      std::vector<int>* fired = nullptr;
      iouring::Alarm<&One::on_alarm> alarm{*this};
    };
    iouring::Timers timers;
    std::vector<int> fired;
    std::vector<std::unique_ptr<One>> all;
  } clock;
  const auto seed = GENERATE(range(0u, 50u));
  std::mt19937 random(seed);
  const iouring::Instant start{};
  std::vector<int> expected;
  for (int i = 0; i < 40; ++i) {
    auto& one = clock.all.emplace_back(std::make_unique<Clock::One>());
    one->number = i;
    one->fired = &clock.fired;
  }
  std::vector<int> order(clock.all.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  std::shuffle(order.begin(), order.end(), random);
  for (const int i : order) {
    auto& alarm = clock.all[static_cast<std::size_t>(i)]->alarm;
    clock.timers.arm(alarm, start + std::chrono::seconds(random() % 100));  // Moved below.
    clock.timers.arm(alarm, start + std::chrono::seconds(i));
    if (random() % 4 == 0) clock.timers.disarm(alarm);
  }
  for (const auto& one : clock.all)
    if (one->alarm.armed()) expected.push_back(one->number);
  clock.timers.fire(start + std::chrono::seconds(100));
  CHECK(clock.fired == expected);
  CHECK(!clock.timers.earliest());
}

// The kernel shuts sockets down on a thread of its own, which looked up the place in the table of
// direct descriptors when the place had its next socket: guests lost their sessions at random.
TEST_CASE("a socket is not shut down in place of the one whose place it got", "[iouring]") {
  Ring ring(Ring::Options{});
  for (int round = 0; round < 30; ++round) {
    std::vector<std::unique_ptr<End>> ends;
    for (int i = 0; i < 64; ++i) ends.push_back(std::make_unique<End>(ring));
    for (auto& end : ends) {
      ring.shutdown(end->socket);
      ring.close(end->socket, false);
      end = std::make_unique<End>(ring);
    }
    for (int again = 0; again < 5; ++again) {
      for (const auto& end : ends) end->send();
      for (const auto& end : ends) {
        while (end->sent.pending()) ring.run_once();
        REQUIRE(end->res == 1);
      }
    }
    for (const auto& end : ends) ring.close(end->socket, false);
  }
}

TEST_CASE("a hang-up is heard of although there is something to read", "[iouring]") {
  iouring::Features allowed;
  allowed.direct_sockets = GENERATE(true, false);
  Ring ring({.entries = 64, .allowed = allowed});
  End end(ring);
  REQUIRE(::send(end.other.fd(), "x", 1, MSG_NOSIGNAL) == 1);
  end.res = 1;
  ring.await_hangup(end.sent, end.socket);
  for (int rounds = 0; rounds < 3; ++rounds) {
    ring.wake();
    ring.run_once();
  }
  CHECK(end.sent.pending());
  SECTION("the peer's") {
    end.other = {};
  }
  SECTION("our own") {
    ring.shutdown(end.socket);
  }
  for (int rounds = 0; end.sent.pending(); ++rounds) {
    REQUIRE(rounds < 1000);
    ring.run_once();
  }
  CHECK(end.res >= 0);
  ring.close(end.socket, false);
}

// A peer that is slow is told from one that takes nothing: nbd::Writer::interrupt() relies on it.
TEST_CASE("a send that is cancelled says how much of it has left", "[iouring]") {
  Ring ring(Ring::Options{});
  End end(ring);
  const auto finish = [&] {
    for (int rounds = 0; end.sent.pending(); ++rounds) {
      REQUIRE(rounds < 1000);
      ring.run_once();
    }
  };
  const std::vector<std::byte> much(8 << 20);
  end.send(much);
  ring.cancel(end.sent);  // Takes its turn behind the send, which waits for room by then.
  finish();
  CHECK(end.res > 0);
  CHECK(end.res < static_cast<int>(much.size()));

  end.send(much);
  ring.cancel(end.sent);
  finish();
  CHECK(end.res == -ECANCELED);
  ring.close(end.socket, false);
}

// And nbd::Reader::interrupt() on this.
TEST_CASE("a receive that is cancelled says how much has come", "[iouring]") {
  Ring ring(Ring::Options{});
  End end(ring);
  std::vector<std::byte> room(1 << 20);
  std::array<iovec, 2> parts{
      {{room.data(), room.size() / 2}, {room.data() + room.size() / 2, room.size() / 2}}};
  msghdr into{};
  into.msg_iov = parts.data();
  into.msg_iovlen = GENERATE(1u, 2u);
  const auto receive = [&] {
    ring.recv(end.sent, end.socket, into);
    for (int rounds = 0; rounds < 3; ++rounds) {
      ring.wake();
      ring.run_once();
    }
    CHECK(end.sent.pending());  // It waits for all.
    ring.cancel(end.sent);
    for (int rounds = 0; end.sent.pending(); ++rounds) {
      REQUIRE(rounds < 1000);
      ring.run_once();
    }
    return end.res;
  };
  REQUIRE(::send(end.other.fd(), "abc", 3, MSG_NOSIGNAL) == 3);
  CHECK(receive() == 3);
  CHECK(receive() == -ECANCELED);
  ring.close(end.socket, false);
}

namespace {

// A TCP connection of a ring's to a listener that takes nobody in: what is sent to it waits,
// acknowledged.
struct Talk {
  explicit Talk(Ring& on) : ring(on), socket(on.open_tcp({}, {})) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener.fd(), any, size) == 0);
    REQUIRE(::listen(listener.fd(), 1) == 0);
    REQUIRE(::getsockname(listener.fd(), any, &size) == 0);
    ring.connect(op, socket, address);
    REQUIRE(wait() == 0);
  }
  int wait() {
    while (op.pending()) {
      ring.wake();  // What is deferred ends nobody's wait.
      ring.run_once();
    }
    return res;
  }
  void on_done(iouring::Result result) noexcept { res = result.res; }

  Ring& ring;
  const UniqueFd listener{iouring::adopt, ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const Socket socket;
  int res = -1;
  iouring::Op<&Talk::on_done> op{*this};
};

}  // namespace

TEST_CASE("how a TCP connection fares can be asked of any socket", "[iouring]") {
  iouring::Features allowed;
  allowed.direct_sockets = GENERATE(true, false);
  Ring ring({.entries = 64, .allowed = allowed});

  Talk talk(ring);
  CHECK(talk.socket.direct == ring.features().direct_sockets);
  ring.send(talk.op, talk.socket, std::as_bytes(std::span("x", 1)));
  REQUIRE(talk.wait() == 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));

  iouring::TcpHealth health{.retransmitted = 99, .unacknowledged = 99, .recovering = true};
  ring.look_at(talk.op, talk.socket, health);
  REQUIRE(talk.wait() == 0);
  CHECK(health.retransmitted == 0);
  CHECK(health.unacknowledged == 0);
  CHECK_FALSE(health.recovering);
  CHECK(health.least_round_trip > std::chrono::microseconds(0));
  CHECK(health.least_round_trip < std::chrono::milliseconds(40));
  CHECK(health.since_sent >= std::chrono::milliseconds(40));
  CHECK(health.acknowledged == 1);
  ring.close(talk.socket, true);
}

TEST_CASE("when a send departed can be asked of any socket", "[iouring]") {
  iouring::Features allowed;
  allowed.direct_sockets = GENERATE(true, false);
  Ring ring({.entries = 64, .allowed = allowed});
  Talk talk(ring);
  iouring::Departure departure;

  const auto before = iouring::wall_now();
  iovec part{.iov_base = const_cast<char*>("x"), .iov_len = 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ring.send(talk.op, talk.socket, message);
  REQUIRE(talk.wait() == 1);
  ring.take_departure(talk.op, talk.socket, departure);
  CHECK(talk.wait() == -EAGAIN);  // Nobody asked.

  for (int i = 0; i < 3; ++i) {
    iouring::ask_for_departure(message);
    ring.send(talk.op, talk.socket, message);
    REQUIRE(talk.wait() == 1);
    ring.await_departure(talk.op, talk.socket);
    REQUIRE(talk.wait() >= 0);
    ring.take_departure(talk.op, talk.socket, departure);
    REQUIRE(talk.wait() >= 0);
    REQUIRE(departure.at());
    CHECK(*departure.at() >= before);
    CHECK(*departure.at() <= iouring::wall_now());
  }
  // A socket that is over has none, and says so.
  ring.await_departure(talk.op, talk.socket);
  ring.shutdown(talk.socket);
  talk.wait();
  ring.take_departure(talk.op, talk.socket, departure);
  CHECK(talk.wait() < 0);
  ring.close(talk.socket, true);
}
