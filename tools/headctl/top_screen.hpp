// What headctl top shows: lines of pieces in tones, laid out for a terminal of some size. Pure.
#pragma once

#include "tools/headctl/text.hpp"
#include "tools/headctl/top_model.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace headctl {

struct Piece {
  std::string text;
  Tone tone = Tone::plain;
};
using Line = std::vector<Piece>;

// A column of the rows; `name` is its heading.
struct TopColumn {
  const char* name;
  std::size_t wide;
  bool right = false;
  int sort = -1;  // The TopSort that it shows.
};

// Those that fit into so many columns, the more important ones first to be in; in order. They and
// the blanks between them are never wider than `columns`.
std::vector<TopColumn> top_layout(TopView view, std::size_t columns);

// How many rows there is room for under the head of the screen.
std::size_t top_page(std::size_t lines) noexcept;

// The whole screen: at most `lines` lines, none wider than the style's columns.
std::vector<Line> top_screen(const TopSample& before, const TopSample& now, const TopChoice& choice,
                             std::size_t lines, const Style& style);

}  // namespace headctl
