// What the kernel sends, as values. Pure functions over bytes: they neither read past their span
// nor depend on its alignment, whatever is in it; what is not understood is absent.
#pragma once

#include "netlink/address.hpp"
#include "netlink/host_routes.hpp"
#include "netlink/link.hpp"
#include "netlink/neighbour.hpp"
#include "netlink/route.hpp"
#include "netlink/socket.hpp"
#include "netlink/thresholds.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <optional>

namespace netlink {

struct MessageView {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t port = 0;  // Of whoever caused it; 0 is the kernel itself.
  Bytes payload;           // Everything after the nlmsghdr.
};

// The value at the beginning of `bytes`, of which there must be enough.
template <class T>
std::optional<T> read(Bytes bytes) noexcept {
  T value;
  if (bytes.size() < sizeof value) return {};
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// Calls `each(const MessageView&)` for every whole message of a datagram.
template <class Each>
void for_each_message(Bytes datagram, Each&& each) {
  while (const auto header = read<nlmsghdr>(datagram)) {
    if (header->nlmsg_len < sizeof *header || header->nlmsg_len > datagram.size()) return;
    each(MessageView{header->nlmsg_type, header->nlmsg_flags, header->nlmsg_seq, header->nlmsg_pid,
                     datagram.first(header->nlmsg_len).subspan(sizeof *header)});
    const std::size_t step = NLMSG_ALIGN(std::size_t{header->nlmsg_len});
    if (step >= datagram.size()) return;
    datagram = datagram.subspan(step);
  }
}

// Calls `each(type, value)` for every whole attribute.
template <class Each>
void for_each_attribute(Bytes attributes, Each&& each) {
  while (const auto header = read<nlattr>(attributes)) {
    if (header->nla_len < sizeof *header || header->nla_len > attributes.size()) return;
    each(header->nla_type & NLA_TYPE_MASK,
         attributes.first(header->nla_len).subspan(sizeof *header));
    const std::size_t step = NLA_ALIGN(std::size_t{header->nla_len});
    if (step >= attributes.size()) return;
    attributes = attributes.subspan(step);
  }
}

// Each takes the payload of one message.
std::optional<int> parse_error(Bytes payload) noexcept;  // NLMSG_ERROR, NLMSG_DONE: 0 or -errno.
std::optional<Neighbour> parse_neighbour(Bytes payload) noexcept;  // RTM_{NEW,DEL}NEIGH, IPv6.
std::optional<Link> parse_link(Bytes payload);                     // RTM_{NEW,DEL}LINK
std::optional<HostAddress> parse_address(Bytes payload) noexcept;  // RTM_NEWADDR, IPv6.
std::optional<Route> parse_route(Bytes payload) noexcept;          // RTM_NEWROUTE, IPv6.
// RTM_{NEW,DEL}ROUTE of ours to one address over one next hop.
std::optional<HostRoute> parse_host_route(Bytes payload) noexcept;
std::optional<Prefix> parse_prefix(Bytes payload) noexcept;  // RTM_{NEW,DEL}ROUTE, IPv6.

// RTM_NEWNEIGHTBL of "ndisc_cache": the table itself (`device.ifindex` 0) or one interface's part.
struct TablePart {
  std::optional<TableState> table;
  std::optional<DeviceTimers> device;
};
TablePart parse_table(Bytes payload) noexcept;

}  // namespace netlink
