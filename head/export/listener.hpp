// Where guests knock: RUN/discs/NAME/nbd.sock. These calls touch the file system and may be made
// on any thread.
#pragma once

#include "iouring/socket.hpp"
#include "iouring/unique_fd.hpp"

#include <filesystem>
#include <string_view>

namespace head::exports {

std::filesystem::path socket_path(const std::filesystem::path& run_dir, std::string_view name);

// A listening socket there. Its folders are made where they are missing; a socket that
// is there is replaced, as the daemon owns RUN. Throws std::system_error with a sentence.
iouring::UniqueFd open_listener(const std::filesystem::path& run_dir, std::string_view name,
                                const iouring::UnixAccess& access);

// Removes the socket and its folder; what was not there, or is not empty, is left as it is.
void remove_listener(const std::filesystem::path& run_dir, std::string_view name) noexcept;

}  // namespace head::exports
