#include "netlink/connections.hpp"

#include "netlink/message.hpp"
#include "netlink/parse.hpp"
#include "netlink/socket.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstddef>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>

namespace netlink {

namespace {

constexpr std::uint32_t established = 1;  // TCP_ESTABLISHED, include/net/tcp_states.h.
constexpr std::uint32_t ipv6_header = 40, tcp_header = 20, timestamps = 12;

std::optional<TcpConnection> parse_connection(Bytes payload) {
  const auto head = read<inet_diag_msg>(payload);
  if (!head || head->idiag_family != AF_INET6) return {};
  TcpConnection connection{.port = ntohs(head->id.idiag_dport)};
  std::memcpy(connection.remote.data(), head->id.idiag_dst, connection.remote.size());
  for_each_attribute(payload.subspan(NLMSG_ALIGN(sizeof *head)), [&](auto type, Bytes value) {
    if (type != INET_DIAG_INFO) return;
    // Older kernels know less of it.
    tcp_info info{};
    std::memcpy(&info, value.data(), std::min(value.size(), sizeof info));
    const bool stamped = (info.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0;
    connection.packet = ipv6_header + tcp_header + (stamped ? timestamps : 0) + info.tcpi_snd_mss;
  });
  return connection.packet == 0 ? std::nullopt : std::optional(connection);
}

}  // namespace

std::error_code dump_connections(std::vector<TcpConnection>& into) {
  into.clear();
  Socket socket({}, NETLINK_SOCK_DIAG);
  inet_diag_req_v2 asked{};
  asked.sdiag_family = AF_INET6;
  asked.sdiag_protocol = IPPROTO_TCP;
  asked.idiag_ext = 1 << (INET_DIAG_INFO - 1);
  asked.idiag_states = 1 << established;
  return socket.query(
      [&](std::uint32_t sequence, std::vector<std::byte>& out) {
        Message()
            .start(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, sequence, asked)
            .append_to(out);
      },
      true,
      [&](std::uint16_t type, Bytes payload) {
        if (type != SOCK_DIAG_BY_FAMILY) return;
        if (const auto connection = parse_connection(payload)) into.push_back(*connection);
      });
}

}  // namespace netlink
