#include "head/control/socket_access.hpp"

#include <catch2/catch.hpp>

#include <grp.h>
#include <unistd.h>

using namespace head;
using Catch::Matchers::Contains;

TEST_CASE("a socket's group is looked up by name", "[control]") {
  const group* mine = ::getgrgid(::getegid());
  REQUIRE(mine != nullptr);
  const auto access =
      control::access_of({.mode = 0660, .group = mine->gr_name}, "api.socket_group");
  CHECK(access.mode == 0660);
  CHECK(access.group == ::getegid());
  CHECK_FALSE(control::access_of({.mode = 0600, .group = ""}, "api.socket_group").group);
}

TEST_CASE("a group that does not exist is named, with its key", "[control]") {
  CHECK_THROWS_WITH(
      control::access_of({.mode = 0660, .group = "no such group"}, "api.socket_group"),
      Contains("api.socket_group") && Contains("no such group"));
}
