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
    KnownFault{"half-refused", check::Rule::stale,
               "A replay brings back what a write that was refused, and seen, had replaced."},
    KnownFault{"private", check::Rule::stale,
               "Writes that belong to a connection are gone after an upgrade, without a word."},
    KnownFault{"two-heads-cut", check::Rule::stale,
               "A head that was cut off replays what its gone guest wrote, over newer data."},
    KnownFault{"two-heads-crash", check::Rule::stale, "The same, after a crash of the tail."},
    KnownFault{"short-lived", check::Rule::stuck,
               "A replay makes no progress where connections die sooner than it takes."},
};

}  // namespace world
