// The production export in front of the production disc, in the simulated world.
#include "head/disc/disc.hpp"
#include "head/export/export.hpp"
#include "tests/seeds.hpp"
#include "tests/sim/caller.hpp"
#include "tests/sim/nbd_server.hpp"

#include <catch2/catch.hpp>

using namespace head;
using namespace head::exports;
using namespace std::chrono_literals;
using nbd::Command;
using sim::Caller;
using tests::seeds;

namespace {

// A tail that answers nothing at times, without hanging up.
class Tail final : public sim::Peer {
 public:
  Tail(sim::TailState& state, std::uint64_t seed, const bool& silent)
      : server_(state, seed), silent_(silent) {}
  bool on_bytes(sim::Bytes& from_us, sim::Bytes& to_us) override {
    return silent_ || server_.on_bytes(from_us, to_us);
  }

 private:
  sim::NbdServer server_;
  const bool& silent_;
};

class World final : Export::Owner, disc::Disc::Owner, disc::Patience::Owner {
 public:
  explicit World(std::uint64_t seed, sim::TailOptions options = {})
      : tail(64 << 10), io(seed, {.partial = 0.3, .stall = 0.2}, [this] {
          return std::make_unique<Tail>(tail, io.random()(), silent);
        }) {
    tail.options = options;
    disc::Disc::Owner& disc_owner = *this;
    disc::Patience::Owner& patience_owner = *this;
    Export::Owner& export_owner = *this;
    patience.emplace(io, patience_owner, stalls.hold_ups());
    disc.emplace(io, disc_owner, *patience,
                 disc::DiscOptions{.name = "d", .interface = {}, .export_name = "x"}, connection,
                 stats);
    served.emplace(io, "d", *disc, *stats, stalls, pool, iouring::UniqueFd(), export_owner);
    disc->open();
    run_until([&] { return disc->info() != nullptr; });
  }
  ~World() {
    served->close();
    disc->close();
    run_until([&] { return closed == 2; });
    served.reset();
    disc.reset();
    CHECK(pool.whole());
    CHECK(stats->in_flight == 0);
    CHECK(io.sockets_open() == 0);
    CHECK(tail.complaints == std::vector<std::string>{});
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Caller& guest(sim::Asking asking) { return sim::knock(io, asking); }
  void run_until(const std::function<bool()>& reached) {
    for (int i = 0; i < 1'000'000 && !reached(); ++i) step();
    REQUIRE(reached());
  }
  void run(int steps) {
    for (int i = 0; i < steps; ++i) step();
  }
  // Whatever happens, the disc has nothing of a guest that the export does not count.
  void step() {
    io.step_or_wait();
    if (disc->outstanding() > stats->in_flight) ++disagreements;
  }
  // The tail goes away, and stays away until it comes back.
  void go_away() {
    tail.options.shutdown = 1.0;
    io.faults.refuse = 1.0;
  }
  void come_back() {
    tail.options.shutdown = 0.0;
    io.faults.refuse = 0.0;
    silent = false;
  }

  sim::TailState tail;
  bool silent = false;
  sim::SimIo io;
  nbd::ConnectionOptions connection;
  PayloadPool pool{io, 0};
  const std::shared_ptr<stats::DiscStats> stats = std::make_shared<stats::DiscStats>();
  stats::StallLog log;
  stats::Stalls stalls{20ms, log};
  std::optional<disc::Patience> patience;
  std::optional<disc::Disc> disc;
  std::optional<Export> served;
  int closed = 0;
  int disagreements = 0;

 private:
  void on_export_closed(Export&) noexcept override { ++closed; }
  void on_disc_closed(disc::Disc&) noexcept override { ++closed; }
  void on_disc_opened(disc::Disc&, const stats::Opening&) noexcept override {}
  void on_waiting(disc::Disc&) noexcept override {}
};

}  // namespace

TEST_CASE("An export and its disc agree on what is in flight", "[export][disc][sim]") {
  const auto seed = GENERATE(range(0u, seeds(100)));
  CAPTURE(seed);
  World world(seed, {.block_minimum = seed % 2 == 0 ? 0u : 4096u});
  std::vector<Caller*> guests;
  for (unsigned i = 0; i < 6; ++i)
    guests.push_back(&world.guest({.command = i % 2 == 0 ? Command::read : Command::write,
                                   .requests = 5 + i * 10,
                                   .length = 700}));
  world.run(static_cast<int>(world.io.pick(400)));
  world.go_away();
  world.run(5000);
  // All that guests asked for waits at the disc, and nothing else is counted by either.
  CHECK(world.stats->in_flight == world.disc->outstanding());
  CHECK(world.stats->in_flight > 0);
  world.io.hang_up(*guests[5]);
  world.run(2000);
  CHECK(world.stats->in_flight == world.disc->outstanding());
  world.come_back();
  for (unsigned i = 0; i < 5; ++i)
    world.run_until([&] { return guests[i]->answers() == 5 + i * 10; });
  world.run_until([&] { return world.stats->in_flight == 0; });
  CHECK(world.disc->outstanding() == 0);
  CHECK(world.served->guests() == 5);
  CHECK(world.disagreements == 0);
}

TEST_CASE("A guest may come back as often as it likes while the tail is away",
          "[export][disc][sim]") {
  const auto seed = GENERATE(range(0u, 20u));
  CAPTURE(seed);
  // It broke, or it is connected and says nothing: then requests cannot be withdrawn.
  const bool silent = seed % 2 == 0;
  World world(seed, {.block_minimum = seed % 4 < 2 ? 0u : 4096u});
  if (silent)
    world.silent = true;
  else
    world.go_away();
  world.guest({.requests = 1});  // Its request finds out.
  world.run(3000);

  std::size_t most = 0;
  for (unsigned i = 0; i < 40; ++i) {
    Caller& guest = world.guest({.command = i % 2 == 0 ? Command::read : Command::write,
                                 .requests = i % 3 == 0 ? 80u : 20u,  // 80: more than are read.
                                 .length = 5000,
                                 .goodbye = i % 10 == 9});
    world.run_until([&] { return guest.heard == Caller::greeting; });
    world.run(1500);
    world.io.hang_up(guest);
    world.io.advance(1s);
    world.run(300);
    most = std::max<std::size_t>(most, world.stats->in_flight);
  }
  CHECK(world.io.turned_away() == 0);
  // Never more than what a connection may have begun, and what those who said goodbye want done.
  CHECK(most <= (silent ? 128u : 0u) + 32u + 4 * 64 + 64 + 1);
  CHECK(world.stats->in_flight == world.disc->outstanding());

  world.come_back();
  if (silent) world.io.faults.reset = 0.01;  // The connection that was silent breaks at last.
  world.run_until([&] { return world.stats->connections == 0 || world.disc->outstanding() == 0; });
  world.io.faults.reset = 0;
  Caller& last = world.guest({.requests = 1});
  world.run_until([&] { return last.answers() == 1; });
  world.run_until([&] { return world.stats->in_flight == 0; });
  CHECK(world.disc->outstanding() == 0);
  CHECK(world.tail.writes >= 2 * 20);  // Of those who said goodbye.
  CHECK(world.disagreements == 0);
}

TEST_CASE("What nobody wants any more is not sent again", "[export][disc][sim]") {
  World world(3);
  world.silent = true;
  Caller& guest = world.guest({.command = Command::write, .requests = 10});
  world.run(3000);
  REQUIRE(world.disc->outstanding() == 10);
  world.io.hang_up(guest);
  world.run(1000);
  CHECK(world.served->guests() == 0);
  // One is on the connection, and cannot be had back. The others, of the same block, waited for it.
  CHECK(world.disc->outstanding() == 1);
  world.io.faults.reset = 1.0;
  world.run(10);
  world.io.faults.reset = 0;
  world.run_until([&] { return world.disc->outstanding() == 0; });
  world.come_back();
  world.run(3000);
  CHECK(world.tail.writes == 0);
}
