// Neighbour advertisements. One that nobody asked for says that a host has an address now (RFC
// 4861, section 7.2.6): the kernel follows those with the override flag; of those without it
// follows none, and tells nobody. One that was asked for answers the kernel, or a question of ours
// (solicitor.hpp). Listening takes CAP_NET_RAW, and so does saying so of our own addresses.
#pragma once

#include "netlink/neighbour.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace head::neigh {

struct Announcement {
  netlink::NeighbourKey who;
  netlink::Mac lladdr{};
  bool overrides = false;  // The kernel follows it by itself, unless an entry is permanent.
  bool solicited = false;  // It answers a question.
  bool operator==(const Announcement&) const = default;
};

// An ICMPv6 message that came with this hop limit, as RFC 4861, section 7.1.2, wants it: nothing
// for what is no valid advertisement, or names no Ethernet address. The checksum is the kernel's
// business. Pure.
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
  // Whether more came since the last call than the kernel kept for us.
  bool take_lost() noexcept { return std::exchange(lost_, false); }

  // Tells all hosts at an interface that our address is there: those who have kept it at another
  // link-layer address would go on sending to that one.
  void announce(int ifindex, const std::string& dev, const netlink::Ip6& address,
                const netlink::Mac& lladdr) const noexcept;

 private:
  int fd_ = -1;
  std::uint32_t dropped_ = 0;  // By the kernel, since the beginning.
  bool lost_ = false;
  std::string problem_;
};

}  // namespace head::neigh
