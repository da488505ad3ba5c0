// What today's headd does not survive: each with the profile that shows it. When one of them is
// mended, its row goes, and its profile joins `any` (profiles.cpp).
#pragma once

#include "tests/check/violation.hpp"

#include <array>
#include <string_view>

namespace world {

struct KnownFault {
  std::string_view profile;
  check::Rule rule;
  std::string_view sentence;
};

// There is none that a history shows; DURABILITY.md names those that only people have found.
inline constexpr std::array<KnownFault, 0> known_faults{};

}  // namespace world
