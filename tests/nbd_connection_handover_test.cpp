// A connection that is handed over, and goes on elsewhere.
#include "tests/nbd_connection_talk.hpp"
#include "tests/seeds.hpp"
#include "tests/sim/nbd_server.hpp"

#include <catch2/catch.hpp>

#include <optional>

using namespace tests;

namespace {

// Two connections in one world: the first hands over to the second.
struct Handing {
  struct End final : nbd::Connection::Owner {
    explicit End(Handing& world) : connection(world.io, *this, world.options) {}

    void on_open() noexcept override { ++opened; }
    void on_answer(nbd::Request& request, int error) noexcept override {
      answers.emplace_back(&request, error);
    }
    void on_closed(const std::string& why, nbd::RequestQueue unanswered) noexcept override {
      closed = true;
      problem = why;
      while (nbd::Request* request = unanswered.pop()) back.push_back(request);
    }
    void on_handed_over(nbd::HandedConnection with) noexcept override {
      handed.emplace(std::move(with));
    }
    void on_packets_lost(iouring::Instant) noexcept override {}
    void on_parked(iouring::Instant, iouring::Duration) noexcept override {}
    bool interface_was_away(iouring::Instant) const noexcept override { return false; }

    nbd::Connection connection;
    int opened = 0;
    bool closed = false;
    std::string problem;
    std::vector<std::pair<nbd::Request*, int>> answers;
    std::vector<nbd::Request*> back;
    std::optional<nbd::HandedConnection> handed;
  };

  explicit Handing(std::uint64_t seed)
      : io(seed, {.partial = 0.7, .stall = 0.2}, [this] {
          auto server = std::make_unique<sim::NbdServer>(tail, io.random()());
          peer = server.get();
          return server;
        }) {
    first.connection.open({}, {}, "x");
    go_on();
  }
  ~Handing() {
    for (End* const end : {&first, &second}) end->connection.fail("the test is over");
    go_on();
    CHECK(io.sockets_open() == 0);
  }
  void go_on() {
    for (int i = 0; i < 10'000 && io.step(); ++i) {
    }
  }
  void ask(End& end, Asked& request) {
    end.connection.submit(request);
    go_on();
    REQUIRE(!end.answers.empty());
    CHECK(end.answers.back() == std::pair<nbd::Request*, int>(&request, 0));
  }

  sim::TailState tail{64 << 10};
  nbd::ConnectionOptions options;
  sim::Peer* peer = nullptr;
  sim::SimIo io;
  End first{*this}, second{*this};
};

}  // namespace

TEST_CASE("a connection on which nothing is under way goes on elsewhere as it is", "[nbd][sim]") {
  const auto seed = GENERATE(range(0u, seeds(100)));
  CAPTURE(seed);
  Handing world(seed);
  REQUIRE(world.first.connection.ready());
  Asked write(Command::write, 512, 512);
  world.ask(world.first, write);
  const nbd::ExportInfo info = world.first.connection.info();

  world.first.connection.hand_over();
  CHECK(!world.first.handed);  // Never inside the call.
  world.go_on();
  REQUIRE(world.first.handed);
  CHECK(world.first.connection.state() == nbd::Connection::State::closed);
  CHECK(!world.first.closed);

  world.second.connection.take_up(std::move(*world.first.handed));
  CHECK(world.second.connection.ready());
  CHECK(world.second.connection.info() == info);
  for (const Command what : {Command::read, Command::block_status}) {
    Asked asked(what, 512, 512);
    world.ask(world.second, asked);
    if (what == Command::read) CHECK(asked.bytes == write.bytes);
  }
  CHECK(world.second.opened == 0);
  CHECK(world.tail.connections == 1);
  CHECK(world.tail.complaints == std::vector<std::string>{});
}

TEST_CASE("a connection that no descriptor can be made of says goodbye", "[nbd][sim]") {
  const auto seed = GENERATE(range(0u, seeds(50)));
  CAPTURE(seed);
  Handing world(seed);
  Asked read(Command::read, 0, 512);
  world.ask(world.first, read);
  world.io.duplicate_errors = {EMFILE};
  world.first.connection.hand_over();
  world.go_on();
  CHECK(!world.first.handed);
  CHECK(world.first.closed);
  CHECK(world.first.problem.empty());
  CHECK(world.first.connection.end() == nbd::Connection::End::nothing_under_way);
  // And it can be opened again.
  world.first.connection.open({}, {}, "x");
  world.go_on();
  CHECK(world.first.connection.ready());
}

TEST_CASE("a connection that ends while it is handed over is closed", "[nbd][sim]") {
  const auto seed = GENERATE(range(0u, seeds(50)));
  CAPTURE(seed);
  Handing world(seed);
  world.first.connection.hand_over();
  SECTION("by its owner") {
    for (unsigned i = 0; i < seed % 8; ++i) world.io.step();
    world.first.connection.fail("enough");
    world.go_on();
    CHECK(world.first.closed != world.first.handed.has_value());
  }
  SECTION("by the tail") {
    world.io.hang_up(*world.peer);
    world.go_on();
    if (world.first.handed) {  // It had let go of the socket: whoever takes it up finds it dead.
      world.second.connection.take_up(std::move(*world.first.handed));
      world.go_on();
      CHECK(world.second.closed);
      CHECK(world.second.connection.end() == nbd::Connection::End::nothing_under_way);
    } else {
      CHECK(world.first.closed);
    }
  }
}

TEST_CASE("bytes that nobody asked for do not go along unseen", "[nbd][sim]") {
  const auto seed = GENERATE(range(0u, seeds(100)));
  CAPTURE(seed);
  Handing world(seed);
  Bytes junk;
  junk << sim::chunk(nbd::wire::Chunk::none, 0, true);
  world.first.connection.hand_over();
  world.io.say(*world.peer, junk);
  world.go_on();
  if (world.first.handed) {  // They came when it had let go of the socket.
    world.second.connection.take_up(std::move(*world.first.handed));
    world.go_on();
    CHECK(world.second.problem.find("broke the protocol") != std::string::npos);
  } else {
    CHECK(world.first.problem.find("bytes that nobody asked for") != std::string::npos);
  }
}

TEST_CASE("a cookie of before a hand-over is nobody's behind it", "[nbd]") {
  nbd::Slots before, behind;
  std::vector<std::uint64_t> cookies;
  Asked request(Command::read, 0, 512), other(Command::read, 0, 512);
  for (int i = 0; i < 5; ++i) {
    cookies.push_back(before.insert(request));
    before.remove(*before.find(cookies.back()));
  }
  behind.begin_after(before.generation());
  const std::uint64_t newest = behind.insert(other);
  for (const std::uint64_t cookie : cookies) CHECK(behind.find(cookie) == nullptr);
  behind.remove(*behind.find(newest));
}
