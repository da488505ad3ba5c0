// What a tail offers now, on a connection of its own, in the simulated world.
#include "head/disc/survey.hpp"
#include "tests/seeds.hpp"
#include "tests/sim/nbd_server.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

using namespace head;
using tests::seeds;

namespace {

struct World : disc::Survey::Owner {
  explicit World(std::uint64_t seed, sim::Faults faults = {.partial = 0.3, .stall = 0.2})
      : io(seed, faults, [this, seed] { return std::make_unique<sim::NbdServer>(tail, seed); }) {
    disc::Survey::Owner& self = *this;
    survey.emplace(io, self, options, sockaddr_in6{}, "", "disk");
  }
  ~World() { CHECK(io.sockets_open() == 0); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void finish() {
    for (int i = 0; i < 100'000 && told == 0; ++i) io.step_or_wait();
    CHECK(told == 1);
  }

  sim::TailState tail{64 << 10};
  nbd::ConnectionOptions options;
  sim::SimIo io;
  std::optional<disc::Survey> survey;
  int told = 0;
  std::optional<nbd::ExportInfo> known;
  std::string why;

 private:
  void on_surveyed(std::optional<nbd::ExportInfo> found, std::string said) noexcept override {
    survey.reset();  // As it may.
    ++told;
    known = found;
    why = std::move(said);
  }
};

}  // namespace

TEST_CASE("a survey tells what a tail offers now, and asks nothing", "[disc][sim]") {
  World world(GENERATE(range(0u, seeds(50))));
  world.finish();
  REQUIRE(world.known);
  CHECK(world.known->size == 64 << 10);
  CHECK(world.tail.connections == 1);
  CHECK(world.tail.reads + world.tail.writes + world.tail.flushes == 0);
  CHECK(world.tail.complaints.empty());
}

TEST_CASE("a survey ends whatever its tail does, and whenever it is given up", "[disc][sim]") {
  const auto seed = GENERATE(range(0u, seeds(100)));
  CAPTURE(seed);
  World world(seed, {.partial = 0.5, .reset = 0.1, .refuse = 0.1, .stall = 0.3});
  if (seed % 2 == 0) {
    for (std::size_t i = world.io.pick(30); i > 0 && world.told == 0; --i) world.io.step_or_wait();
    if (world.survey) world.survey->give_up();
  }
  world.finish();
  CHECK(world.known.has_value() == world.why.empty());
}
