#include "tools/headctl/latency_picture.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <numeric>

namespace headctl {

namespace {

using nlohmann::json;

constexpr unsigned lowest_octave = 9;  // 2^9 ns
constexpr std::size_t levels = 4;
constexpr std::size_t label_width = 9;  // "134.22 ms"
constexpr const char* nothing_yet = "no requests\n";

std::size_t octave_of(double seconds) {
  const auto ns = static_cast<std::uint64_t>(std::max(0.0, std::round(seconds * 1e9)));
  const auto octave = static_cast<unsigned>(std::bit_width(ns));
  if (octave <= lowest_octave) return 0;
  return std::min<std::size_t>(octave - 1 - lowest_octave, Octaves().size() - 1);
}

std::uint64_t sum(const Octaves& octaves) {
  return std::accumulate(octaves.begin(), octaves.end(), std::uint64_t{0});
}

std::uint64_t most(const Octaves& octaves) {
  return *std::max_element(octaves.begin(), octaves.end());
}

// From the lowest octave with anything in it up to and without `end`; both 0 when there is none.
struct Range {
  std::size_t begin = 0, end = 0;
  std::size_t size() const { return end - begin; }
};

Range used(const Octaves& octaves) {
  const auto any = [](std::uint64_t count) { return count != 0; };
  const auto first = std::find_if(octaves.begin(), octaves.end(), any);
  if (first == octaves.end()) return {};
  const auto last = std::find_if(octaves.rbegin(), octaves.rend(), any);
  return {static_cast<std::size_t>(first - octaves.begin()),
          static_cast<std::size_t>(last.base() - octaves.begin())};
}

Octaves total(const std::vector<Octaves>& seconds) {
  Octaves all{};
  for (const Octaves& second : seconds)
    for (std::size_t i = 0; i < all.size(); ++i) all[i] += second[i];
  return all;
}

// How hot, 0 for nothing; logarithmic, because what is looked for are the few slow ones.
std::size_t heat(std::uint64_t count, std::uint64_t hottest) {
  if (count == 0) return 0;
  if (hottest <= 1) return levels;
  const double share =
      std::log(static_cast<double>(count)) / std::log(static_cast<double>(hottest));
  return 1 + std::min(levels - 1, static_cast<std::size_t>(share * (levels - 1) + 0.5));
}

std::string label(std::size_t octave, const Style& style) {
  const std::string time = human_time(octave_lower_s(octave));
  const std::size_t wide = width(time);
  return std::string(wide < label_width ? label_width - wide : 0, ' ') + spelled(time, style);
}

std::string bar(double share, std::size_t wide, const Style& style) {
  const double cells = share * static_cast<double>(wide);
  if (!style.unicode)
    return std::string(std::max<std::size_t>(1, static_cast<std::size_t>(cells + 0.5)), '#');
  constexpr const char* eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto parts = std::max<std::size_t>(1, static_cast<std::size_t>(cells * 8 + 0.5));
  std::string text;
  for (std::size_t i = 0; i < parts / 8; ++i) text += "█";
  return text + eighths[parts % 8];
}

std::string cell(std::size_t level, const Style& style) {
  constexpr const char* shades[] = {" ", "░", "▒", "▓", "█"};
  constexpr const char* letters[] = {" ", ".", ":", "*", "#"};
  constexpr int colours[] = {0, 34, 36, 33, 31};
  const std::string text = style.unicode ? shades[level] : letters[level];
  return style.colour && level != 0 ? fmt::format("\033[{}m{}\033[0m", colours[level], text) : text;
}

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '<' || c == '&' || c == '>')
      safe += fmt::format("&#{};", static_cast<int>(c));
    else
      safe += c;
  }
  return safe;
}

constexpr int row_height = 18, left = 80, top = 36;

std::string svg(int wide, int high, const std::string& title, const std::string& body) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<title>{2}</title>\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n"
      "<text x=\"10\" y=\"20\" font-size=\"14\">{2}</text>\n{3}</svg>\n",
      wide, high, escaped(title), body);
}

std::string svg_label(std::size_t octave, int y) {
  return fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n", left - 8,
                     y + row_height - 5, human_time(octave_lower_s(octave)));
}

}  // namespace

double octave_lower_s(std::size_t octave) noexcept {
  return static_cast<double>(std::uint64_t{1} << (octave + lowest_octave)) / 1e9;
}

Octaves octaves_of(const json& answer, const std::vector<std::string>& operations) {
  Octaves octaves{};
  for (const auto& [name, operation] : answer["operations"].items()) {
    const bool asked = std::find(operations.begin(), operations.end(), name) != operations.end();
    if (!operations.empty() && !asked) continue;
    for (const json& bucket : operation["buckets"])
      octaves[octave_of(bucket.at(0).get<double>())] += bucket.at(1).get<std::uint64_t>();
  }
  return octaves;
}

