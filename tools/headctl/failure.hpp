// How headctl ends: one sentence on standard error, and a status of its own for each kind of
// failure, so that scripts need not read sentences.
#pragma once

#include <stdexcept>
#include <string>

namespace headctl {

enum class Exit : int {
  done = 0,
  unexpected = 1,     // An answer that is not as documented.
  usage = 2,          // The command line.
  invalid = 3,        // What was asked for cannot be: a URI, a name, a list.
  missing = 4,        // There is no such disc, or import.
  conflict = 5,       // The name is taken, or the disc is being detached.
  unreachable = 6,    // headd does not answer.
  refused = 7,        // The head cannot: full, short of something, or nothing can be stored.
  not_ready = 8,      // Waited for, and it failed or needs an operator.
  forbidden = 9,      // It changes something, and who asks may only read.
  not_upgraded = 10,  // No other headd has taken over; the one that is there goes on.
  under_way = 11,     // An upgrade is under way already.
  held = 12,          // The disc does not go on, and is held.
  timed_out = 13,     // Waited for, and it was neither ready nor failed in time.
};

// Shown at the end of --help.
inline constexpr const char* exit_statuses =
    "Exit status:\n"
    "  0  done\n"
    "  1  headd's answer could not be understood\n"
    "  2  the command line is wrong\n"
    "  3  what was asked for is invalid: a name, a URI, a file\n"
    "  4  there is no such disc, import or tail\n"
    "  5  it is so already, otherwise: other settings, being detached, something newer known\n"
    "  6  headd cannot be reached\n"
    "  7  the head cannot: it is full, lacks something, or cannot write its state directory\n"
    "  8  a disc that was waited for failed, or needs an operator\n"
    "  9  only operators may do this\n"
    " 10  no other headd has taken over: the one that is there goes on\n"
    " 11  an upgrade is under way already\n"
    " 12  the disc does not go on, and is held\n"
    " 13  a disc that was waited for was not ready in time; headd goes on trying";

struct Failure : std::runtime_error {
  Failure(Exit how, const std::string& sentence) : std::runtime_error(sentence), status(how) {}
  Exit status;
};

}  // namespace headctl
