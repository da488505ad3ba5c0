#include "netlink/route.hpp"

#include "netlink/message.hpp"
#include "netlink/parse.hpp"

#include <algorithm>
#include <cerrno>
#include <linux/rtnetlink.h>

namespace netlink {

Ip6 first_of(const Prefix& prefix) noexcept {
  Ip6 first = prefix.address;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const int kept = std::clamp(prefix.bits - 8 * static_cast<int>(i), 0, 8);
    first[i] = static_cast<std::uint8_t>(first[i] & (0xff00 >> kept));
  }
  return first;
}

bool contains(const Prefix& prefix, const Ip6& address) noexcept {
  return first_of({address, prefix.bits}) == first_of(prefix);
}

std::error_code find_route(Socket& socket, const Ip6& address, int ifindex, Route& into) {
  rtmsg header{};
  header.rtm_family = AF_INET6;
  header.rtm_dst_len = 128;
  std::optional<Route> found;
  const auto error = socket.query(
      [&](std::uint32_t sequence, std::vector<std::byte>& out) {
        Message message;
        message.start(RTM_GETROUTE, NLM_F_REQUEST, sequence, header).put(RTA_DST, address);
        if (ifindex != 0) message.put(RTA_OIF, static_cast<std::uint32_t>(ifindex));
        message.append_to(out);
      },
      false,
      [&](std::uint16_t type, Bytes payload) {
        if (type == RTM_NEWROUTE) found = parse_route(payload);
      });
  if (error) return error;
  if (!found || (!found->unicast && !found->local)) return system_error(ENETUNREACH);
  into = *found;
  return {};
}

}  // namespace netlink
