// How many seeds a simulation runs with. What a test says is what CI runs in release; sanitizers
// are slow and run a quarter; HEAD_SEEDS=20 runs twenty times as many, other ones among them.
#pragma once

#include <algorithm>
#include <cstdlib>

namespace tests {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr unsigned sanitizer_share = 4;
#else
inline constexpr unsigned sanitizer_share = 1;
#endif

inline unsigned seeds(unsigned usual) {
  static const char* const wanted = std::getenv("HEAD_SEEDS");
  const int times = std::clamp(wanted == nullptr ? 1 : std::atoi(wanted), 1, 1000);
  return std::max(1u, usual / sanitizer_share) * static_cast<unsigned>(times);
}

}  // namespace tests
