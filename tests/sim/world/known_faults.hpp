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

inline constexpr std::array known_faults{
    KnownFault{"flushes-beside", check::Rule::swallowed,
               "Without a log, a FLUSH that is answered well before another one fails is believed, "
               "and its guest hears of the failure at its next FLUSH only."},
};

}  // namespace world
