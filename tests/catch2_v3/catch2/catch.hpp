// Catch2 3 under the name that Catch2 2 had: what tests/CMakeLists.txt puts first on
// the include path where Debian ships version 3.
#pragma once

#include <catch2/catch_all.hpp>

using Catch::Approx;

// Version 3's Contains is about ranges; version 2's was about text as well.
namespace Catch::Matchers {
template <std::size_t size>
StringContainsMatcher Contains(const char (&text)[size]) {
  return ContainsSubstring(text);
}
inline StringContainsMatcher Contains(std::string&& text) {
  return ContainsSubstring(text);
}
inline StringContainsMatcher Contains(std::string& text) {
  return ContainsSubstring(text);
}
inline StringContainsMatcher Contains(const std::string& text) {
  return ContainsSubstring(text);
}
}  // namespace Catch::Matchers
namespace Catch {
using Matchers::Contains;
}
