// One request that the tail ends its connection on.
#include "tests/disc_world.hpp"
#include "tests/seeds.hpp"

#include <cerrno>

using namespace head;
using namespace std::chrono_literals;
using disc::Isolation;
using nbd::Command;
using tests::disc_world::Asked;
using tests::disc_world::World;

TEST_CASE("what was in flight when several connections ended is asked alone", "[disc]") {
  Isolation isolation;
  Asked one(Command::trim, 0, 512, {}), other(Command::read, 0, 512, {});
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(Isolation::is_suspect(one));
    CHECK_FALSE(isolation.lost(one, true, 1));
  }
  CHECK(Isolation::is_suspect(one));
  // However often: others were in flight.
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(isolation.lost(one, true, 1));
  isolation.alone = &one;
  for (int i = 0; i < 3; ++i) CHECK_FALSE(isolation.lost(one, false, 3));
  CHECK_FALSE(isolation.lost(other, true, 1));
  CHECK_FALSE(isolation.lost(one, true, 3));
  CHECK_FALSE(isolation.lost(one, true, 3));
  CHECK(isolation.lost(one, true, 3));
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(isolation.lost(one, true, 0));
  one.forget_attempts();
  CHECK_FALSE(Isolation::is_suspect(one));
  CHECK_FALSE(isolation.lost(one, true, 2));
}

TEST_CASE("what is asked alone does not wait for a connection that answers nothing before",
          "[disc][sim]") {
  World world(1, {.partial = 0, .stall = 0}, {});
  world.run_until([&] { return world.disc->info() != nullptr; });
  const auto pass = [&](iouring::Duration time) {
    for (const auto until = world.io.now() + time; world.io.now() < until;)
      if (!world.io.step_or_wait()) world.io.advance(1ms);
  };
  world.tail.options.silent = true;
  Asked read(Command::read, 0, 512, world.io.now());
  world.disc->submit(read);
  for (unsigned deaths = 0; deaths < Isolation::deaths_before; ++deaths) {
    pass(1s);
    world.io.hang_up(*world.newest.back());
  }
  pass(10s);  // A connection of its own is opened, and asked whether it answers.
  CHECK(read.answers == 0);
  world.tail.options.silent = false;
  pass(1min);
  CHECK(read.answers == 1);
  CHECK(read.error == 0);
}
