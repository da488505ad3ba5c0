#include "tests/check/violation.hpp"

namespace check {

std::string_view to_string(Rule rule) {
  switch (rule) {
    case Rule::none:
      return "none";
    case Rule::damaged:
      return "damaged";
    case Rule::misplaced:
      return "misplaced";
    case Rule::unasked:
      return "unasked";
    case Rule::stale:
      return "stale";
    case Rule::torn:
      return "torn";
    case Rule::repeated:
      return "repeated";
    case Rule::dropped:
      return "dropped";
    case Rule::stuck:
      return "stuck";
    case Rule::swallowed:
      return "swallowed";
    case Rule::invented:
      return "invented";
    case Rule::illegal:
      return "illegal";
    case Rule::wasted:
      return "wasted";
  }
  return "?";
}

}  // namespace check
