// Neighbour advertisements that nobody asked for: a host says that it has an address now (RFC 4861,
// section 7.2.6). The kernel follows those with the override flag; of those without it follows
// none, and tells nobody. Listening takes CAP_NET_RAW, and so does saying so of our own addresses.
#pragma once

#include "netlink/neighbour.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace head::neigh {

struct Announcement {
  netlink::NeighbourKey who;
  netlink::Mac lladdr{};
  bool overrides = false;  // The kernel follows it by itself, unless an entry is permanent.
  bool operator==(const Announcement&) const = default;
};

// An ICMPv6 message that came with this hop limit, as RFC 4861, section 7.1.2, wants it: nothing
// for what is no valid advertisement, was asked for, or has no Ethernet address. The checksum is
// the kernel's business. Pure.
std::optional<Announcement> parse_announcement(std::span<const std::byte> message, int hop_limit,
                                               int ifindex) noexcept;

// Such a message of our own, with the override flag, its checksum left to the kernel. Pure.
std::array<std::byte, 32> announcement(const netlink::Ip6& address, const netlink::Mac& lladdr,
                                       bool router) noexcept;

class Announcements {
 public:
  // Listens in the caller's network namespace.
  Announcements();
  ~Announcements();
  Announcements(const Announcements&) = delete;
  Announcements& operator=(const Announcements&) = delete;

  int fd() const noexcept { return fd_; }  // -1 where listening is not permitted.
  // Why nothing is heard; "" when all is well.
  const std::string& problem() const noexcept { return problem_; }

  // What has come since the last call, in order; never waits. At most some hundreds at a time.
  std::vector<Announcement> read();

  // Tells all hosts at an interface that our address is there: those who have kept it at another
  // link-layer address would go on sending to that one.
  void announce(int ifindex, const std::string& dev, const netlink::Ip6& address,
                const netlink::Mac& lladdr) const noexcept;

 private:
  int fd_ = -1;
  std::string problem_;
};

}  // namespace head::neigh
