// The neighbour table's limits: what they are, what they must be, and why. Pure.
#pragma once

#include "netlink/thresholds.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>

namespace headctl {

// Adds `needed` to what /v1/neighbours (without entries) or the kernel says: the limits for so many
// neighbours of discs beside so many other entries, of which `discs` and `others` are told as well.
nlohmann::json with_needed(nlohmann::json source, std::uint64_t discs, std::uint64_t others,
                           std::uint32_t most);

// For people: a line for each limit with the sum it comes from, and the kernel's counters.
std::string limits_text(const nlohmann::json& source);

}  // namespace headctl
