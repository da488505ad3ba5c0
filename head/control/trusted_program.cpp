#include "head/control/trusted_program.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace head::control {

namespace {

using iouring::UniqueFd;

// The new process has numbers of its own for the first few.
constexpr int first_number = 16;

bool is_trusted(const struct stat& about) {
  const bool owner = about.st_uid == 0 || about.st_uid == ::geteuid();
  const bool shared = (about.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  // In a directory that many share nobody can replace what is another's.
  const bool sticky = S_ISDIR(about.st_mode) && (about.st_mode & S_ISVTX) != 0;
  return owner && (!shared || sticky);
}

// Whoever cannot read a script cannot run it.
bool is_script(int program) {
  const UniqueFd file(iouring::adopt, ::open(path_of(program).c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 2> begin{};
  return file && ::pread(file.fd(), begin.data(), begin.size(), 0) == 2 &&
         std::string_view(begin.data(), begin.size()) == "#!";
}

Failure<std::string> changeable(const std::filesystem::path& what) {
  return Failure{fmt::format(
      "{} can be changed by others than root and headd; put the program where they cannot",
      what.string())};
}

}  // namespace

std::filesystem::path path_of(int fd) {
  return fmt::format("/proc/self/fd/{}", fd);
}

Result<TrustedProgram, std::string> open_trusted(const std::filesystem::path& program) {
  if (!program.is_absolute())
    return Failure{fmt::format("{} is not an absolute path; give one", program.string())};
  const auto fail = [](const std::filesystem::path& what, const std::string& why) {
    return Failure{fmt::format("{}: {}; give another path", what.string(), why)};
  };
  const UniqueFd low(iouring::adopt, ::open(program.c_str(), O_PATH | O_CLOEXEC));
  UniqueFd file(iouring::adopt, low ? ::fcntl(low.fd(), F_DUPFD_CLOEXEC, first_number) : -1);
  if (!file) return fail(program, std::strerror(errno));
  std::error_code error;
  auto path = std::filesystem::read_symlink(path_of(file.fd()), error);
  if (error) return fail(program, error.message());

  struct stat about {};
  if (::fstat(file.fd(), &about) != 0 || !S_ISREG(about.st_mode) ||
      ::access(path_of(file.fd()).c_str(), X_OK) != 0)
    return Failure{
        fmt::format("{} is not a program that can be run; give another path", path.string())};
  if (!is_trusted(about)) return changeable(path);
  for (auto at = path; at != at.root_path();) {
    at = at.parent_path();
    if (::stat(at.c_str(), &about) != 0) return fail(at, std::strerror(errno));
    if (!is_trusted(about)) return changeable(at);
  }
  const bool script = is_script(file.fd());
  return TrustedProgram{.file = std::move(file), .path = std::move(path), .script = script};
}

}  // namespace head::control
