// Apart from the other socket calls: linux/tcp.h, which has all of struct tcp_info, and
// netinet/tcp.h cannot be included together.
#include "iouring/socket.hpp"

#include <cerrno>
#include <cstdint>
#include <linux/tcp.h>

namespace iouring {

int tcp_health(int fd, TcpHealth& into) noexcept {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return errno;
  into = {.retransmitted = info.tcpi_total_retrans,
          .out_of_order = info.tcpi_rcv_ooopack,
          .unacknowledged = info.tcpi_unacked,
          .since_sent = std::chrono::milliseconds(info.tcpi_last_data_sent),
          .round_trip = std::chrono::microseconds(info.tcpi_rtt),
          .least_round_trip =
              std::chrono::microseconds(info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt),
          .recovering = info.tcpi_ca_state == TCP_CA_Recovery ||
                        info.tcpi_ca_state == TCP_CA_Loss || info.tcpi_retransmits != 0,
          // The kernel counts our SYN as a byte.
          .acknowledged = info.tcpi_bytes_acked == 0 ? 0 : info.tcpi_bytes_acked - 1};
  return 0;
}

}  // namespace iouring
