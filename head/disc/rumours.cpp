#include "head/disc/rumours.hpp"

#include <fmt/format.h>

namespace head::disc {

std::string Rumours::who() const {
  std::string text;
  for (int shift = 40; shift >= 0; shift -= 8)
    text += fmt::format("{}{:02x}", text.empty() ? "" : ":", objected_ >> shift & 0xff);
  return text;
}

}  // namespace head::disc
