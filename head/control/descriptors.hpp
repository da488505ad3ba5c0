// How many descriptors this process has open, and may have.
#pragma once

#include <cstdint>

namespace head::control {

struct Descriptors {
  std::uint64_t open = 0;
  std::uint64_t most = 0;  // RLIMIT_NOFILE, the soft one.
};

Descriptors descriptors_here();

}  // namespace head::control
