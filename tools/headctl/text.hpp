// Figures and tables for people. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headctl {

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
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void add(std::vector<std::string> row);
  std::string text() const;  // Lines, each ended.

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
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
std::size_t width(const std::string& text) noexcept;

}  // namespace headctl
