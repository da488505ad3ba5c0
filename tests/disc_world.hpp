// The production disc in the simulated world, with a guest that asks and a model of what is right.
#pragma once

#include "head/disc/disc.hpp"
#include "tests/sim/nbd_server.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tests::disc_world {

using namespace head;
using nbd::Command;

// A guest's request that remembers how it was answered, over memory cut in odd places.
struct Asked final : nbd::Request {
  Asked(Command what, std::uint64_t from, std::uint32_t size, iouring::Instant now) : bytes(size) {
    command = what;
    offset = from;
    length = size;
    arrived = now;
    const std::size_t cut = size / 3;
    parts = {{{bytes.data(), cut}, {bytes.data() + cut, size - cut}}};
    memory = cut == 0 ? std::span<const iovec>(&parts[1], 1) : std::span<const iovec>(parts);
    extents = room;
  }
  void on_done(int with) noexcept override {
    ++answers;
    error = with;
  }

  sim::Bytes bytes;
  std::array<iovec, 2> parts;
  std::array<nbd::Extent, 4> room;
  int answers = 0;
  int error = -1;
};

using MakeTail = std::function<std::unique_ptr<sim::Peer>(sim::TailState&, std::uint64_t seed)>;
inline std::unique_ptr<sim::Peer> well_behaved(sim::TailState& state, std::uint64_t seed) {
  return std::make_unique<sim::NbdServer>(state, seed);
}

struct World : disc::Disc::Owner, disc::Patience::Owner {
  World(std::uint64_t seed, sim::Faults faults, sim::TailOptions options, unsigned connections = 1,
        disc::GuardOptions guard = {}, disc::Identity identity = disc::Identity::shape,
        iouring::Duration looks_apart = std::chrono::seconds(5), MakeTail make_tail = well_behaved,
        std::optional<nbd::ExportInfo> shape = {})
      : tail(64 << 10), io(seed, faults, [this, make_tail = std::move(make_tail)] {
          auto server = make_tail(tail, io.random()());
          newest.push_back(server.get());
          return server;
        }) {
    tail.options = options;
    for (std::byte& byte : tail.data) byte = std::byte(io.random()());
    model = tail.data;
    disc = std::make_unique<disc::Disc>(io, *this, patience,
                                        disc::DiscOptions{.name = "d",
                                                          .interface = {},
                                                          .export_name = "x",
                                                          .connections = connections,
                                                          .identity = identity,
                                                          .looks_apart = looks_apart,
                                                          .shape = shape,
                                                          .guard = guard},
                                        connection, std::make_shared<stats::DiscStats>());
    disc->open();
  }

  ~World() {
    disc->close();
    for (int i = 0; i < 100'000 && !closed; ++i) io.step_or_wait();
    CHECK(closed);
    disc.reset();
    CHECK(io.sockets_open() == 0);
  }

  void on_disc_closed(disc::Disc&) noexcept override { closed = true; }
  void on_disc_opened(disc::Disc&, const stats::Opening& how) noexcept override {
    openings.push_back(how);
  }
  void on_disc_shape(disc::Disc&, const nbd::ExportInfo& shape) noexcept override {
    shapes.push_back(shape);
  }
  void on_disc_unusable(disc::Disc&, const std::string& why) noexcept override {
    unusable.push_back(why);
  }
  void on_waiting(disc::Disc&) noexcept override { ++waits; }

  void run_until(const std::function<bool()>& reached) {
    for (int i = 0; i < 2'000'000 && !reached(); ++i)
      if (!io.step_or_wait()) break;
    REQUIRE(reached());
  }

  sim::TailState tail;
  std::vector<const sim::Peer*> newest;  // Of each connection; gone once that is.
  sim::SimIo io;
  nbd::ConnectionOptions connection;
  stats::HoldUps hold_ups;
  disc::Patience patience{io, *this, hold_ups};
  std::unique_ptr<disc::Disc> disc;
  sim::Bytes model;
  bool closed = false;
  int waits = 0;
  std::vector<stats::Opening> openings;
  std::vector<nbd::ExportInfo> shapes;
  std::vector<std::string> unusable;
};

// Writes that overlap nothing else in flight, so that the model knows what every byte must be.
// `relocations`: how likely the tail is said to be elsewhere, at each request.
inline void check_one_world(std::uint64_t seed, sim::Faults faults, sim::TailOptions options,
                            unsigned connections = 1, double relocations = 0) {
  World world(seed, faults, options, connections);
  auto& io = world.io;
  world.run_until([&] { return world.disc->info() != nullptr; });
  const auto size = static_cast<std::uint32_t>(world.tail.data.size());

  for (int round = 0; round < 6; ++round) {
    std::deque<Asked> asked;
    // Each has a stretch of its own, of any alignment; they may share blocks.
    for (std::uint32_t at = static_cast<std::uint32_t>(io.pick(700)); at < size;) {
      const auto length = static_cast<std::uint32_t>(
          std::min<std::size_t>(1 + io.pick(io.chance(0.2) ? 20'000 : 1'500), size - at));
      const std::size_t dice = io.pick(11);
      const Command command = dice < 4    ? Command::read
                              : dice < 8  ? Command::write
                              : dice < 9  ? Command::write_zeroes
                              : dice < 10 ? Command::cache
                                          : Command::block_status;
      Asked& next = asked.emplace_back(command, at, length, io.now());
      if (command == Command::block_status && !options.structured) next.command = Command::read;
      if (command == Command::write) {
        for (std::byte& byte : next.bytes) byte = std::byte(io.random()());
        std::copy(next.bytes.begin(), next.bytes.end(), world.model.begin() + at);
      } else if (command == Command::write_zeroes) {
        std::fill_n(world.model.begin() + at, length, std::byte{0});
      }
      world.disc->submit(next);
      REQUIRE(next.answers == 0);
      if (io.chance(0.3)) io.step();
      if (io.chance(relocations)) world.disc->relocate();
      at += length + static_cast<std::uint32_t>(io.pick(900));
    }
    world.run_until([&] {
      return std::all_of(asked.begin(), asked.end(), [](auto& a) { return a.answers > 0; });
    });
    for (const Asked& one : asked) {
      REQUIRE(one.answers == 1);
      REQUIRE(one.error == 0);
      if (one.command == Command::read)
        REQUIRE(std::equal(one.bytes.begin(), one.bytes.end(),
                           world.model.begin() + static_cast<std::ptrdiff_t>(one.offset)));
      if (one.command == Command::block_status) REQUIRE(one.extents_filled > 0);
    }
    REQUIRE(world.disc->outstanding() == 0);
  }
  CHECK(world.tail.complaints == std::vector<std::string>{});
  CHECK(world.tail.data == world.model);
}

}  // namespace tests::disc_world