Octaves between(const Octaves& before, const Octaves& after) noexcept {
  Octaves more{};
  for (std::size_t i = 0; i < more.size(); ++i)
    more[i] = after[i] > before[i] ? after[i] - before[i] : 0;
  return more;
}

std::string draw_histogram(const Octaves& octaves, const Style& style) {
  const Range range = used(octaves);
  const std::uint64_t all = sum(octaves);
  if (all == 0) return nothing_yet;
  const std::size_t figures = std::to_string(most(octaves)).size();
  const std::size_t taken = label_width + 3 + 1 + figures + 1 + 8;
  const std::size_t wide = style.columns > taken + 10 ? style.columns - taken : 10;
  std::string text;
  for (std::size_t i = range.end; i-- > range.begin;) {
    const double share = static_cast<double>(octaves[i]) / static_cast<double>(most(octaves));
    const std::string drawn = octaves[i] == 0 ? "" : bar(share, wide, style);
    text += fmt::format("{} {} {}{} {:>{}} {:6.2f} %\n", label(i, style), style.unicode ? "│" : "|",
                        painted(drawn, Tone::good, style), std::string(wide - width(drawn), ' '),
                        octaves[i], figures,
                        100.0 * static_cast<double>(octaves[i]) / static_cast<double>(all));
  }
  return text;
}

std::string draw_heatmap(const std::vector<Octaves>& seconds, const Style& style) {
  const std::size_t room = style.columns > 24 ? style.columns - label_width - 3 : 12;
  const std::vector<Octaves> shown(seconds.size() > room
                                       ? std::prev(seconds.end(), static_cast<std::ptrdiff_t>(room))
                                       : seconds.begin(),
                                   seconds.end());
  const Range range = used(total(shown));
  if (range.size() == 0) return nothing_yet;
  std::uint64_t hottest = 0;
  for (const Octaves& second : shown) hottest = std::max(hottest, most(second));
  const char* const edge = style.unicode ? "│" : "|";
  std::string text;
  for (std::size_t i = range.end; i-- > range.begin;) {
    text += label(i, style) + " " + edge;
    for (const Octaves& second : shown) text += cell(heat(second[i], hottest), style);
    text += edge;
    text += "\n";
  }
  std::string axis;
  const std::string margin(label_width + 2, ' ');
  const std::size_t skipped = seconds.size() - shown.size();
  for (std::size_t at = 0; at < shown.size(); at += 10) {
    axis.resize(at, ' ');
    axis += fmt::format("{}s", skipped + at);
  }
  text += margin + axis + "\n" + margin + "requests in a second: ";
  for (std::size_t level = 1; level <= levels; ++level) text += cell(level, style);
  return text + fmt::format(" 1 to {}\n", hottest);
}

std::string svg_histogram(const Octaves& octaves, const std::string& title) {
  constexpr int bar_width = 500;
  const Range range = used(octaves);
  std::string body;
  int y = top;
  for (std::size_t i = range.end; i-- > range.begin; y += row_height) {
    const double share = static_cast<double>(octaves[i]) / static_cast<double>(most(octaves));
    body += svg_label(i, y);
    body += fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" fill=\"#3b6ea5\"/>\n"
        "<text x=\"{:.1f}\" y=\"{}\">{}</text>\n",
        left, y + 1, share * bar_width, row_height - 2, left + share * bar_width + 6,
        y + row_height - 5, octaves[i]);
  }
  if (range.size() == 0) body = fmt::format("<text x=\"{}\" y=\"60\">no requests</text>\n", left);
  return svg(left + bar_width + 100, std::max(y, 80) + 10, title, body);
}

std::string svg_heatmap(const std::vector<Octaves>& seconds, const std::string& title) {
  constexpr int cell_width = 10;
  constexpr const char* colours[] = {"#ffffff", "#fde0b0", "#fbae61", "#e34a33", "#8c0d0d"};
  const Range range = used(total(seconds));
  std::uint64_t hottest = 0;
  for (const Octaves& second : seconds) hottest = std::max(hottest, most(second));
  std::string body;
  int y = top;
  for (std::size_t i = range.end; i-- > range.begin; y += row_height) {
    body += svg_label(i, y);
    for (std::size_t at = 0; at < seconds.size(); ++at)
      if (const std::uint64_t count = seconds[at][i]; count != 0)
        body += fmt::format(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"><title>{}</title>"
            "</rect>\n",
            left + cell_width * static_cast<int>(at), y, cell_width, row_height,
            colours[heat(count, hottest)], count);
  }
  if (range.size() == 0) body = fmt::format("<text x=\"{}\" y=\"60\">no requests</text>\n", left);
  for (std::size_t at = 0; at < seconds.size(); at += 10)
    body += fmt::format("<text x=\"{}\" y=\"{}\">{} s</text>\n",
                        left + cell_width * static_cast<int>(at), std::max(y, 80) + 14, at);
  return svg(left + cell_width * static_cast<int>(std::max<std::size_t>(seconds.size(), 30)) + 40,
             std::max(y, 80) + 24, title, body);
}

}  // namespace headctl
