// Pictures of latency, drawn from plain numbers.
#include "tools/headctl/latency_picture.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <sstream>

using namespace headctl;
using nlohmann::json;

namespace {

constexpr Style ascii{.columns = 60}, unicode{.unicode = true, .columns = 60};

Octaves octaves(std::initializer_list<std::pair<std::size_t, std::uint64_t>> counts) {
  Octaves all{};
  for (const auto& [octave, count] : counts) all[octave] = count;
  return all;
}

std::size_t widest(const std::string& text) {
  std::istringstream lines(text);
  std::size_t most = 0;
  for (std::string line; std::getline(lines, line);) most = std::max(most, width(line));
  return most;
}

}  // namespace

TEST_CASE("buckets are added up by octaves", "[headctl][latency]") {
  const json answer = {
      {"operations",
       {{"read", {{"buckets", {{512e-9, 1}, {1000e-9, 2}, {1024e-9, 4}, {1e-3, 8}}}}},
        {"write", {{"buckets", {{1056e-9, 16}, {130.0, 32}, {1e-9, 64}}}}}}}};
  CHECK(octaves_of(answer, {}) == octaves({{0, 67}, {1, 20}, {10, 8}, {27, 32}}));
  CHECK(octaves_of(answer, {"write"}) == octaves({{0, 64}, {1, 16}, {27, 32}}));
  CHECK(octaves_of(answer, {"trim"}) == Octaves{});
  for (std::size_t i = 0; i < Octaves().size(); ++i) {
    const json one = {{"operations", {{"read", {{"buckets", {{octave_lower_s(i), 1}}}}}}}};
    CHECK(octaves_of(one, {}) == octaves({{i, 1}}));
  }
}

TEST_CASE("what came between two samples is never negative", "[headctl][latency]") {
  CHECK(between(octaves({{1, 5}, {2, 9}}), octaves({{1, 7}, {2, 3}, {3, 1}})) ==
        octaves({{1, 2}, {3, 1}}));
}

TEST_CASE("a histogram has a bar for each octave in use", "[headctl][latency]") {
  const Octaves some = octaves({{7, 75}, {9, 25}});
  CHECK(draw_histogram(some, ascii) ==
        "   262 us | ############                         25  25.00 %\n"
        "   131 us |                                       0   0.00 %\n"
        "    66 us | #################################### 75  75.00 %\n");
  CHECK(draw_histogram({}, ascii) == "no requests\n");
  const std::string blocks = draw_histogram(some, unicode);
  CHECK(blocks.find("█") != std::string::npos);
  CHECK(blocks.find("66 µs │ ███") != std::string::npos);
  CHECK(blocks.find('\033') == std::string::npos);
  // Few among very many are still seen, and nothing is wider than the terminal.
  const Octaves few = octaves({{3, 1'000'000'000}, {20, 1}});
  CHECK(draw_histogram(few, ascii).find("| #   ") != std::string::npos);
  for (const unsigned columns : {60u, 80u, 200u}) {
    CAPTURE(columns);
    CHECK(widest(draw_histogram(few, {.columns = columns})) <= columns);
    CHECK(widest(draw_histogram(few, {.unicode = true, .columns = columns})) <= columns);
  }
  CHECK(draw_histogram(some, {.colour = true, .columns = 60}).find("\033[") != std::string::npos);
}

TEST_CASE("a heat map has a column for each second", "[headctl][latency]") {
  const std::vector<Octaves> seconds = {octaves({{11, 1000}}), {}, octaves({{11, 40}, {13, 1}})};
  CHECK(draw_heatmap(seconds, ascii) ==
        "  4.19 ms |  .|\n"
        "  2.10 ms |   |\n"
        "  1.05 ms |# *|\n"
        "           0s\n"
        "           requests in a second: .:*# 1 to 1000\n");
  CHECK(draw_heatmap(seconds, unicode).find("1.05 ms │█ ▓│\n") != std::string::npos);
  CHECK(draw_heatmap({}, ascii) == "no requests\n");
  CHECK(draw_heatmap({Octaves{}}, ascii) == "no requests\n");
  CHECK(draw_heatmap(seconds, {.colour = true, .columns = 60}).find("\033[31m#\033[0m") !=
        std::string::npos);
  // What does not fit is the oldest.
  std::vector<Octaves> hour(3600, octaves({{4, 1}}));
  hour.front() = octaves({{27, 1}});
  for (const unsigned columns : {60u, 80u, 200u}) {
    const std::string text = draw_heatmap(hour, {.columns = columns});
    CHECK(widest(text) <= columns + 4);  // The axis' last number may stand out.
    CHECK(text.find("68.7 s") == std::string::npos);
    CHECK(text.find(std::to_string(3600 - (columns - 12)) + "s") != std::string::npos);
  }
}

TEST_CASE("pictures are whole SVG files", "[headctl][latency]") {
  const Octaves some = octaves({{7, 75}, {9, 25}});
  for (const std::string& picture :
       {svg_histogram(some, "a < b & c"), svg_heatmap({some, Octaves{}, some}, "a < b & c"),
        svg_histogram({}, "a < b & c"), svg_heatmap({}, "a < b & c")}) {
    CAPTURE(picture);
    CHECK(picture.find("<svg xmlns=\"http://www.w3.org/2000/svg\"") == 0);
    CHECK(picture.find("a &#60; b &#38; c") != std::string::npos);
    CHECK(picture.substr(picture.size() - 7) == "</svg>\n");
  }
  CHECK(svg_histogram(some, "").find(">75</text>") != std::string::npos);
  CHECK(svg_heatmap({some}, "").find("<title>25</title>") != std::string::npos);
}
