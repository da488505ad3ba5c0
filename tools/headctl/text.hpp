// Figures and tables for people. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headctl {

// What a terminal can show; the least of it where the result goes to a file or to a program.
struct Style {
  bool unicode = false;
  bool colour = false;
  unsigned columns = 80;
};

enum class Tone : std::uint8_t { plain, heading, good, warn, bad, dim };

// In colour where the style has it. Pads nothing: what is painted has no width of its own.
std::string painted(const std::string& text, Tone tone, const Style& style);
// What a state of a disc or of a neighbour entry, or an owner, is painted in.
Tone tone_of(const std::string& word);
// "85 us" for "85 µs" where the style has no unicode.
std::string spelled(std::string text, const Style& style);
// "[####....]", or the same with blocks: `done` of `total`.
std::string progress_bar(std::size_t done, std::size_t total, std::size_t wide, const Style& style);

std::string human_bytes(std::uint64_t bytes);  // "0 B", "512 B", "1.5 GiB"
std::string human_time(double seconds);        // "0", "85 µs", "1.25 ms", "3.10 s"
std::string human_age(double seconds);         // "12s", "5m", "3h", "2d"

// Rows under a heading, columns aligned; numbers, as the heading's `right` says, to the right.
// Empty cells are shown as "-".
class Table {
 public:
  struct Column {
    std::string name;
    bool right = false;
    Tone (*tone)(const std::string& cell) = nullptr;
  };

  explicit Table(std::vector<Column> columns);

  void add(const std::vector<std::string>& row);
  // The same, one after another, for those who have very many.
  Table& cell(std::string_view text);
  std::string text(const Style& style = {.unicode = true}) const;  // Lines, each ended.

 private:
  std::vector<Column> columns_;
  std::vector<std::size_t> widths_;  // Of each column.
  std::string cells_;                // One behind another, row by row,
  std::vector<std::uint32_t> ends_;  // and where each ends.
};

// "name   value" lines, values aligned.
class Sheet {
 public:
  void add(std::string name, std::string value);  // An empty value is left out.
  std::string text() const;

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

// How many columns UTF-8 text takes, all characters being one wide.
std::size_t width(std::string_view text) noexcept;

}  // namespace headctl
