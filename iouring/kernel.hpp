// Which kernels are old enough to be promised: what is checked and what is said is one constant.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace iouring {

struct KernelVersion {
  int major = 0, minor = 0;
};
inline constexpr KernelVersion oldest_kernel{.major = 5, .minor = 15};

// Of uname(2)'s `release`, "6.1.0-18-amd64" for example: why it is too old, in a sentence. What
// cannot be read is not.
std::optional<std::string> objection_to_kernel(std::string_view release);

}  // namespace iouring
