#include "head/base/directory_lock.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
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

}  // namespace head
