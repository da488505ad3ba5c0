// Who may change something.
#include "head/control/peer.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <sys/socket.h>
#include <unistd.h>

using namespace head;
using control::may_change;
using control::Peer;

TEST_CASE("operators are root, headd's own user and the members of a group", "[control]") {
  constexpr gid_t operators = 500;
  CHECK(may_change(Peer{.uid = 1000}, std::nullopt, 999));
  CHECK(may_change(std::nullopt, std::nullopt, 999));
  CHECK(may_change(Peer{.uid = 0}, operators, 999));
  CHECK(may_change(Peer{.uid = 999}, operators, 999));
  CHECK(may_change(Peer{.uid = 1000, .groups = {7, 500}}, operators, 999));
  CHECK_FALSE(may_change(Peer{.uid = 1000, .groups = {7, 501}}, operators, 999));
  CHECK_FALSE(may_change(Peer{.uid = 1000}, operators, 999));
  CHECK_FALSE(may_change(std::nullopt, operators, 999));
}

TEST_CASE("the kernel says who is at the other end", "[control]") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const auto peer = control::peer_of(ends[0]);
  REQUIRE(peer);
  CHECK(peer->uid == ::geteuid());
  CHECK(std::find(peer->groups.begin(), peer->groups.end(), ::getegid()) != peer->groups.end());
  for (const int end : ends) ::close(end);
  CHECK_FALSE(control::peer_of(ends[0]));
}
