#include "netlink/routes_digest.hpp"

#include "netlink/message.hpp"
#include "netlink/parse.hpp"

#include <cerrno>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace netlink {

namespace {

constexpr int rta_via = 18, rta_nh_id = 30;  // linux/rtnetlink.h has them since 4.1 and 5.3.
constexpr int rtm_newnexthop = 104, rtm_getnexthop = 106;  // Since 5.3.

struct NexthopHeader {  // nhmsg of linux/nexthop.h
  std::uint8_t family, scope, protocol, reserved;
  std::uint32_t flags;
};

// FNV-1a, and a last step that spreads it: sums of many such numbers do not cancel out.
class Hash {
 public:
  void add(Bytes bytes) noexcept {
    for (const std::byte byte : bytes) state_ = (state_ ^ std::to_integer<unsigned>(byte)) * prime;
  }
  void add(int number) noexcept { add(std::as_bytes(std::span(&number, 1))); }
  std::uint64_t value() const noexcept {
    std::uint64_t mixed = (state_ ^ (state_ >> 33)) * 0xff51afd7ed558ccdu;
    mixed = (mixed ^ (mixed >> 33)) * 0xc4ceb9fe1a85ec53u;
    return mixed ^ (mixed >> 33);
  }

 private:
  static constexpr std::uint64_t prime = 0x100000001b3u;
  std::uint64_t state_ = 0xcbf29ce484222325u;
};

std::size_t header_bytes(std::uint16_t type) noexcept {
  return type == rtm_newnexthop ? sizeof(NexthopHeader) : sizeof(rtmsg);  // fib_rule_hdr: the same.
}
static_assert(sizeof(fib_rule_hdr) == sizeof(rtmsg));

template <class Header>
std::error_code digest(Socket& socket, int request, const Header& header, RoutesDigest& into) {
  return socket.query(
      [&](std::uint32_t sequence, std::vector<std::byte>& out) {
        Message().start(request, NLM_F_REQUEST | NLM_F_DUMP, sequence, header).append_to(out);
      },
      true, [&](std::uint16_t type, Bytes payload) { digest_message(type, payload, into); });
}

}  // namespace

void digest_message(std::uint16_t type, Bytes payload, RoutesDigest& into) noexcept {
  const std::size_t header = header_bytes(type);
  if (payload.size() < header) return;
  // Ours are no way that anybody else chose: they follow it.
  if (type == RTM_NEWROUTE && read<rtmsg>(payload)->rtm_protocol == our_protocol) return;
  Hash hash;
  hash.add(type);
  hash.add(payload.first(header));
  bool gateway = false;
  for_each_attribute(payload.subspan(header), [&](int attribute, Bytes value) {
    const bool route = type == RTM_NEWROUTE;
    if (route && attribute == RTA_CACHEINFO) return;  // Ages, and how long it still is valid.
    gateway = gateway || (route && (attribute == RTA_GATEWAY || attribute == RTA_MULTIPATH ||
                                    attribute == rta_via || attribute == rta_nh_id));
    hash.add(attribute);
    hash.add(value);
  });
  into.sum += hash.value();
  into.gateways = into.gateways || (gateway && read<rtmsg>(payload)->rtm_dst_len > 0);
}

std::error_code digest_routes(Socket& socket, RoutesDigest& into) {
  into = {};
  rtmsg routes{};
  routes.rtm_family = AF_INET6;
  if (const auto error = digest(socket, RTM_GETROUTE, routes, into)) return error;
  fib_rule_hdr rules{};
  rules.family = AF_INET6;
  const auto no_rules = digest(socket, RTM_GETRULE, rules, into);
  if (no_rules && no_rules.value() != EOPNOTSUPP && no_rules.value() != EAFNOSUPPORT)
    return no_rules;
  const auto no_nexthops = digest(socket, rtm_getnexthop, NexthopHeader{}, into);
  return no_nexthops && no_nexthops.value() != EOPNOTSUPP ? no_nexthops : std::error_code();
}

}  // namespace netlink
