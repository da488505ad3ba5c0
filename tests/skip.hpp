// Tests that cannot run here: they say why and are counted as skipped, never as passed.
#pragma once

#include <catch2/catch.hpp>

#include <string>

namespace tests {

inline unsigned skips = 0;       // main() turns these into its exit status
constexpr int skip_status = 77;  // SKIP_RETURN_CODE in tests/CMakeLists.txt, as in tests/e2e

// Called by the test's own thread, or by one it waits for; then return from the test.
inline void skip(const std::string& why) {
  ++skips;
  WARN("SKIPPED: " << why);
}

}  // namespace tests
