#include "tools/headctl/top_screen.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <utility>

namespace headctl {

namespace {

constexpr std::size_t head_lines = 5;  // With the headings of the rows.
constexpr std::size_t foot_lines = 1;
constexpr std::size_t name_most = 40;

struct Candidate {
  TopColumn column;
  int importance;  // The lowest is in first.
};

constexpr int by(TopSort sort) {
  return static_cast<int>(sort);
}

std::vector<Candidate> candidates(TopView view) {
  const bool tails = view == TopView::tails;
  std::vector<Candidate> all = {
      {{tails ? "TAIL" : "DISC", tails ? 24u : 16u, false, by(TopSort::name)}, 0},
      {{"STATE", 12, false, by(TopSort::state)}, 1},
      {{"REQ/S", 8, true, by(TopSort::requests)}, 2},
      {{"BYTES/S", 11, true, by(TopSort::bytes)}, tails ? 6 : 5},
      {{"P50", 9, true}, 9},
      {{"P99", 9, true, by(TopSort::p99)}, 3},
      {{"STALL/S", 7, true, by(TopSort::stalls)}, 4},
      {{"STALLS", 8, true}, 10},
      {{"CAUSE", 9, false, by(TopSort::cause)}, tails ? 7 : 6},
      {{"FLIGHT", 6, true}, 8},
      {{"ERR/S", 6, true}, 11},
      {{"GRADE", 8, false, by(TopSort::grade)}, 12},
      {{"GUESTS", 6, true}, 13},
      {{"RECONN", 6, true}, 14},
      {{"VIA", 10, false}, 15},
  };
  if (tails)
    all.insert(all.begin() + 1, {{"DISCS", 6, true}, 5});
  else
    all.push_back({{"TAIL", 26, false}, 7});
  all.push_back({{"PROBLEM", 16, false}, 16});
  return all;
}

std::string rate_text(double per_second) {
  if (per_second <= 0) return "0";
  if (per_second < 10) return fmt::format("{:.1f}", per_second);
  if (per_second < 100'000) return fmt::format("{:.0f}", per_second);
  if (per_second < 10'000'000) return fmt::format("{:.0f}k", per_second / 1e3);
  return fmt::format("{:.0f}M", per_second / 1e6);
}

std::string value_of(const TopRow& row, const std::string& column, TopView view) {
  const auto time = [](double seconds) { return seconds < 0 ? "-" : human_time(seconds); };
  const std::map<std::string, std::string> values = {
      {"DISC", row.name},
      {"TAIL", view == TopView::tails ? row.name : row.tail},
      {"STATE", row.state},
      {"DISCS", std::to_string(row.discs)},
      {"REQ/S", rate_text(row.requests_s)},
      {"BYTES/S", human_bytes(static_cast<std::uint64_t>(row.bytes_s))},
      {"P50", time(row.p50_s)},
      {"P99", time(row.p99_s)},
      {"STALL/S", rate_text(row.stalls_s)},
      {"STALLS", std::to_string(row.stalls)},
      {"CAUSE", row.cause},
      {"FLIGHT", std::to_string(row.in_flight)},
      {"ERR/S", rate_text(row.errors_s)},
      {"GUESTS", std::to_string(row.guests)},
      {"RECONN", std::to_string(row.reconnects)},
      {"GRADE", row.grade},
      {"VIA", row.via},
      {"PROBLEM", row.problem}};
  const auto at = values.find(column);
  return at == values.end() || at->second.empty() ? "-" : at->second;
}

Tone tone_of_cell(const std::string& column, const std::string& value) {
  if (column == "STATE") return tone_of(value);
  if (column == "PROBLEM" && value != "-") return Tone::bad;
  const bool counts_trouble = column == "STALL/S" || column == "ERR/S";
  if (counts_trouble && value != "0") return Tone::bad;
  return value == "-" || value == "0" || value == "0 B" ? Tone::dim : Tone::plain;
}

// The first `columns` characters of UTF-8 text.
std::string cut(const std::string& text, std::size_t columns) {
  std::size_t seen = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80 && seen++ == columns)
      return text.substr(0, i);
  return text;
}

std::string fitted(const std::string& text, std::size_t wide, bool right) {
  const std::string whole = cut(text, wide);
  const std::string blanks(wide - width(whole), ' ');
  return right ? blanks + whole : whole + blanks;
}

std::string totals_text(const TopSample& before, const TopSample& now) {
  TopRow sum;
  std::map<std::string, double> stalls;
  for (const TopRow& row : top_rows(before, now, {})) {
    sum.requests_s += row.requests_s;
    sum.bytes_s += row.bytes_s;
    sum.in_flight += row.in_flight;
    if (row.stalls_s > 0) stalls[row.cause] += row.stalls_s;
  }
  std::string text =
      fmt::format("{} requests/s, {}/s, {} in flight; stalls/s: ", rate_text(sum.requests_s),
                  human_bytes(static_cast<std::uint64_t>(sum.bytes_s)), sum.in_flight);
  if (stalls.empty()) return text + "none";
  const char* between = "";
  for (const auto& [cause, rate] : stalls)
    text += fmt::format("{}{} {}", std::exchange(between, ", "), cause, rate_text(rate));
  return text;
}

Line states_line(const TopSample& now) {
  std::map<std::string, std::size_t> states;
  for (const auto& [name, disc] : now.discs) ++states[disc.state];
  Line line = {{fmt::format("headd {}, up {}, {} of at most {} discs", now.version,
                            human_age(now.uptime_s), now.discs.size(), now.discs_max)}};
  const char* between = ": ";
  for (const auto& [state, count] : states) {
    line.push_back({std::exchange(between, ", ")});
    line.push_back({fmt::format("{} {}", count, state), tone_of(state)});
  }
  return line;
}

Line neighbours_line(const TopSample& before, const TopSample& now, const Style& style) {
  const std::uint64_t most = now.limits[2];
  const std::uint64_t room = most > now.entries ? most - now.entries : 0;
  const Tone tone = room * 10 < most ? Tone::bad : room * 2 < most ? Tone::warn : Tone::good;
  Line line = {{"neighbours "},
               {progress_bar(now.entries, most, 10, style), tone},
               {fmt::format(" {} of {}/{}/{}, ", now.entries, now.limits[0], now.limits[1], most)},
               {fmt::format("room for {}", room), tone},
               {fmt::format(", overflows {}", now.overflows)}};
  if (now.overflows > before.overflows)
    line.push_back({fmt::format(" (+{})", now.overflows - before.overflows), Tone::bad});
  line.push_back({fmt::format(", forced collections {}", now.forced_collections)});
  return line;
}

Line headings(const std::vector<TopColumn>& columns, const TopChoice& choice) {
  Line line;
  for (const TopColumn& column : columns) {
    if (!line.empty()) line.push_back({" ", Tone::heading});
    std::string name = column.name;
    const bool sorted = column.sort == static_cast<int>(choice.sort);
    if (sorted && name.size() < column.wide) name += choice.reverse ? "^" : "v";
    line.push_back({fitted(name, column.wide, column.right), sorted ? Tone::warn : Tone::heading});
  }
  return line;
}

Line foot(const TopChoice& choice, std::size_t rows, std::size_t page) {
  if (choice.typing) return {{"filter: " + choice.filter + "_", Tone::heading}};
  const std::size_t last = std::min(rows, choice.first + page);
  std::string text = fmt::format("{}-{} of {}", rows == 0 ? 0 : choice.first + 1, last, rows);
  if (!choice.filter.empty()) text += fmt::format(" with \"{}\"", choice.filter);
  return {{text + "  q quit  / filter  s,< sort  r reverse  t " +
               (choice.view == TopView::discs ? "tails" : "discs"),
           Tone::dim}};
}

// No wider than the terminal, and spelled as it can.
Line trimmed(const Line& line, const Style& style) {
  Line fits;
  std::size_t left = style.columns;
  for (const Piece& piece : line) {
    std::string text = cut(spelled(piece.text, style), left);
    left -= width(text);
    if (!text.empty()) fits.push_back({std::move(text), piece.tone});
  }
  return fits;
}

}  // namespace

std::vector<TopColumn> top_layout(TopView view, std::size_t columns) {
  const std::vector<Candidate> all = candidates(view);
  std::vector<bool> in(all.size());
  std::size_t left = columns + 1;  // The last has no blank after it.
  std::vector<std::size_t> by_importance(all.size());
  std::iota(by_importance.begin(), by_importance.end(), std::size_t{0});
  std::sort(by_importance.begin(), by_importance.end(),
            [&](std::size_t a, std::size_t b) { return all[a].importance < all[b].importance; });
  for (const std::size_t i : by_importance) {
    if (all[i].column.wide + 1 > left) break;
    left -= all[i].column.wide + 1;
    in[i] = true;
  }
  std::vector<TopColumn> layout;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (in[i]) layout.push_back(all[i].column);
  if (layout.empty()) return layout;
  // What is left over makes names longer, and sentences where there are any.
  const bool sentences = std::string(layout.back().name) == "PROBLEM";
  const std::size_t more = std::min(sentences ? left / 4 : left, name_most - layout.front().wide);
  layout.front().wide += more;
  if (sentences) layout.back().wide += left - more;
  return layout;
}

std::size_t top_page(std::size_t lines) noexcept {
  return lines > head_lines + foot_lines ? lines - head_lines - foot_lines : 0;
}

std::vector<Line> top_screen(const TopSample& before, const TopSample& now, const TopChoice& choice,
                             std::size_t lines, const Style& style) {
  const std::vector<TopRow> rows = top_rows(before, now, choice);
  const std::vector<TopColumn> columns = top_layout(choice.view, style.columns);
  const std::size_t page = top_page(lines);
  std::vector<Line> screen = {states_line(now),
                              {{totals_text(before, now)}},
                              neighbours_line(before, now, style),
                              {{now.problem, Tone::bad}},
                              headings(columns, choice)};
  for (std::size_t i = choice.first; i < rows.size() && i - choice.first < page; ++i) {
    Line line;
    for (const TopColumn& column : columns) {
      const std::string value = value_of(rows[i], column.name, choice.view);
      if (!line.empty()) line.push_back({" "});
      line.push_back({fitted(value, column.wide, column.right), tone_of_cell(column.name, value)});
    }
    screen.push_back(std::move(line));
  }
  if (lines > head_lines) {
    screen.resize(lines - foot_lines);
    screen.push_back(foot(choice, rows.size(), page));
  }
  screen.resize(std::min(screen.size(), lines));
  for (Line& line : screen) line = trimmed(line, style);
  return screen;
}

}  // namespace headctl
