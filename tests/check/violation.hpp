// A rule that a history has broken.
#pragma once

#include <string>
#include <string_view>

namespace check {

enum class Rule {
  none,
  // Values: what a read returned.
  damaged,    // Bytes that no change wrote there.
  misplaced,  // Data of another sector or disc.
  unasked,    // Data of a change that nobody had asked for by then.
  stale,      // A change that cannot be there any more: a newer one is lost, or this one came back.
  torn,       // Parts of several changes, where none of them failed.
  // Answers.
  repeated,  // A request was answered twice, or was not asked.
  dropped,   // A guest's connection ended although nothing had happened to either end.
  // Progress.
  stuck,  // A request was not answered in time although nothing was in its way.
  // Errors.
  swallowed,  // An error that a tail told once has reached nobody.
  invented,   // An error that no tail told, and no order asked for.
  // Requests.
  illegal,  // A tail was sent something that no client may send.
  // Resources.
  wasted,  // A connection was given up although nothing was wrong with it.
};

std::string_view to_string(Rule rule);

struct Violation {
  Rule rule = Rule::none;
  std::string sentence{};

  explicit operator bool() const { return rule != Rule::none; }
};

}  // namespace check
