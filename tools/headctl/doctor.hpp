// What the doctor found, as text for people. Pure.
#pragma once

#include "tools/headctl/text.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace headctl {

// Of `strategies` as API.md has them: "validated (possible: learned, plain)"; "" for none.
std::string strategies_text(const nlohmann::json& strategies);

// A finding a paragraph, the gravest first; what was seen; what to type.
std::string doctor_text(const nlohmann::json& answer, const Style& style);

}  // namespace headctl
