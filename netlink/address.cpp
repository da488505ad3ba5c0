#include "netlink/address.hpp"

#include "netlink/message.hpp"
#include "netlink/parse.hpp"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

namespace netlink {

bool HostAddress::duplicate() const noexcept {
  return flags & IFA_F_DADFAILED;
}
bool HostAddress::tentative() const noexcept {
  return flags & IFA_F_TENTATIVE;
}

std::error_code dump_addresses(Socket& socket, std::vector<HostAddress>& into) {
  into.clear();
  ifaddrmsg header{};
  header.ifa_family = AF_INET6;
  return socket.query(
      [&](std::uint32_t sequence, std::vector<std::byte>& out) {
        Message().start(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, sequence, header).append_to(out);
      },
      true,
      [&](std::uint16_t type, Bytes payload) {
        if (type != RTM_NEWADDR) return;
        if (const auto address = parse_address(payload)) into.push_back(*address);
      });
}

}  // namespace netlink
