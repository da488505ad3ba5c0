#include "head/control/unix_socket.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <grp.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

namespace head::control {

namespace {

using iouring::adopt;
using iouring::UniqueFd;

constexpr int backlog = 128;

[[noreturn]] void fail(const char* what, const std::filesystem::path& path, int error) {
  throw std::runtime_error(
      fmt::format("cannot {} {}: {}; check the directory's owner and mode, or "
                  "choose another with --run-dir",
                  what, path.native(), std::strerror(error)));
}

sockaddr_un address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path)
    throw std::runtime_error(
        fmt::format("{} is too long for a Unix socket: {} bytes of at most {}; choose a shorter "
                    "--run-dir",
                    path.native(), path.native().size(), sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  return address;
}

UniqueFd new_socket() {
  UniqueFd fd(adopt, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) throw std::runtime_error(fmt::format("cannot open a socket: {}", std::strerror(errno)));
  return fd;
}

// Whether somebody listens there, or a file of another kind is in the way.
void make_way(const std::filesystem::path& path, const sockaddr_un& address) {
  struct stat there {};
  if (::lstat(path.c_str(), &there) != 0) return;
  if (!S_ISSOCK(there.st_mode))
    throw std::runtime_error(
        fmt::format("{} is in the way and is not a socket; remove it", path.native()));
  const UniqueFd probe = new_socket();
  const int rc = ::connect(probe.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (rc == 0 || errno == EAGAIN)
    throw std::runtime_error(
        fmt::format("{} is served by a headd that is running; stop it, or choose another --run-dir",
                    path.native()));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail("replace", path, errno);
}

gid_t group_id(const std::string& name) {
  std::vector<char> buffer(16 * 1024);
  struct group entry {};
  struct group* found = nullptr;
  int rc = 0;
  while ((rc = ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found)) == ERANGE)
    buffer.resize(buffer.size() * 2);
  if (found == nullptr)
    throw std::runtime_error(fmt::format(
        "there is no group {}; create it, or name another as socket_group in head.toml", name));
  return found->gr_gid;
}

}  // namespace

UniqueFd listen_unix(const std::filesystem::path& path, const Config::Socket& access) {
  const sockaddr_un address = address_of(path);
  make_way(path, address);
  UniqueFd fd = new_socket();
  // The file gets the socket's mode (unix_bind_bsd() in net/unix/af_unix.c): until group and mode
  // are right, nobody else can connect.
  if (::fchmod(fd.fd(), access.mode & 0700) != 0) fail("set the mode of", path, errno);
  if (::bind(fd.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail("make the socket", path, errno);
  if (!access.group.empty() &&
      ::chown(path.c_str(), static_cast<uid_t>(-1), group_id(access.group)) != 0)
    fail("give to its group", path, errno);
  if (::chmod(path.c_str(), access.mode) != 0) fail("set the mode of", path, errno);
  if (::listen(fd.fd(), backlog) != 0) fail("listen at", path, errno);
  return fd;
}

}  // namespace head::control
