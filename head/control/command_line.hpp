// headd's command line: where the configuration is, and what is said in its place. What it gives is
// the configuration that holds, the file's with the flags over it.
#pragma once

#include "head/base/result.hpp"
#include "head/control/config.hpp"

#include <string>

namespace head::control {

struct Invocation {
  Config config;
  std::filesystem::path file{};   // That it was read from; there may be none.
  int take_over = -1;             // --take-over: the channel to the headd that is to be replaced.
  bool check_only = false;        // --check-config: say whether it is right, and end.
  std::filesystem::path crash{};  // --explain-crash: only that; empty: no.
};

// The process is to end at once. With status 0 it was asked for `text`; otherwise something is
// wrong, and it says what, in a sentence.
struct Ending {
  int status = 0;
  std::string text{};
  std::string sentence{};
};

// Exit statuses of headd, as of headctl: 0 when it was told to end, 1 when it could not begin or go
// on, 2 for a wrong command line, 3 for a wrong configuration, 4 where the system lets it have too
// few threads.
inline constexpr int exit_failed = 1, exit_usage = 2, exit_invalid = 3, exit_lacking = 4;

Result<Invocation, Ending> parse_command_line(int argc, const char* const* argv);

}  // namespace head::control
