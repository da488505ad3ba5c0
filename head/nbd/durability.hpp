// What a disc promises of writes that it has acknowledged, should its tail crash. What each costs,
// and what none of them can promise, is in head/disc/DURABILITY.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace head::nbd {

enum class Durability : std::uint8_t {
  writeback,     // The tail's own promise: what a FLUSH or FUA covered before the crash.
  writethrough,  // Nothing is acknowledged that the tail has not on stable storage.
  replay,        // What is not flushed yet is kept here, and written again after the crash.
};

inline constexpr std::array<std::string_view, 3> durabilities = {"writeback", "writethrough",
                                                                 "replay"};

constexpr std::string_view to_string(Durability durability) noexcept {
  return durabilities[static_cast<std::size_t>(durability)];
}

constexpr std::optional<Durability> parse_durability(std::string_view text) noexcept {
  for (std::size_t i = 0; i < durabilities.size(); ++i)
    if (durabilities[i] == text) return static_cast<Durability>(i);
  return std::nullopt;
}

}  // namespace head::nbd
