// Whether packets as large as a connection sends get through to a tail, and back: where a network
// carries less than both of its ends believe, it drops them without a word. Small requests are
// answered then, and large ones hang.
#pragma once

#include "netlink/neighbour.hpp"

#include <chrono>
#include <cstdint>
#include <span>
#include <system_error>

namespace head::neigh {

struct EchoTrial {
  // What every IPv6 link carries (RFC 8200, section 5).
  static constexpr std::uint32_t small_packet = 1280;

  netlink::Ip6 address{};
  std::uint32_t packet = 0;  // Bytes, from the IPv6 header on: the large one.
  // Which of the two was answered, and whether the large one was sent as often as it may be:
  bool small = false, large = false;
  int sent = 0;

  bool swallows_large() const noexcept;
};

// Sends each two ICMPv6 echo requests (RFC 4443, section 4.1), three times at most where they are
// not answered, and waits for so long at most; large ones are never fragmented. Those that are not
// larger than the small ones are passed over. At most 65,536 trials. Takes CAP_NET_RAW, in the
// caller's network namespace.
std::error_code try_echoes(std::span<EchoTrial> trials, std::chrono::milliseconds patience);

}  // namespace head::neigh
