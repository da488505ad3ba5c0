// Whom to believe of a disc's link-layer address that an operator or the catalogue has told with a
// generation: a pin. Where none was told with one, the wire is believed, whatever this says.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace head::neigh {

enum class Trust : std::uint8_t {
  // Whoever told it. The wire is not followed until something newer is told.
  catalogue,
  // The same, until nobody answers there for the disc: whoever answers elsewhere is followed then.
  catalogue_unless_dead,
  // The wire, as the kernel does by itself.
  wire,
};

inline constexpr std::array<std::string_view, 3> trusts = {"catalogue", "catalogue-unless-dead",
                                                           "wire"};

constexpr std::string_view to_string(Trust trust) noexcept {
  return trusts[static_cast<std::size_t>(trust)];
}

constexpr std::optional<Trust> parse_trust(std::string_view text) noexcept {
  for (std::size_t i = 0; i < trusts.size(); ++i)
    if (trusts[i] == text) return static_cast<Trust>(i);
  return std::nullopt;
}

}  // namespace head::neigh
