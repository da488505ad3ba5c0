// One entry for each key of head.toml: its name, what its value must be, and where the value goes.
// Internal to the configuration.
#pragma once

#include "head/control/config.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace head::control {

// A TOML value of the kinds that head.toml uses; monostate for all other kinds.
using Value =
    std::variant<std::monostate, bool, std::int64_t, std::string, std::vector<std::string>>;

struct KeyEntry {
  ConfigKey key;
  // False when `value` breaks the rule; `config` is then unchanged.
  bool (*set)(Config& config, const Value& value);
};

std::span<const KeyEntry> key_entries();

// Of its section every key is a name, of a tail.
inline constexpr std::string_view tails_section = "tails", tail_key = "tails.NAME";
bool set_tail(Config& config, std::string_view name, const Value& value);

// The name most like `misspelt`, when one is close enough to have been meant; "" otherwise.
std::string_view closest_key(std::string_view misspelt);

}  // namespace head::control
