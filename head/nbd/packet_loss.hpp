// Whether packets of a TCP connection were lost lately: a decision over two looks at it.
#pragma once

#include "iouring/io.hpp"

#include <optional>

namespace head::nbd {

// One look.
struct Health {
  iouring::Instant at{};
  iouring::TcpHealth tcp;
};

// `before` is the look before this one, or a default value. An instant at or after which packets
// were lost, if they were: now, when the kernel is repairing a loss, or when what was sent is not
// acknowledged for longer than a round trip and what an acknowledgement can be put off (40 ms:
// TCP_DELACK_MIN and TCP_ATO_MIN, include/net/tcp.h); the look before, when a loss was repaired
// since.
std::optional<iouring::Instant> packets_lost_at(const Health& before, const Health& now) noexcept;

}  // namespace head::nbd
