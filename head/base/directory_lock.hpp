// A directory that one daemon at a time owns. It holds DIRECTORY/lock (flock(2)), which the kernel
// gives up with the process, however that ends. A socket in the directory tells less: io_uring may
// keep it open for a while after a kill.
#pragma once

#include "iouring/unique_fd.hpp"

#include <filesystem>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace head {

struct LockError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Owned until what is returned goes. Throws LockError with one sentence; `option` is what chooses
// another directory.
[[nodiscard]] iouring::UniqueFd lock_directory(const std::filesystem::path& directory,
                                               std::string_view option);

// What another process has locked and shares with this one (the descriptors of its locks): the same
// directories can be locked here as well then. Before the first lock_directory().
void inherit_locks(std::vector<iouring::UniqueFd> locks);

}  // namespace head
