#include "netlink/host_routes.hpp"

#include "netlink/message.hpp"
#include "netlink/parse.hpp"

#include <algorithm>
#include <cerrno>
#include <linux/rtnetlink.h>

namespace netlink {

namespace {

constexpr int dump_attempts = 4;  // While the kernel says that the table changed under the dump.

rtmsg header_of_ours() {
  rtmsg header{};
  header.rtm_family = AF_INET6;
  header.rtm_dst_len = 128;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = our_protocol;
  header.rtm_type = RTN_UNICAST;
  return header;
}

}  // namespace

std::vector<EntryError> set_routes(Socket& socket, std::span<const HostRoute> routes) {
  Message message;
  return socket.batch(routes.size(), [&](std::size_t i, std::uint16_t flags, std::uint32_t sequence,
                                         std::vector<std::byte>& out) {
    const HostRoute& route = routes[i];
    message.start(RTM_NEWROUTE, flags | NLM_F_CREATE | NLM_F_REPLACE, sequence, header_of_ours())
        .put(RTA_DST, route.address)
        .put(RTA_GATEWAY, route.next_hop.address)
        .put(RTA_OIF, static_cast<std::uint32_t>(route.next_hop.ifindex))
        .put(RTA_PRIORITY, our_metric);
    if (route.lease.count() > 0)
      message.put(RTA_EXPIRES, static_cast<std::uint32_t>(route.lease.count()));
    message.append_to(out);
  });
}

std::vector<EntryError> remove_routes(Socket& socket, std::span<const Ip6> addresses) {
  Message message;
  auto errors = socket.batch(
      addresses.size(),
      [&](std::size_t i, std::uint16_t flags, std::uint32_t sequence, std::vector<std::byte>& out) {
        message.start(RTM_DELROUTE, flags, sequence, header_of_ours())
            .put(RTA_DST, addresses[i])
            .put(RTA_PRIORITY, our_metric)
            .append_to(out);
      });
  std::erase_if(errors, [](const EntryError& failed) { return failed.error.value() == ESRCH; });
  return errors;
}

std::error_code dump_routes(Socket& socket, std::vector<HostRoute>& into) {
  rtmsg header{};
  header.rtm_family = AF_INET6;
  std::error_code error;
  for (int attempt = 0; attempt < dump_attempts; ++attempt) {
    into.clear();
    error = socket.query(
        [&](std::uint32_t sequence, std::vector<std::byte>& out) {
          Message()
              .start(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, sequence, header)
              .append_to(out);
        },
        true,
        [&](std::uint16_t type, Bytes payload) {
          if (type != RTM_NEWROUTE) return;
          if (const auto route = parse_host_route(payload)) into.push_back(*route);
        });
    if (error.value() != EAGAIN) break;
  }
  std::sort(into.begin(), into.end(),
            [](const HostRoute& a, const HostRoute& b) { return a.address < b.address; });
  return error;
}

}  // namespace netlink
