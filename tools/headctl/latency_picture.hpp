// Latency as pictures: a histogram, and a heat map over time, by octaves of latency (each row twice
// as long as the one below it), for a terminal or as SVG. Pure.
//
//    4.19 ms |   .     |        524 µs | ######         6  12.5 %
//    2.10 ms | .:#.    |        262 µs | ##########    10  20.8 %
//    1.05 ms |####:....|
//             seconds ->
#pragma once

#include "tools/headctl/text.hpp"

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace headctl {

// How many requests took from 512 ns << i up to twice that.
using Octaves = std::array<std::uint64_t, 28>;

double octave_lower_s(std::size_t octave) noexcept;

// Of an answer of /v1/latency?histogram=true: the named operations together, all when none is.
Octaves octaves_of(const nlohmann::json& answer, const std::vector<std::string>& operations);
// What came between two of them; nothing where the later has less, because counting began anew.
Octaves between(const Octaves& before, const Octaves& after) noexcept;

std::string draw_histogram(const Octaves& octaves, const Style& style);
// The last of the seconds, as many as fit.
std::string draw_heatmap(const std::vector<Octaves>& seconds, const Style& style);

std::string svg_histogram(const Octaves& octaves, const std::string& title);
std::string svg_heatmap(const std::vector<Octaves>& seconds, const std::string& title);

}  // namespace headctl
