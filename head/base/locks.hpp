// What one daemon at a time owns: its directories, and the neighbour table of a network namespace.
//
// Of a directory it holds DIRECTORY/lock (flock(2)), which the kernel gives up with the process,
// however that ends. A socket in the directory tells less: io_uring may keep it open for a while
// after a kill. Of a network namespace it holds an abstract address of Unix sockets, which are each
// namespace's own: whoever shares the namespace shares the neighbour table, whatever else is apart.
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

// Owned until what is returned goes. Throws LockError with one sentence. Anybody can hold that
// address: of another user's process, those of root and of the user `head` excepted, it is only
// said.
[[nodiscard]] iouring::UniqueFd lock_neighbours();
// Lets those go who asked whose it is: there is room for some thousands of them. Now and then.
void turn_away(const iouring::UniqueFd& neighbours) noexcept;

// What another process has locked and shares with this one (the descriptors of its locks): the same
// can be locked here as well then. Before the first of the above.
void inherit_locks(std::vector<iouring::UniqueFd> locks);

}  // namespace head
