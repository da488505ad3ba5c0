#include "head/neigh/announcements.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace head::neigh {

namespace {

constexpr std::size_t most_at_once = 512;
constexpr std::size_t message_max = 1500;
constexpr int undiminished = 255;  // No router has passed it on.

std::uint8_t byte_at(std::span<const std::byte> bytes, std::size_t at) {
  return std::to_integer<std::uint8_t>(bytes[at]);
}

// Whether the kernel calls itself a router there, as it does in advertisements of its own.
bool forwards(const std::string& dev) noexcept {
  char value = '0';
  const std::string path = "/proc/sys/net/ipv6/conf/" + dev + "/forwarding";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool got = ::read(fd, &value, 1) == 1;
  ::close(fd);
  return got && value != '0';
}

}  // namespace

std::optional<Announcement> parse_announcement(std::span<const std::byte> message, int hop_limit,
                                               int ifindex) noexcept {
  constexpr std::size_t header = 24, target_at = 8;
  constexpr std::uint8_t advertisement = 136, target_lladdr = 2, solicited = 0x40,
                         override_flag = 0x20;
  if (hop_limit != undiminished || message.size() < header) return {};
  if (byte_at(message, 0) != advertisement || byte_at(message, 1) != 0) return {};
  Announcement found{.who = {.ifindex = ifindex}};
  found.overrides = (byte_at(message, 4) & override_flag) != 0;
  found.solicited = (byte_at(message, 4) & solicited) != 0;
  std::memcpy(found.who.address.data(), &message[target_at], found.who.address.size());
  if (netlink::is_multicast(found.who.address)) return {};
  bool has_lladdr = false;
  for (auto rest = message.subspan(header); !rest.empty();) {
    const std::size_t length = rest.size() < 2 ? 0 : std::size_t{byte_at(rest, 1)} * 8;
    if (length == 0 || length > rest.size()) return {};
    if (byte_at(rest, 0) == target_lladdr && length == 8) {
      std::memcpy(found.lladdr.data(), &rest[2], found.lladdr.size());
      has_lladdr = true;
    }
    rest = rest.subspan(length);
  }
  if (!has_lladdr || !netlink::is_unicast(found.lladdr)) return {};
  return found;
}

std::array<std::byte, 32> announcement(const netlink::Ip6& address, const netlink::Mac& lladdr,
                                       bool router) noexcept {
  std::array<std::byte, 32> message{};
  message[0] = std::byte{ND_NEIGHBOR_ADVERT};
  message[4] =
      router ? std::byte{0xa0} : std::byte{0x20};  // Override, and where it is one, router.
  std::memcpy(&message[8], address.data(), address.size());
  message[24] = std::byte{ND_OPT_TARGET_LINKADDR};
  message[25] = std::byte{1};  // Eight bytes.
  std::memcpy(&message[26], lladdr.data(), lladdr.size());
  return message;
}

Announcements::Announcements()
    : fd_(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6)) {
  if (fd_ < 0) {
    problem_ = std::string("neighbour advertisements cannot be listened for: ") +
               std::strerror(errno) +
               "; a disc that moves is followed when its new tail sets the override flag, or when "
               "a request waits; headd needs CAP_NET_RAW for more";
    return;
  }
  icmp6_filter filter;
  ICMP6_FILTER_SETBLOCKALL(&filter);
  ICMP6_FILTER_SETPASS(ND_NEIGHBOR_ADVERT, &filter);
  ::setsockopt(fd_, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  ::setsockopt(fd_, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
  ::setsockopt(fd_, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
  const int no_router_between = 255, off = 0;
  ::setsockopt(fd_, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &no_router_between,
               sizeof no_router_between);
  ::setsockopt(fd_, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &off, sizeof off);
}

Announcements::~Announcements() {
  if (fd_ >= 0) ::close(fd_);
}

void Announcements::announce(int ifindex, const std::string& dev, const netlink::Ip6& address,
                             const netlink::Mac& lladdr) const noexcept {
  if (fd_ < 0) return;
  const auto message = announcement(address, lladdr, forwards(dev));
  sockaddr_in6 all_nodes{};
  all_nodes.sin6_family = AF_INET6;
  all_nodes.sin6_addr = {{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}};
  all_nodes.sin6_scope_id = static_cast<std::uint32_t>(ifindex);
  // Unsent, the neighbours find out by themselves, only later.
  ::sendto(fd_, message.data(), message.size(), MSG_DONTWAIT,
           reinterpret_cast<const sockaddr*>(&all_nodes), sizeof all_nodes);
}

std::vector<Announcement> Announcements::read() {
  std::vector<Announcement> all;
  for (std::size_t i = 0; fd_ >= 0 && i < most_at_once; ++i) {
    std::array<std::byte, message_max> bytes;
    alignas(cmsghdr) std::array<char, 256> control;
    iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(fd_, &message, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    int hop_limit = 0, ifindex = 0;
    bool to_many = false;
    for (cmsghdr* extra = CMSG_FIRSTHDR(&message); extra != nullptr;
         extra = CMSG_NXTHDR(&message, extra)) {
      if (extra->cmsg_level == SOL_SOCKET && extra->cmsg_type == SO_RXQ_OVFL) {
        const std::uint32_t before = dropped_;
        std::memcpy(&dropped_, CMSG_DATA(extra), sizeof dropped_);
        lost_ = lost_ || dropped_ != before;
      }
      if (extra->cmsg_level != IPPROTO_IPV6) continue;
      if (extra->cmsg_type == IPV6_HOPLIMIT)
        std::memcpy(&hop_limit, CMSG_DATA(extra), sizeof hop_limit);
      if (extra->cmsg_type == IPV6_PKTINFO) {
        in6_pktinfo info{};
        std::memcpy(&info, CMSG_DATA(extra), sizeof info);
        ifindex = static_cast<int>(info.ipi6_ifindex);
        to_many = info.ipi6_addr.s6_addr[0] == 0xff;
      }
    }
    const std::size_t size = std::min(static_cast<std::size_t>(got), bytes.size());
    const auto one = parse_announcement(std::span(bytes).first(size), hop_limit, ifindex);
    // What answers a question goes to whoever asked (RFC 4861, section 7.1.2).
    if (one && !(one->solicited && to_many)) all.push_back(*one);
  }
  return all;
}

}  // namespace head::neigh
