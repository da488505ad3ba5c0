// Sockets as the kernel makes them, before a loop takes them in.
#pragma once

#include "iouring/io.hpp"

#include <optional>
#include <string>
#include <sys/socket.h>
#include <sys/types.h>

namespace iouring {

// What Io::open_tcp() asks of the kernel. False, with errno set, when it has none for us, or when
// there is no such interface. `may_be_reserved`: it goes into a direct place at once, and its
// number back to the process.
UniqueFd tcp_socket(const TcpOptions& options, const std::string& interface,
                    bool may_be_reserved = false) noexcept;

// The process's last file numbers, 64 or a quarter of all, are kept free of sockets for discs and
// guests: its state file, its API and its netlink sockets must go on when those are many. Whether
// `fd` is one of these numbers.
bool is_reserved(int fd) noexcept;

// Lets `fd` hold so many bytes that its peer has not read; less where the system allows no more.
void widen_send_buffer(int fd, int bytes) noexcept;

// TCP_INFO of a TCP socket: 0, or an errno.
int tcp_health(int fd, TcpHealth& into) noexcept;

// Who may connect to a Unix socket.
struct UnixAccess {
  mode_t mode = 0660;
  std::optional<gid_t> group{};  // None: the process's own.
};

// A listening socket at `path`. A socket file that is there already is replaced: the caller owns
// the directory, so it can only be what an earlier process left. Throws std::system_error with a
// sentence.
UniqueFd unix_listener(const std::string& path, const UnixAccess& access, int backlog);

// A listening TCP socket at an IPv4 or IPv6 address. What it accepts does not wait to send little.
// Throws std::system_error.
UniqueFd tcp_listener(const sockaddr_storage& address, int backlog);

}  // namespace iouring
