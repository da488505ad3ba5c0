// How commands speak: results on standard output, everything else on standard error.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace headctl {

void print(const nlohmann::json& json);  // On standard output, indented.
void print(const std::string& text);     // As it is.
void note(const std::string& sentence);  // On standard error.
bool on_terminal();                      // Whether standard error is one: for progress.

}  // namespace headctl
