// The production export in the simulated world: who is let in, who is ended, and how it closes.
#include "head/export/export.hpp"

#include "head/disc/disc.hpp"
#include "iouring/socket.hpp"
#include "tests/log_lines.hpp"
#include "tests/memory_volume.hpp"
#include "tests/seeds.hpp"
#include "tests/sim/caller.hpp"
#include "tests/sim/nbd_server.hpp"

#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <unistd.h>

using namespace head;
using namespace head::exports;
using namespace std::chrono_literals;
using nbd::Command;
using sim::Caller;
using tests::seeds;

namespace {

class World final : Export::Owner {
 public:
  explicit World(std::uint64_t seed = 1, sim::Faults faults = {.partial = 0.3, .stall = 0.2})
      : io(seed, faults, [] { return nullptr; }) {
    Export::Owner& self = *this;
    served.emplace(io, "disk", volume, stats, stalls, pool, iouring::UniqueFd(), self);
  }
  ~World() {
    if (closed == 0 && !closing) served->close();
    for (int i = 0; i < 100'000 && closed == 0; ++i) {
      if (!volume.waiting.empty()) volume.answer(0);
      io.step_or_wait();
    }
    CHECK(closed == 1);
    served.reset();
    CHECK(pool.whole());
    CHECK(stats.in_flight == 0);
    CHECK(stats.guests == 0);
    CHECK(io.sockets_open() == 0);
    CHECK(volume.complaints == std::vector<std::string>{});
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Caller& guest(sim::Asking asking = {}) { return sim::knock(io, asking); }
  // Until nothing moves any more, but for time.
  void settle() {
    for (int i = 0; io.step(); ++i) REQUIRE(i < 200'000);
  }
  void answer_all() {
    for (int i = 0; !volume.waiting.empty(); settle()) {
      REQUIRE(++i < 100'000);
      volume.answer(0);
    }
  }
  // Past what other tests have said, so that lines are not held back.
  void advance_past_log() {
    static int times = 0;
    io.advance(4h + 1h * ++times);
  }
  void close() {
    closing = true;
    served->close();
  }

  sim::SimIo io;
  tests::MemoryVolume volume{1 << 20};
  stats::DiscStats stats;
  stats::StallLog log;
  stats::Stalls stalls{20ms, log};
  PayloadPool pool{io, 0};
  std::optional<Export> served;
  bool closing = false;
  int closed = 0;

 private:
  void on_export_closed(Export&) noexcept override { ++closed; }
};

}  // namespace

TEST_CASE("A disc serves so many guests; one more is turned away, and the log says so",
          "[export][sim]") {
  World world;
  world.advance_past_log();
  tests::LogLines log;
  std::vector<Caller*> guests;
  for (std::size_t i = 0; i < Export::guests_max; ++i) guests.push_back(&world.guest());
  world.settle();
  CHECK(world.served->guests() == Export::guests_max);
  CHECK(world.io.turned_away() == 0);
  CHECK(log.count("turned away") == 0);

  for (int i = 0; i < 20; ++i) world.guest();
  world.settle();
  CHECK(world.served->guests() == Export::guests_max);
  CHECK(world.stats.guests == Export::guests_max);
  CHECK(world.io.turned_away() == 20);
  CHECK(log.count("disc disk: a guest was turned away: 16 are connected") == 5);

  world.io.hang_up(*guests[3]);
  world.settle();
  CHECK(world.served->guests() == Export::guests_max - 1);
  Caller& late = world.guest();
  world.settle();
  world.answer_all();
  CHECK(late.answers() == 1);
  CHECK(world.io.turned_away() == 20);
}

TEST_CASE("Where descriptors run out, guests wait until there are some", "[export][sim]") {
  World world;
  world.advance_past_log();
  tests::LogLines log;
  const int error = GENERATE(EMFILE, ENFILE, ENOMEM, ENOBUFS, EBADF);
  CAPTURE(error);
  world.io.accept_errors.assign(3, error);
  Caller& guest = world.guest();
  world.settle();
  CHECK(world.io.accept_errors.size() == 2);  // It was not asked again and again.
  CHECK(world.served->guests() == 0);
  CHECK(log.count("a guest waits to be let in") == 1);
  CHECK(log.count("LimitNOFILE") == (error == EBADF ? 0 : 1));

  SECTION("it is asked again after a while") {
    for (const std::size_t left : {1u, 0u}) {
      world.io.advance(100ms);
      world.settle();
      CHECK(world.io.accept_errors.size() == left);
    }
    world.io.advance(100ms);
    world.settle();
    world.answer_all();
    CHECK(guest.answers() == 1);
  }
  SECTION("and the export may close meanwhile") {
    world.close();
    world.settle();
    CHECK(world.closed == 1);
  }
}

// It was hung up on, though its number was given back at once.
TEST_CASE("A guest that goes into a direct place may come by one of the last numbers",
          "[export][sim]") {
  World world;
  rlimit files{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
  const int number = ::dup(STDERR_FILENO);  // The one that the guest will have.
  ::close(number);
  const rlimit few{.rlim_cur = static_cast<rlim_t>(number + number / 3),
                   .rlim_max = files.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  const bool reserved = iouring::is_reserved(number);
  Caller& guest = world.guest();
  world.settle();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0);
  REQUIRE(reserved);
  REQUIRE(world.served->guests() == 1);
  world.answer_all();
  CHECK(guest.answers() == 1);
  CHECK(world.io.turned_away() == 0);
}

TEST_CASE("A guest that gave up before it was let in delays nobody", "[export][sim]") {
  World world;
  world.io.accept_errors.assign(5, ECONNABORTED);
  Caller& guest = world.guest();
  world.settle();
  world.answer_all();
  CHECK(guest.answers() == 1);
}

TEST_CASE("An export with guests closes when the volume has answered", "[export][sim]") {
  const auto seed = GENERATE(range(0u, seeds(200)));
  CAPTURE(seed);
  World world(seed);
  std::vector<Caller*> guests;
  for (unsigned i = 0; i < 10; ++i)
    guests.push_back(&world.guest({.command = i % 2 == 0 ? Command::read : Command::write,
                                   .requests = i * 5,
                                   .length = 5000,
                                   .goodbye = i == 4,
                                   .held_back = i == 7 ? 100u : 0u}));
  guests[9]->takes = Caller::greeting + 20'000;
  for (std::size_t i = world.io.pick(1500); i > 0; --i) {
    if (!world.volume.waiting.empty() && world.io.chance(0.1)) world.volume.answer(0);
    world.io.step();
  }
  world.close();
  const bool at_volume = !world.volume.waiting.empty();
  world.settle();
  CHECK((world.closed == 0) == at_volume);
  CHECK(world.stats.guests == 0);
  while (!world.volume.waiting.empty()) {
    CHECK(world.closed == 0);
    world.volume.answer(world.io.pick(world.volume.waiting.size()));
  }
  world.settle();
  CHECK(world.closed == 1);
}

TEST_CASE("A guest that does not take its answers is ended", "[export][sim]") {
  World world;
  world.advance_past_log();
  tests::LogLines log;
  Caller& deaf = world.guest({.requests = 100, .length = 64 << 10});
  deaf.takes = Caller::greeting + 100'000;
  Caller& other = world.guest({.requests = 10});
  world.settle();
  world.answer_all();
  CHECK(other.answers() == 10);
  CHECK(deaf.heard == Caller::greeting + 100'000);
  CHECK(world.stats.in_flight == Session::in_flight_max);  // And no more, whatever it asks.

  SECTION("after 30 s in which not one byte has left") {
    world.io.advance(29s);
    world.settle();
    CHECK(world.served->guests() == 2);
    world.io.advance(2s);
    world.settle();
    CHECK(world.served->guests() == 1);
    CHECK(world.stats.in_flight == 0);
    CHECK(world.pool.whole());
    CHECK(log.count("disc disk: a guest was hung up on: it takes no answers") == 1);
  }
  SECTION("but not one that takes a little at a time") {
    for (int i = 0; i < 40; ++i) {
      world.io.advance(20s);
      deaf.takes = 1;
      world.settle();
      world.answer_all();
    }
    CHECK(deaf.heard == Caller::greeting + 100'040);
    CHECK(world.served->guests() == 2);
    deaf.takes = std::numeric_limits<std::size_t>::max();
    world.settle();
    world.answer_all();
    CHECK(deaf.answers() == 100);
    world.io.advance(1h);  // Nothing is owed to it, or by it.
    world.settle();
    CHECK(world.served->guests() == 2);
  }
  SECTION("also when it has said goodbye") {
    Caller& polite = world.guest({.requests = 1, .length = 64 << 10, .goodbye = true});
    polite.takes = Caller::greeting;
    world.settle();
    world.answer_all();
    REQUIRE(world.stats.in_flight == Session::in_flight_max + 1);
    for (int i = 0; i < 4; ++i) {
      world.io.advance(31s);
      world.settle();
    }
    CHECK(world.stats.in_flight == 0);
    CHECK(world.pool.whole());
  }
}

TEST_CASE("A guest that stops in the middle of a write is ended", "[export][sim]") {
  const std::uint32_t length = GENERATE(4096u, 1u << 20);
  CAPTURE(length);
  World world;
  world.advance_past_log();
  tests::LogLines log;
  Caller& guest =
      world.guest({.command = Command::write, .requests = 3, .length = length, .held_back = 10});
  world.settle();
  world.answer_all();
  CHECK(world.stats.in_flight == 1);
  SECTION("after 30 s") {
    world.io.advance(29s);
    world.settle();
    CHECK(world.served->guests() == 1);
    world.io.advance(2s);
  }
  SECTION("but not one that is slow") {
    for (int i = 0; i < 9; ++i) {
      world.io.advance(20s);
      world.settle();
      world.io.say(guest, {std::byte{1}});
      world.settle();
    }
    REQUIRE(world.served->guests() == 1);
    SECTION("unless it stops later") {
      world.io.advance(31s);
      world.settle();
      world.io.advance(31s);
    }
    SECTION("and ends well") {
      world.io.say(guest, {std::byte{1}});
      world.settle();
      world.answer_all();
      CHECK(guest.answers() == 3);
      world.io.advance(1h);
      world.settle();
      CHECK(world.served->guests() == 1);
      CHECK(log.count("hung up on") == 0);
      return;
    }
  }
  world.settle();
  CHECK(world.served->guests() == 0);
  CHECK(world.pool.whole());
  CHECK(log.count("disc disk: a guest was hung up on: it stopped in the middle of a write") == 1);
}

TEST_CASE("A guest that stops in the middle of a request is ended", "[export][sim]") {
  const bool waited = GENERATE(false, true);  // Its first request arrives in two pieces then.
  const std::size_t said = GENERATE(1u, 18u, 27u);
  const unsigned whole = waited ? 0 : GENERATE(0u, 2u);
  CAPTURE(waited, said, whole);
  World world;
  world.advance_past_log();
  world.volume.known = !waited;
  tests::LogLines log;
  Caller& guest =
      world.guest({.requests = whole + 1, .held_back = sizeof(nbd::wire::Request) - said});
  world.settle();
  if (waited) world.volume.become_known();
  world.settle();
  world.answer_all();
  CHECK(guest.answers() == whole);
  SECTION("after 30 s") {
    world.io.advance(29s);
    world.settle();
    CHECK(world.served->guests() == 1);
    world.io.advance(2s);
    world.settle();
    CHECK(world.served->guests() == 0);
    CHECK(log.count("disc disk: a guest was hung up on: it stopped in the middle of a request") ==
          1);
  }
  SECTION("but not one that goes on, nor one that asks nothing") {
    nbd::wire::Request request;
    request.cookie = std::uint64_t{whole};
    request.length = 4096u;
    for (const std::byte byte : nbd::wire::bytes_of(request).subspan(said)) {
      world.io.advance(20s);
      world.settle();
      world.io.say(guest, {byte});
      world.settle();
    }
    world.answer_all();
    CHECK(guest.answers() == whole + 1);
    for (int i = 0; i < 3; ++i) {
      world.io.advance(1h);
      world.settle();
    }
    CHECK(world.served->guests() == 1);
    CHECK(log.count("hung up on") == 0);
  }
}

TEST_CASE("Who says goodbye while another's session is buried is counted rightly",
          "[export][sim]") {
  World world(1, {.partial = 0});               // What is asked arrives as one.
  constexpr std::uint32_t length = 4992 << 10;  // Two of them: too much for a disc with two guests.
  world.volume.data.resize(length);
  world.volume.described.size = length;
  Caller& idle = world.guest({.requests = 0});
  world.settle();
  Caller& deaf = world.guest({.requests = 2, .length = length, .goodbye = true});
  deaf.takes = Caller::greeting;
  world.settle();
  REQUIRE(world.volume.waiting.size() == 1);  // The other waits for memory, the goodbye behind it.
  REQUIRE(world.served->guests() == 2);

  world.io.hang_up(idle);
  world.settle();
  CHECK(world.volume.waiting.size() == 2);
  CHECK(world.served->guests() == 0);
  CHECK(world.stats.guests == 0);
}

TEST_CASE("A guest that does not finish its handshake is ended", "[export][sim]") {
  World world;
  world.advance_past_log();
  tests::LogLines log;
  world.guest().takes = 0;
  world.settle();
  world.io.advance(9s);
  world.settle();
  CHECK(world.served->guests() == 1);
  world.io.advance(2s);
  world.settle();
  CHECK(world.served->guests() == 0);
  CHECK(log.count("disc disk: a guest was hung up on: its handshake") == 1);
}

TEST_CASE("A guest that waited for the volume has to go on afterwards", "[export][sim]") {
  World world;
  world.volume.known = false;
  world.guest();
  world.settle();
  world.io.advance(1h);  // For us it waits as long as it takes.
  world.settle();
  CHECK(world.served->guests() == 1);
  world.volume.become_known();
  world.settle();
  world.answer_all();
  world.io.advance(1h);
  world.settle();
  CHECK(world.served->guests() == 1);
}
