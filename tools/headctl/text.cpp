#include "tools/headctl/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace headctl {

namespace {

std::string padding(std::size_t wanted, const std::string& text) {
  const std::size_t used = width(text);
  return std::string(wanted > used ? wanted - used : 0, ' ');
}

}  // namespace

std::size_t width(std::string_view text) noexcept {
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

std::string spelled(std::string plain, const Style& style) {
  if (style.unicode) return plain;
  constexpr std::string_view micro = "µ";
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
  const auto whole = [](double number, char unit) {
    return std::to_string(std::llrint(number)) + unit;
  };
  if (seconds < 120) return whole(std::max(seconds, 0.0), 's');
  if (seconds < 2 * 3600) return whole(seconds / 60, 'm');
  if (seconds < 2 * 86400) return whole(seconds / 3600, 'h');
  return whole(seconds / 86400, 'd');
}

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  for (const Column& column : columns_) widths_.push_back(width(column.name));
}

void Table::add(const std::vector<std::string>& row) {
  for (std::size_t i = 0; i < columns_.size(); ++i) cell(i < row.size() ? row[i] : "");
}

Table& Table::cell(std::string_view text) {
  // One that is seen: what a table must not do is leave the reader to count blanks.
  cells_ += text.empty() ? "-" : text;
  std::size_t& widest = widths_[ends_.size() % columns_.size()];
  widest = std::max(widest, text.empty() ? 1 : width(text));
  ends_.push_back(static_cast<std::uint32_t>(cells_.size()));
  return *this;
}

std::string Table::text(const Style& style) const {
  std::size_t line = 2 * columns_.size();
  for (const std::size_t wide : widths_) line += wide;
  std::string text;
  text.reserve(line * (ends_.size() / columns_.size() + 1));
  const auto put = [&](std::size_t i, std::string_view content, Tone tone) {
    const std::size_t padding = widths_[i] - width(content);
    const bool last = i + 1 == columns_.size();
    if (columns_[i].right) text.append(padding, ' ');
    if (style.colour)
      text += painted(std::string(content), tone, style);
    else
      text += content;
    if (!columns_[i].right && !last) text.append(padding, ' ');
    text += last ? "\n" : "  ";
  };
  for (std::size_t i = 0; i < columns_.size(); ++i) put(i, columns_[i].name, Tone::heading);
  std::size_t begin = 0;
  for (std::size_t at = 0; at < ends_.size(); ++at) {
    const std::size_t i = at % columns_.size();
    const auto content = std::string_view(cells_).substr(begin, ends_[at] - begin);
    begin = ends_[at];
    const bool toned = style.colour && columns_[i].tone != nullptr;
    put(i, content, toned ? columns_[i].tone(std::string(content)) : Tone::plain);
  }
  return spelled(std::move(text), style);
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
