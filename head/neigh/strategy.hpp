// How entries are written: the ladder, from what suits discs best to what every kernel can. A rung
// is chosen by what the kernel was seen to keep, or forced by the operator; one that the kernel
// cannot is never used.
#pragma once

#include "netlink/probe.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace head::neigh {

enum class Strategy : std::uint8_t {
  // NUD_STALE, exempt from collection, and kept when the carrier goes: NTF_EXT_LEARNED and
  // NTF_EXT_EXT_VALIDATED.
  validated,
  learned,  // NUD_STALE, exempt from collection: NTF_EXT_LEARNED.
  plain,    // NUD_STALE. Collected when the table is full: only its limits keep them.
};

struct Rung {
  Strategy strategy;
  std::string_view name;
  std::string_view what;  // In words.
};
inline constexpr std::array<Rung, 3> ladder = {
    Rung{Strategy::validated, "validated",
         "STALE, exempt from collection, kept without a carrier: EXT_LEARNED and EXT_VALIDATED"},
    Rung{Strategy::learned, "learned", "STALE, exempt from collection: EXT_LEARNED"},
    Rung{Strategy::plain, "plain", "STALE; only the table's limits keep it from collection"}};

std::string_view to_string(Strategy strategy) noexcept;
std::optional<Strategy> parse_strategy(std::string_view name) noexcept;

bool possible(Strategy strategy, const netlink::Capabilities& kernel) noexcept;

struct Choice {
  Strategy strategy = Strategy::learned;
  std::string problem;  // Why it is not what was forced, in one sentence; "" otherwise.
  bool operator==(const Choice&) const = default;
};
// The highest rung that the kernel can, at most `forced` where one is.
Choice choose(std::optional<Strategy> forced, const netlink::Capabilities& kernel);

}  // namespace head::neigh
