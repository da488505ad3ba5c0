#include "netlink/monitor.hpp"

#include "netlink/parse.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstddef>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace netlink {

namespace {

constexpr std::size_t datagrams_max = 4096;
constexpr std::size_t discarded_max = 16'384;  // At a time: some 20 ms.
constexpr std::size_t receive_bytes = 32 * 1024;

void note(const MessageView& message, Changes& changes) {
  switch (message.type) {
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      if (const auto neighbour = parse_neighbour(message.payload))
        changes.neighbours.push_back({*neighbour, message.type == RTM_DELNEIGH});
      return;
    case RTM_GETNEIGH:
      if (const auto neighbour = parse_neighbour(message.payload))
        changes.asked.push_back(*neighbour);
      return;
    case RTM_NEWLINK:
    case RTM_DELLINK:
      if (auto link = parse_link(message.payload))
        changes.links.push_back({std::move(*link), message.type == RTM_DELLINK});
      return;
    case RTM_NEWADDR:
    case RTM_DELADDR:
      if (const auto address = parse_address(message.payload))
        changes.addresses.push_back({*address, message.type == RTM_DELADDR});
      return;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      if (const auto prefix = parse_prefix(message.payload)) changes.routes.push_back(*prefix);
      if (const auto route = parse_host_route(message.payload))
        changes.host_routes.push_back({*route, message.type == RTM_DELROUTE});
      return;
    case RTM_NEWRULE:
    case RTM_DELRULE:
      changes.routes.push_back({});
      return;
  }
}

}  // namespace

Monitor::Monitor(std::uint32_t except_port, int buffer_bytes) : in_(receive_bytes) {
  socket_.set_receive_buffer(buffer_bytes);
  filter(except_port);
  socket_.join(RTNLGRP_NEIGH);
  socket_.join(RTNLGRP_LINK);
  socket_.join(RTNLGRP_IPV6_IFADDR);
  socket_.join(RTNLGRP_IPV6_ROUTE);
  socket_.join(RTNLGRP_IPV6_RULE);
}

// Drops RTM_NEWNEIGH of other families than IPv6 (ARP, bridges), and of those and of routes what
// `except_port` caused. The kernel sends one notification to a datagram, so looking at the first
// header will do. Its fields are in host order; the filter loads them as big-endian.
void Monitor::filter(std::uint32_t except_port) noexcept {
  constexpr std::uint32_t keep = 0xffffffff, drop = 0;
  constexpr std::uint32_t family_at = sizeof(nlmsghdr);
  std::array<sock_filter, 11> program{{
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 5, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWNEIGH), 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELNEIGH), 0, 4),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, family_at),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(nlmsghdr, nlmsg_pid)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, except_port ? htonl(except_port) : keep, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, keep),
      BPF_STMT(BPF_RET | BPF_K, drop),
  }};
  const sock_fprog attach{static_cast<unsigned short>(program.size()), program.data()};
  // Without it there is only more to read.
  ::setsockopt(fd(), SOL_SOCKET, SO_ATTACH_FILTER, &attach, sizeof attach);
}

Changes Monitor::read() {
  Changes changes;
  if (discarding_) {
    changes.drained = discard();
    discarding_ = !changes.drained;
    return changes;
  }
  for (std::size_t datagrams = 0; datagrams < datagrams_max; ++datagrams) {
    const ssize_t got = ::recv(fd(), in_.data(), in_.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno != ENOBUFS) {
      changes.drained = true;
      break;
    }
    if (got < 0 || static_cast<std::size_t>(got) > in_.size()) {
      changes.lost = true;
      continue;
    }
    for_each_message(Bytes(in_).first(static_cast<std::size_t>(got)),
                     [&](const MessageView& message) { note(message, changes); });
  }
  if (changes.lost) {
    changes = {};
    changes.lost = true;
    discarding_ = true;
  }
  return changes;
}

// Whoever has lost some looks at everything again: the rest is not worth reading. True when there
// is nothing more.
bool Monitor::discard() noexcept {
  std::byte none{};
  for (std::size_t datagrams = 0; datagrams < discarded_max; ++datagrams)
    if (::recv(fd(), &none, sizeof none, MSG_DONTWAIT | MSG_TRUNC) < 0 && errno != ENOBUFS &&
        errno != EINTR)
      return true;
  return false;
}

}  // namespace netlink
