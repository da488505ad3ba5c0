#include "iouring/kernel.hpp"

#include <charconv>

namespace iouring {

std::optional<std::string> objection_to_kernel(std::string_view release) {
  KernelVersion is;
  const char* const end = release.data() + release.size();
  const auto major = std::from_chars(release.data(), end, is.major);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return std::nullopt;
  if (std::from_chars(major.ptr + 1, end, is.minor).ec != std::errc()) return std::nullopt;
  const bool old = is.major < oldest_kernel.major ||
                   (is.major == oldest_kernel.major && is.minor < oldest_kernel.minor);
  if (!old) return std::nullopt;
  return "this kernel, " + std::string(release) + ", is too old: Linux " +
         std::to_string(oldest_kernel.major) + "." + std::to_string(oldest_kernel.minor) +
         " or newer is needed";
}

}  // namespace iouring
