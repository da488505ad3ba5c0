// Neighbour advertisements that nobody asked for: a host says that it has an address now (RFC 4861,
// section 7.2.6). The kernel follows those with the override flag; of those without it follows
// none, and tells nobody. Listening takes CAP_NET_RAW.
#pragma once

#include "netlink/neighbour.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace head::neigh {

struct Announcement {
  netlink::NeighbourKey who;
  netlink::Mac lladdr{};
  bool operator==(const Announcement&) const = default;
};

// An ICMPv6 message that came with this hop limit, as RFC 4861, section 7.1.2, wants it: nothing
// for what is no valid advertisement, was asked for, or has no Ethernet address. The checksum is
// the kernel's business. Pure.
std::optional<Announcement> parse_announcement(std::span<const std::byte> message, int hop_limit,
                                               int ifindex) noexcept;

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

 private:
  int fd_ = -1;
  std::string problem_;
};

}  // namespace head::neigh
