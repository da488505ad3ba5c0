// Whether packets of a TCP connection were lost lately: a decision over two looks at it.
#pragma once

#include "iouring/io.hpp"

namespace head::nbd {

// One look.
struct Health {
  iouring::Instant at{};
  iouring::TcpHealth tcp;
};

// `before` is the look before this one, or a default value. Says yes when the kernel is repairing a
// loss; when it repaired one between the two looks, and they were close to each other; and when
// what was sent is not acknowledged for longer than any acknowledgement is put off (40 ms:
// TCP_DELACK_MIN and TCP_ATO_MIN, include/net/tcp.h).
bool packets_were_lost(const Health& before, const Health& now) noexcept;

}  // namespace head::nbd
