// The kinds of worlds. `weather` combines all that headd must survive; each of the others is about
// one kind of fault, and is named after it. Some of these headd does not survive yet: they are
// listed, with a seed that shows it, in known_faults.hpp.
#pragma once

#include "tests/sim/world/scenario.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace world {

struct Profile {
  std::string_view name;
  std::string_view sentence;
  Scenario (*draw)(std::uint64_t seed);
};

std::span<const Profile> profiles();
// Null where there is none of that name.
const Profile* find_profile(std::string_view name);

}  // namespace world
