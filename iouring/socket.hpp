// Sockets as the kernel makes them, before a loop takes them in.
#pragma once

#include "iouring/io.hpp"

#include <optional>
#include <string>

namespace iouring {

// What Io::open_tcp() asks of the kernel. False, with errno set, when it has none for us, or when
// there is no such interface.
UniqueFd tcp_socket(const TcpOptions& options, const std::string& interface) noexcept;

// A listening socket at `path`; a socket file that nobody listens on any more is replaced. The file
// has `mode`, and belongs to `group` where one is given. Throws std::system_error with a sentence.
UniqueFd unix_listener(const std::string& path, mode_t mode, std::optional<gid_t> group,
                       int backlog);

}  // namespace iouring
