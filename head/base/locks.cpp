#include "head/base/locks.hpp"

#include "head/base/log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <pwd.h>
#include <string>
#include <string_view>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace head {

namespace {

std::vector<iouring::UniqueFd>& inherited() {
  static std::vector<iouring::UniqueFd> locks;
  return locks;
}

// The same file, opened by whoever had it before. A lock belongs to that opening.
iouring::UniqueFd inherited_like(int fd) {
  struct stat wanted {};
  if (::fstat(fd, &wanted) != 0) return {};
  for (iouring::UniqueFd& lock : inherited()) {
    struct stat about {};
    if (::fstat(lock.fd(), &about) == 0 && about.st_dev == wanted.st_dev &&
        about.st_ino == wanted.st_ino)
      return std::move(lock);
  }
  return {};
}

constexpr std::string_view neighbours_name = "headstart/neighbours";
constexpr socklen_t neighbours_size = offsetof(sockaddr_un, sun_path) + 1 + neighbours_name.size();

sockaddr_un neighbours_address() noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // The zero before it makes it abstract.
  std::copy(neighbours_name.begin(), neighbours_name.end(), address.sun_path + 1);
  return address;
}

bool is_at(int fd, const sockaddr_un& wanted) noexcept {
  sockaddr_un found{};
  socklen_t size = sizeof found;
  return ::getsockname(fd, reinterpret_cast<sockaddr*>(&found), &size) == 0 &&
         size == neighbours_size && std::memcmp(&found, &wanted, size) == 0;
}

// Whose process listens there; nothing where that cannot be said.
std::optional<ucred> listener_at(const sockaddr_un& address) noexcept {
  const iouring::UniqueFd fd(iouring::adopt,
                             ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  ucred who{};
  socklen_t size = sizeof who;
  const auto* at = reinterpret_cast<const sockaddr*>(&address);
  if (!fd || ::connect(fd.fd(), at, neighbours_size) != 0 ||
      ::getsockopt(fd.fd(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
    return std::nullopt;
  return who;
}

// The user that the unit names runs headd too.
bool may_be_headd(uid_t user) noexcept {
  if (user == 0 || user == ::geteuid()) return true;
  const passwd* const ours = ::getpwnam("head");
  return ours != nullptr && ours->pw_uid == user;
}

}  // namespace

void inherit_locks(std::vector<iouring::UniqueFd> locks) {
  inherited() = std::move(locks);
}

iouring::UniqueFd lock_directory(const std::filesystem::path& directory, std::string_view option) {
  const auto path = directory / "lock";
  iouring::UniqueFd fd(iouring::adopt, ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (auto shared = fd ? inherited_like(fd.fd()) : iouring::UniqueFd()) fd = std::move(shared);
  if (fd && ::flock(fd.fd(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (fd && errno == EWOULDBLOCK)
    throw LockError(
        fmt::format("{} belongs to a headd that is running; stop it, or choose another with {}",
                    directory.native(), option));
  throw LockError(
      fmt::format("cannot lock {}: {}; check its owner, mode and file system, or "
                  "choose another directory with {}",
                  path.native(), std::strerror(errno), option));
}

iouring::UniqueFd lock_neighbours() {
  const sockaddr_un address = neighbours_address();
  for (iouring::UniqueFd& lock : inherited()) {
    if (!lock || !is_at(lock.fd(), address)) continue;
    ::listen(lock.fd(), SOMAXCONN);  // From now on it is this process that is there.
    return std::move(lock);
  }
  iouring::UniqueFd fd(iouring::adopt,
                       ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const auto* at = reinterpret_cast<const sockaddr*>(&address);
  if (fd && ::bind(fd.fd(), at, neighbours_size) == 0 && ::listen(fd.fd(), SOMAXCONN) == 0)
    return fd;
  const int error = errno;
  const auto who = listener_at(address);
  if (error == EADDRINUSE && who && may_be_headd(who->uid))
    throw LockError(fmt::format(
        "another headd (process {}) keeps the neighbour table of this network namespace; stop it, "
        "or leave neighbours to it with --no-neigh",
        who->pid));
  log::warning(
      "headd cannot tell whether another one keeps this neighbour table: {}{}; two would remove "
      "each other's entries",
      std::strerror(error),
      who ? fmt::format(" (@{}, by user {})", neighbours_name, who->uid) : std::string());
  return {};
}

void turn_away(const iouring::UniqueFd& neighbours) noexcept {
  for (int i = 0; neighbours && i < SOMAXCONN; ++i) {
    const iouring::UniqueFd caller(iouring::adopt,
                                   ::accept4(neighbours.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!caller) return;
  }
}

}  // namespace head
