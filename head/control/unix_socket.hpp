// A Unix socket of our own in the file system, with the mode and group that the operator chose.
#pragma once

#include "head/control/config.hpp"
#include "iouring/unique_fd.hpp"

#include <filesystem>

namespace head::control {

// Listens at `path`, non-blocking. A socket file that nobody serves any more is replaced. Throws
// std::runtime_error with one sentence.
iouring::UniqueFd listen_unix(const std::filesystem::path& path, const Config::Socket& access);

}  // namespace head::control
