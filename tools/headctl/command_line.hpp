// headctl's command line. The only thing here that knows how commands and options are spelled.
#pragma once

#include "tools/headctl/failure.hpp"

#include <functional>

namespace headctl {

// What is to be done, --help and --version included. Throws Failure (usage), with one sentence.
std::function<Exit()> parse_command_line(int argc, const char* const* argv);

}  // namespace headctl
