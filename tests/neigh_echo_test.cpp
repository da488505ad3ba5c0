// Large packets that a network swallows: what a connection sends, by the kernel's list of them, and
// whether that is answered.
#include "head/neigh/echo.hpp"
#include "netlink/connections.hpp"
#include "netlink/format.hpp"
#include "tests/numbered.hpp"
#include "tests/scratch_namespace.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <netinet/in.h>
#include <sys/socket.h>

using namespace head;
using namespace std::chrono_literals;
using neigh::EchoTrial;
using netlink::TcpConnection;
using netlink::to_string;
using tests::address;

namespace {

constexpr netlink::Ip6 loopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

}  // namespace

TEST_CASE("the kernel says how large a connection's packets are", "[netlink][kernel]") {
  const int server = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int client = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int small = 1300;
  REQUIRE(::setsockopt(client, IPPROTO_TCP, 2 /* TCP_MAXSEG */, &small, sizeof small) == 0);
  sockaddr_in6 at{};
  at.sin6_family = AF_INET6;
  at.sin6_addr = in6addr_loopback;
  socklen_t size = sizeof at;
  auto* const any = reinterpret_cast<sockaddr*>(&at);
  REQUIRE(::bind(server, any, sizeof at) == 0);
  REQUIRE(::listen(server, 1) == 0);
  REQUIRE(::getsockname(server, any, &size) == 0);
  REQUIRE(::connect(client, any, sizeof at) == 0);
  std::vector<TcpConnection> all;
  REQUIRE(!netlink::dump_connections(all));
  const auto found = std::find_if(all.begin(), all.end(), [&](const TcpConnection& one) {
    return one.remote == loopback && one.port == ntohs(at.sin6_port);
  });
  REQUIRE(found != all.end());
  CHECK(found->packet == 1300 + 60);
  ::close(client);
  ::close(server);
  REQUIRE(!netlink::dump_connections(all));
  CHECK(std::none_of(all.begin(), all.end(),
                     [&](const TcpConnection& one) { return one.port == ntohs(at.sin6_port); }));
}

TEST_CASE("what the network swallows is told from what it carries, and from silence",
          "[neigh][kernel]") {
  scratch::with_tail([](int, scratch::Tail& tail) {
    for (unsigned i : {5u, 6u})
      tail.sh("ip -6 address add " + to_string(address(i)) + "/64 dev tail0 nodad");
    scratch::sh("ip link set head0 mtu 9000");  // The other end takes 1,500.
    std::array<EchoTrial, 4> trials{{{.address = address(5), .packet = 9000},
                                     {.address = address(6), .packet = 1500},
                                     {.address = address(7), .packet = 1500},
                                     {.address = address(5), .packet = 9500}}};
    REQUIRE(!neigh::try_echoes(trials, 1500ms));
    CHECK(trials[0].sent == 3);
    CHECK(trials[0].swallows_large());
    CHECK(trials[1].small);
    CHECK(trials[1].large);
    CHECK_FALSE(trials[2].small);  // Nobody is there.
    CHECK_FALSE(trials[2].swallows_large());
    CHECK_FALSE(trials[3].swallows_large());  // It was never sent.
  });
}
