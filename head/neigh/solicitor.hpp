// Neighbour solicitations of our own (RFC 4861, section 7.2.2): they go to the link-layer address
// that we say, whatever the kernel's table has. Sending takes CAP_NET_RAW. Answers are heard where
// announcements are (announcements.hpp).
#pragma once

#include "head/neigh/inquiry.hpp"
#include "netlink/neighbour.hpp"

#include <array>
#include <cstddef>
#include <string>

namespace head::neigh {

// Who asks: one of this host's addresses at the interface.
struct Asker {
  netlink::Ip6 address{};
  netlink::Mac lladdr{};
};

// An IPv6 packet that asks who has an address. It is for the address's multicast group even where
// one host alone is to get it, at its own link-layer address (RFC 6085): whoever is asked so says
// its link-layer address in the answer, which it need not where it is asked at its own address
// (RFC 4861, section 7.2.4). Pure.
std::array<std::byte, 72> solicitation(const netlink::Ip6& who, const Asker& asker) noexcept;

// The Ethernet address of that group (RFC 2464, section 7). Pure.
netlink::Mac group_of(const netlink::Ip6& who) noexcept;

class Solicitor {
 public:
  // Sends in the caller's network namespace.
  Solicitor();
  ~Solicitor();
  Solicitor(const Solicitor&) = delete;
  Solicitor& operator=(const Solicitor&) = delete;

  // Why nothing can be sent; "" when all is well.
  const std::string& problem() const noexcept { return problem_; }

  // False where it could not be sent; never waits.
  bool ask(const Solicitation& what, const Asker& asker) const noexcept;

 private:
  int fd_ = -1;
  std::string problem_;
};

}  // namespace head::neigh
