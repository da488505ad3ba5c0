// Sockets as the kernel makes them, before a loop takes them in.
#pragma once

#include "iouring/io.hpp"

namespace iouring {

// A TCP socket over IPv6 with `options` and TCP_NODELAY. False, with errno set, when the kernel has
// none for us.
UniqueFd tcp_socket(const TcpOptions& options) noexcept;

}  // namespace iouring
