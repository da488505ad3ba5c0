// A time in the past, as people write it. Pure but for the time zone.
#pragma once

#include <ctime>
#include <optional>
#include <string>

namespace headctl {

inline constexpr const char* since_rule =
    "--since is 90s, 10m, 2h or 1d (ago), 12:30 or 12:30:15 (of the last 24 hours), "
    "2026-01-31T12:30:00 (with Z at its end: in UTC), or @SECONDS since 1970";

// Seconds since 1970; nothing when it is not as since_rule has it, or not in the past.
std::optional<std::time_t> parse_since(const std::string& text, std::time_t now);

}  // namespace headctl
