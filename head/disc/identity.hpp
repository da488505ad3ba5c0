// How much a tail that comes back must have in common with the one before.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace head::disc {

enum class Identity : std::uint8_t {
  shape,        // Size and features.
  last_writes,  // And what was written last and made stable (LastWrites).
  first_block,  // And a checksum of the first block, whoever wrote it.
};

inline constexpr std::array<std::string_view, 3> identities = {"shape", "last-writes",
                                                               "first-block"};

constexpr std::string_view to_string(Identity identity) noexcept {
  return identities[static_cast<std::size_t>(identity)];
}

constexpr std::optional<Identity> parse_identity(std::string_view text) noexcept {
  for (std::size_t i = 0; i < identities.size(); ++i)
    if (identities[i] == text) return static_cast<Identity>(i);
  return std::nullopt;
}

}  // namespace head::disc
