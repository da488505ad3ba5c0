// How commands speak: results on standard output, everything else on standard error.
#pragma once

#include "tools/headctl/text.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace headctl {

void print(const nlohmann::json& json);  // On standard output, indented.
void print(const std::string& text);     // As it is.
void show(const Table& table);           // As the style has it.
void show(const std::string& text);      // Likewise.
void note(const std::string& sentence);  // On standard error.
bool on_terminal();                      // Whether standard error is one: for progress.

// One line on a terminal's standard error that is written over by the next; nothing elsewhere.
void progress(const std::string& line, bool last);

// What standard output, or standard error, can show: unicode and colour only on a terminal, and
// only if the locale has it and NO_COLOR is not set.
const Style& out_style();
const Style& err_style();

}  // namespace headctl
