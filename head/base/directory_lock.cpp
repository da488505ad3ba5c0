#include "head/base/directory_lock.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>

namespace head {

iouring::UniqueFd lock_directory(const std::filesystem::path& directory, std::string_view option) {
  const auto path = directory / "lock";
  iouring::UniqueFd fd(iouring::adopt, ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
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
