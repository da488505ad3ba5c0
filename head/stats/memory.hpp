// Memory for the statistics of all discs of the process: bounded, whatever guests ask of however
// many discs. Where there is none left a histogram counts what falls into the octaves that it has,
// and loses the rest; counters, which are worth more, have the last of it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace head::stats::memory {

inline constexpr std::size_t ceiling = std::size_t{56} << 20;
// Of that, for histograms' octaves.
inline constexpr std::size_t for_octaves = std::size_t{24} << 20;

enum class For : std::uint8_t { octave, counters };

// Any thread. False: there is none left.
bool take(For what, std::size_t bytes) noexcept;
void give_back(For what, std::size_t bytes) noexcept;

std::size_t used() noexcept;
// How often there was none.
std::uint64_t refused() noexcept;

}  // namespace head::stats::memory
