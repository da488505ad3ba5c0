// How a connection to a tail behaves; the same for all discs of a head.
#pragma once

#include "iouring/io.hpp"

#include <chrono>
#include <cstdint>

namespace head::nbd {

// When to acknowledge a tail's bytes before the kernel would. `adaptive`: once a reply was late by
// what a delayed acknowledgement costs, because the tail lacks TCP_NODELAY.
enum class QuickAck : std::uint8_t { adaptive, always, off };

struct ConnectionOptions {
  iouring::TcpOptions tcp;
  std::chrono::milliseconds connect_timeout{3'000};
  std::chrono::milliseconds handshake_timeout{10'000};
  // A read or write that is with the tail for longer is tried on a second connection; 0: none is.
  std::chrono::milliseconds suspect_after{2'000};
  // A request that the tail ends its connection on is asked alone so often, and then fails; 0: for
  // ever.
  unsigned poison_attempts = 3;
  QuickAck quick_ack = QuickAck::adaptive;
};

}  // namespace head::nbd
