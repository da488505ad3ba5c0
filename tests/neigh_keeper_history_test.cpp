// What the keeper remembers of entries, and which moves it calls silent; with the kernel.
#include "tests/neigh_wants.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

using namespace tests;

namespace {

bool has(const std::vector<PastChange>& changes, const std::function<bool(const PastChange&)>& is) {
  return std::any_of(changes.begin(), changes.end(), is);
}

// A datagram that nobody waits for.
void send(const Ip6& to) {
  sockaddr_in6 peer{};
  peer.sin6_family = AF_INET6;
  peer.sin6_port = htons(9);
  std::memcpy(&peer.sin6_addr, to.data(), to.size());
  const int fd = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ::sendto(fd, "x", 1, MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&peer), sizeof peer);
  ::close(fd);
}

}  // namespace

TEST_CASE("what became of entries is remembered with their discs", "[neigh][doctor][kernel]") {
  scratch::with_veth([](int) {
    Keeper keeper;
    Reports reports;
    const auto start = std::chrono::system_clock::now();
    keeper.want(discs(3), reports.ready());
    reports.of("disc2");
    CHECK(keeper.changes(start).size() == 3);
    CHECK(has(keeper.changes(start), [](const PastChange& past) {
      return past.written && past.disc == "disc1" && past.change.after->lladdr == mac(1);
    }));
    sh("ip -6 neigh del " + to_string(address(1)) + " dev head0");
    // It is gone, by somebody else's doing, and written again, by ours.
    REQUIRE(eventually([&] {
      const auto now = keeper.changes(start);
      return now.size() >= 5 && now.back().written;
    }));
    const auto changes = keeper.changes(start);
    CHECK(has(changes, [](const PastChange& past) {
      return !past.written && past.disc == "disc1" && !past.change.after && past.change.before;
    }));
    CHECK(keeper.changes(std::chrono::system_clock::now() + 1s).empty());
  });
}

TEST_CASE("a tail that takes an address over without a word is found out",
          "[neigh][doctor][kernel]") {
  scratch::with_tail([](int, scratch::Tail& tail) {
    // The kernel asks again soon.
    sh("sysctl -qw net.ipv6.neigh.head0.base_reachable_time_ms=500");
    Keeper keeper;
    Reports reports;
    tail.sh("ip -6 address add " + to_string(address(1)) + "/64 dev tail0 nodad");
    keeper.want({disc(1, tail.lladdr())}, reports.ready());
    reports.of("disc1");
    const auto entry_is = [&](std::uint16_t state, const Mac& lladdr) {
      return eventually([&] {
        send(address(1));
        std::vector<Neighbour> all;
        REQUIRE(!dump(all));
        for (const Neighbour& entry : all)
          if (entry.key.address == address(1))
            return entry.state == state && entry.lladdr == lladdr;
        return false;
      });
    };
    REQUIRE(entry_is(nud::reachable, tail.lladdr()));
    REQUIRE(keeper.snapshot().counters.silent_moves == 0);

    SECTION("asked for, it answers: silent") {
      tail.sh("sysctl -qw net.ipv6.conf.tail0.ndisc_notify=0");
      tail.sh("ip link set tail0 address 02:00:00:00:99:99");
      CHECK(eventually([&] {
        send(address(1));
        return keeper.snapshot().counters.silent_moves > 0;
      }));
      CHECK(keeper.snapshot().silent_mover == "disc1");
    }
    SECTION("announced: not silent") {
      tail.sh("sysctl -qw net.ipv6.conf.tail0.ndisc_notify=1");
      tail.sh("ip link set tail0 address 02:00:00:00:99:99");
      CHECK(eventually([&] { return keeper.snapshot().counters.conflicts > 0; }));
      CHECK(keeper.snapshot().counters.silent_moves == 0);
    }
  });
}
