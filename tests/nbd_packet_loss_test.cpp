// Whether packets were lost, from two looks at a connection.
#include "head/nbd/packet_loss.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using head::nbd::Health;
using head::nbd::packets_lost_at;

TEST_CASE("packets were lost", "[nbd]") {
  const iouring::Instant at{1h};
  const auto now = at + 20ms;
  const Health before{.at = at, .tcp = {.retransmitted = 3, .out_of_order = 2, .round_trip = 1ms}};
  const auto look = [&](iouring::TcpHealth tcp) {
    return packets_lost_at(before, {.at = now, .tcp = tcp});
  };
  const iouring::TcpHealth same = before.tcp;
  CHECK_FALSE(look(same));

  iouring::TcpHealth tcp = same;
  tcp.retransmitted = 4;
  CHECK(look(tcp) == at);  // And repaired since: who was there before waited for it.
  tcp = same;
  tcp.out_of_order = 3;
  CHECK(look(tcp) == at);
  tcp = same;
  tcp.recovering = true;
  CHECK(look(tcp) == now);
  tcp = same;
  tcp.unacknowledged = 1;
  tcp.since_sent = 40ms;
  CHECK_FALSE(look(tcp));  // A delayed acknowledgement.
  tcp.since_sent = 51ms;
  CHECK(look(tcp) == now);
  tcp.round_trip = 60ms;
  CHECK_FALSE(look(tcp));  // The tail is far away.
  tcp.unacknowledged = 0;
  tcp.since_sent = 1s;
  CHECK_FALSE(look(tcp));  // The tail has it, and thinks.

  // The first look at a new connection: nobody was there before.
  CHECK(packets_lost_at({}, {.at = at, .tcp = {.retransmitted = 1}}) == iouring::Instant{});
}
