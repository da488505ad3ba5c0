// headctl's command line in parts, each of which declares some commands.
#pragma once

#include "tools/command_line.hpp"
#include "tools/headctl/commands.hpp"

namespace headctl {

using Commands = tools::Commands<Context, Exit>;

// attach to discs, in the order in which --help lists them.
void add_disc_commands(CLI::App& app, Commands& commands);

}  // namespace headctl
