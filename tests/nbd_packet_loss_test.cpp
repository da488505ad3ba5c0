// Whether packets were lost, from two looks at a connection.
#include "head/nbd/packet_loss.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using head::nbd::Health;
using head::nbd::packets_were_lost;

TEST_CASE("packets were lost", "[nbd]") {
  const iouring::Instant at{1h};
  const Health before{.at = at, .tcp = {.retransmitted = 3, .out_of_order = 2}};
  const auto look = [&](iouring::TcpHealth tcp, iouring::Duration later = 10ms) {
    return packets_were_lost(before, {.at = at + later, .tcp = tcp});
  };
  const iouring::TcpHealth same = before.tcp;
  CHECK_FALSE(look(same));

  iouring::TcpHealth tcp = same;
  tcp.retransmitted = 4;
  CHECK(look(tcp));
  CHECK_FALSE(look(tcp, 2s));  // Who knows when that was.
  tcp = same;
  tcp.out_of_order = 3;
  CHECK(look(tcp));
  tcp = same;
  tcp.recovering = true;
  CHECK(look(tcp));
  CHECK(look(tcp, 2s));
  tcp = same;
  tcp.unacknowledged = 1;
  tcp.since_sent = 40ms;
  CHECK_FALSE(look(tcp));  // A delayed acknowledgement.
  tcp.since_sent = 50ms;
  CHECK(look(tcp));
  tcp.unacknowledged = 0;
  CHECK_FALSE(look(tcp));  // The tail has it, and thinks.

  // The first look at a new connection.
  CHECK_FALSE(packets_were_lost({}, {.at = at, .tcp = {.retransmitted = 1}}));
}
