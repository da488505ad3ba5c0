// A program that may be run with this daemon's rights: nobody but root and this daemon's user can
// change it, nor what leads to it. It is open, and what is run is what was looked at, whatever its
// path leads to by then.
#pragma once

#include "head/base/result.hpp"
#include "iouring/unique_fd.hpp"

#include <filesystem>
#include <string>

namespace head::control {

struct TrustedProgram {
  iouring::UniqueFd file;      // O_PATH, closed on exec.
  std::filesystem::path path;  // Where it was found, without links.
  bool script = false;         // Its interpreter opens it again, after exec.
};

// Else why not, in a sentence.
Result<TrustedProgram, std::string> open_trusted(const std::filesystem::path& program);

// What execve(2) is to be given for an open program.
std::filesystem::path path_of(int fd);

}  // namespace head::control
