#include "tools/headctl/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace headctl {

namespace {

// One that is seen: what a table must not do is leave the reader to count blanks.
std::string cell(const std::string& text) {
  return text.empty() ? "-" : text;
}

std::string padding(std::size_t wanted, const std::string& text) {
  const std::size_t used = width(text);
  return std::string(wanted > used ? wanted - used : 0, ' ');
}

}  // namespace

std::size_t width(const std::string& text) noexcept {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

std::string painted(const std::string& text, Tone tone, const Style& style) {
  if (!style.colour || tone == Tone::plain || text.empty()) return text;
  constexpr std::array<const char*, 6> codes = {"0", "1", "32", "33", "1;31", "2"};
  return fmt::format("\033[{}m{}\033[0m", codes[static_cast<std::size_t>(tone)], text);
}

Tone tone_of(const std::string& word) {
  const auto is = [&](std::initializer_list<const char*> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  if (is({"ready", "REACHABLE", "PERMANENT"})) return Tone::good;
  if (is({"held", "failing", "failed", "FAILED", "ABSENT", "INCOMPLETE"})) return Tone::bad;
  if (is({"pending", "resolving", "connecting", "reconnecting", "detaching", "DELAY", "PROBE",
          "other"}))
    return Tone::warn;
  return is({"NOARP", "NONE", "kernel", "-"}) ? Tone::dim : Tone::plain;
}

std::string spelled(const std::string& text, const Style& style) {
  if (style.unicode) return text;
  constexpr std::string_view micro = "µ";
  std::string plain = text;
  for (std::size_t at = 0; (at = plain.find(micro, at)) != std::string::npos;)
    plain.replace(at, micro.size(), "u");
  return plain;
}

std::string progress_bar(std::size_t done, std::size_t total, std::size_t wide,
                         const Style& style) {
  const std::size_t filled = total == 0 ? wide : wide * std::min(done, total) / total;
  std::string bar = "[";
  for (std::size_t i = 0; i < wide; ++i)
    bar += i < filled ? (style.unicode ? "█" : "#") : (style.unicode ? "░" : ".");
  return bar + "]";
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 7> units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  const bool whole = unit == 0 || value == static_cast<double>(static_cast<std::uint64_t>(value));
  return whole ? fmt::format("{:.0f} {}", value, units[unit])
               : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string human_time(double seconds) {
  if (seconds <= 0) return "0";
  if (seconds < 1e-3) return fmt::format("{:.0f} µs", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.2f} ms", seconds * 1e3);
  return fmt::format("{:.2f} s", seconds);
}

std::string human_age(double seconds) {
  if (seconds < 120) return fmt::format("{:.0f}s", std::max(seconds, 0.0));
  if (seconds < 2 * 3600) return fmt::format("{:.0f}m", seconds / 60);
  if (seconds < 2 * 86400) return fmt::format("{:.0f}h", seconds / 3600);
  return fmt::format("{:.0f}d", seconds / 86400);
}

void Table::add(std::vector<std::string> row) {
  row.resize(columns_.size());
  rows_.push_back(std::move(row));
}

std::string Table::text(const Style& style) const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(width(column.name));
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], width(cell(row[i])));

  std::string text;
  const auto line = [&](auto&& cell_of, auto&& tone_of_cell) {
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string content = cell_of(i);
      const std::string shown = painted(content, tone_of_cell(i, content), style);
      const bool last = i + 1 == columns_.size();
      if (columns_[i].right)
        text += padding(widths[i], content) + shown;
      else
        text += shown + (last ? "" : padding(widths[i], content));
      text += last ? "\n" : "  ";
    }
  };
  line([&](std::size_t i) { return columns_[i].name; },
       [](std::size_t, const std::string&) { return Tone::heading; });
  for (const auto& row : rows_)
    line([&](std::size_t i) { return cell(row[i]); },
         [&](std::size_t i, const std::string& content) {
           return columns_[i].tone != nullptr ? columns_[i].tone(content) : Tone::plain;
         });
  return spelled(text, style);
}

void Sheet::add(std::string name, std::string value) {
  if (!value.empty()) lines_.emplace_back(std::move(name), std::move(value));
}

std::string Sheet::text() const {
  std::size_t widest = 0;
  for (const auto& [name, value] : lines_) widest = std::max(widest, width(name));
  std::string text;
  for (const auto& [name, value] : lines_)
    text += name + padding(widest, name) + "  " + value + "\n";
  return text;
}

}  // namespace headctl
