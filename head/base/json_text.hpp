// Text that may be JSON, looked at before a parser spends memory on it.
#pragma once

#include <cstddef>
#include <string_view>

namespace head {

// At most so many values and names are in it: what a parser makes of it is in proportion to them.
inline std::size_t json_values(std::string_view text) noexcept {
  std::size_t values = 1;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{' || c == ',' || c == ':') {
      ++values;
    }
  }
  return values;
}

// Whether arrays and objects are nested at most `depth_max` deep. Says nothing of well-formedness.
inline bool is_shallow_json(std::string_view text, std::size_t depth_max) noexcept {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > depth_max) return false;
    } else if (c == ']' || c == '}') {
      if (depth > 0) --depth;
    }
  }
  return true;
}

}  // namespace head
