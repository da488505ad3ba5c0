#include "netlink/link.hpp"

#include "netlink/message.hpp"
#include "netlink/parse.hpp"

#include <algorithm>
#include <linux/if.h>
#include <linux/rtnetlink.h>

namespace netlink {

bool Link::up() const noexcept {
  return flags & IFF_UP;
}
bool Link::running() const noexcept {
  return (flags & IFF_UP) && (flags & IFF_RUNNING);
}
bool Link::resolves() const noexcept {
  return (flags & (IFF_NOARP | IFF_LOOPBACK)) == 0;
}

std::error_code dump_links(Socket& socket, std::vector<Link>& into) {
  into.clear();
  const ifinfomsg header{};
  const auto error = socket.query(
      [&](std::uint32_t sequence, std::vector<std::byte>& out) {
        Message().start(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, sequence, header).append_to(out);
      },
      true,
      [&](std::uint16_t type, Bytes payload) {
        if (type != RTM_NEWLINK) return;
        if (auto link = parse_link(payload)) into.push_back(std::move(*link));
      });
  std::sort(into.begin(), into.end(),
            [](const Link& a, const Link& b) { return a.ifindex < b.ifindex; });
  return error;
}

}  // namespace netlink
