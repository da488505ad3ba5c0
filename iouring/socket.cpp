#include "iouring/socket.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>

namespace iouring {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

void set(int fd, int level, int name, int value) noexcept {
  setsockopt(fd, level, name, &value, sizeof value);
}

// By index each time: an interface that is made anew has another one.
bool bind_to(int fd, const std::string& interface) noexcept {
  unsigned index = if_nametoindex(interface.c_str());
  if (index == 0) index = static_cast<unsigned>(std::strtoul(interface.c_str(), nullptr, 10));
  if (index == 0) {
    errno = ENODEV;
    return false;
  }
  const auto number = static_cast<int>(index);
  return setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &number, sizeof number) == 0;
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    fail("the socket path " + path + " is longer than 107 bytes: choose a shorter --run-dir");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

constexpr const char* way_out =
    "; check the directory's owner and mode, or choose another --run-dir";

// How many file numbers are kept, of so many.
constexpr rlim_t reserve_of(rlim_t files) noexcept {
  constexpr rlim_t most = 64;
  return files / 4 < most ? files / 4 : most;
}

// errno says why there is none. `may_be_reserved`: its number is given back at once.
UniqueFd new_socket(int family, int type, int protocol, bool may_be_reserved = false) noexcept {
  UniqueFd made(adopt, ::socket(family, type | SOCK_CLOEXEC, protocol));
  if (!made || may_be_reserved || !is_reserved(made.fd())) return made;
  errno = EMFILE;
  return {};
}

}  // namespace

bool is_reserved(int fd) noexcept {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return false;
  return static_cast<rlim_t>(fd) >= files.rlim_cur - reserve_of(files.rlim_cur);
}

UniqueFd tcp_socket(const TcpOptions& options, const std::string& interface,
                    bool may_be_reserved) noexcept {
  UniqueFd made = new_socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP, may_be_reserved);
  if (!made) return made;
  const int fd = made.fd();
  if (!interface.empty() && !bind_to(fd, interface)) return {};
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(options.keepalive_idle.count()));
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(options.keepalive_interval.count()));
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, options.keepalive_probes);
  set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(options.user_timeout.count()));
  // Of linux/tcp.h since 6.15; kernels before wait for up to two minutes, whatever is said here.
  constexpr int tcp_rto_max_ms = 44;
  set(fd, IPPROTO_TCP, tcp_rto_max_ms, static_cast<int>(options.retransmission_max.count()));
  // Of a process that is killed the kernel resets it, and sends no more of what was queued.
  constexpr linger killed{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &killed, sizeof killed);
  tell_departures(fd);
  return made;
}

void widen_send_buffer(int fd, int bytes) noexcept {
  // Beyond net.core.wmem_max with CAP_NET_ADMIN only (socket(7)).
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
    set(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

UniqueFd unix_listener(const std::string& path, const UnixAccess& access, int backlog) {
  const sockaddr_un address = address_of(path);
  // Blocking: a ring waits for guests all the same, and early 5.15 would not on the other kind.
  UniqueFd made = new_socket(AF_UNIX, SOCK_STREAM, 0);
  if (!made && errno == EMFILE)
    fail("raise the limit of open files (ulimit -n, or LimitNOFILE= of the service) for " + path);
  if (!made) fail("a socket for " + path);
  struct stat there {};
  if (lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      errno = EEXIST;
      fail(path + " is in the way and is not a socket: remove it");
    }
    if (unlink(path.c_str()) != 0) fail("replacing " + path + way_out);
  }
  if (bind(made.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail("binding " + path + way_out);
  // Nobody can connect before listen(), so the file is never open to more than `mode`.
  if (chmod(path.c_str(), access.mode) != 0) fail("the mode of " + path + way_out);
  if (access.group && chown(path.c_str(), static_cast<uid_t>(-1), *access.group) != 0)
    fail("the group of " + path + way_out);
  if (listen(made.fd(), backlog) != 0) fail("listening at " + path + way_out);
  return made;
}

UniqueFd tcp_listener(const sockaddr_storage& address, int backlog) {
  UniqueFd made = new_socket(address.ss_family, SOCK_STREAM, IPPROTO_TCP);
  if (!made) fail("cannot make a socket");
  set(made.fd(), SOL_SOCKET, SO_REUSEADDR, 1);  // Connections of an earlier process may linger.
  set(made.fd(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (bind(made.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail("cannot bind");
  if (listen(made.fd(), backlog) != 0) fail("cannot listen");
  return made;
}

}  // namespace iouring
