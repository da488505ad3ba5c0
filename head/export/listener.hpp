// Where guests knock: RUN/discs/NAME/nbd.sock. These calls touch the file system and may be made
// on any thread.
#pragma once

#include "iouring/unique_fd.hpp"

#include <filesystem>
#include <optional>
#include <string_view>
#include <sys/types.h>

namespace head::exports {

// Who may connect.
struct SocketAccess {
  mode_t mode = 0660;
  std::optional<gid_t> group{};  // None: the daemon's own.
};

std::filesystem::path socket_path(const std::filesystem::path& run_dir, std::string_view name);

// A listening socket there. Its folders are made where they are missing; a socket that nobody
// listens on any more is replaced. Throws std::system_error with a sentence.
iouring::UniqueFd open_listener(const std::filesystem::path& run_dir, std::string_view name,
                                const SocketAccess& access);

// Removes the socket and its folder; what was not there, or is not empty, is left as it is.
void remove_listener(const std::filesystem::path& run_dir, std::string_view name) noexcept;

}  // namespace head::exports
