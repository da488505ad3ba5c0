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
