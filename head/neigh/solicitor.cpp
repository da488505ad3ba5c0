#include "head/neigh/solicitor.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <span>
#include <sys/socket.h>
#include <unistd.h>

namespace head::neigh {

namespace {

constexpr std::size_t header_bytes = 40;
constexpr std::byte undiminished{255};  // A hop limit that no router has passed on.

netlink::Ip6 solicited_node(const netlink::Ip6& who) noexcept {
  netlink::Ip6 group{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff};
  std::memcpy(&group[13], &who[13], 3);
  return group;
}

// RFC 1071, of an even number of bytes.
std::uint32_t sum(std::span<const std::byte> bytes, std::uint32_t so_far) noexcept {
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
    so_far += std::to_integer<std::uint32_t>(bytes[i]) << 8 |
              std::to_integer<std::uint32_t>(bytes[i + 1]);
  return so_far;
}

}  // namespace

std::array<std::byte, 72> solicitation(const netlink::Ip6& who, const Asker& asker) noexcept {
  constexpr std::size_t message_bytes = 32;
  std::array<std::byte, header_bytes + message_bytes> packet{};
  const netlink::Ip6 group = solicited_node(who);
  packet[0] = std::byte{0x60};  // The version.
  packet[5] = std::byte{message_bytes};
  packet[6] = std::byte{IPPROTO_ICMPV6};
  packet[7] = undiminished;
  std::memcpy(&packet[8], asker.address.data(), asker.address.size());
  std::memcpy(&packet[24], group.data(), group.size());

  const std::span message = std::span(packet).subspan(header_bytes);
  message[0] = std::byte{ND_NEIGHBOR_SOLICIT};
  std::memcpy(&message[8], who.data(), who.size());
  message[24] = std::byte{ND_OPT_SOURCE_LINKADDR};
  message[25] = std::byte{1};  // Eight bytes.
  std::memcpy(&message[26], asker.lladdr.data(), asker.lladdr.size());

  // With the pseudo-header of RFC 8200, section 8.1.
  std::uint32_t total = sum(std::span(packet).subspan(8, 32), message_bytes + IPPROTO_ICMPV6);
  total = sum(message, total);
  while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
  const std::uint16_t check = htons(static_cast<std::uint16_t>(~total));
  std::memcpy(&message[2], &check, sizeof check);
  return packet;
}

netlink::Mac group_of(const netlink::Ip6& who) noexcept {
  return {0x33, 0x33, 0xff, who[13], who[14], who[15]};
}

// No protocol: nothing is received, and no packet takes longer on our account.
Solicitor::Solicitor() : fd_(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  if (fd_ >= 0) return;
  problem_ = std::string("neighbours cannot be asked by headd itself: ") + std::strerror(errno) +
             "; the kernel asks them, later, and whoever floods it with claims can keep it from "
             "that; headd needs CAP_NET_RAW and AF_PACKET (RestrictAddressFamilies in its unit)";
}

Solicitor::~Solicitor() {
  if (fd_ >= 0) ::close(fd_);
}

bool Solicitor::ask(const Solicitation& what, const Asker& asker) const noexcept {
  if (fd_ < 0) return false;
  const auto packet = solicitation(what.who.address, asker);
  const netlink::Mac to = what.at.value_or(group_of(what.who.address));
  sockaddr_ll where{};
  where.sll_family = AF_PACKET;
  where.sll_protocol = htons(ETH_P_IPV6);
  where.sll_ifindex = what.who.ifindex;
  where.sll_halen = static_cast<unsigned char>(to.size());
  std::memcpy(where.sll_addr, to.data(), to.size());
  return ::sendto(fd_, packet.data(), packet.size(), MSG_DONTWAIT,
                  reinterpret_cast<const sockaddr*>(&where),
                  sizeof where) == static_cast<ssize_t>(packet.size());
}

}  // namespace head::neigh
