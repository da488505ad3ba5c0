// What a change writes into a sector, so that a read tells every byte's origin: each word of eight
// bytes names the change, the disc, the sector and its own place in the sector.
//
//   word i = (change 32 | disc 8 | sector 24) xor mask[i]
//
// A sector that was torn, shifted, damaged or taken from elsewhere is seen as such, word by word.
// Nothing here, or anywhere in tests/check/, uses code of what is checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace check {

inline constexpr std::size_t sector_bytes = 512;
inline constexpr std::uint64_t sectors_max = std::uint64_t{1} << 24;
inline constexpr std::uint32_t discs_max = 256;

// A change of a disc: a write, a zeroing or a trim, counted from 1. 0 is what was there before any
// of them: zeroes. The last number is no change's: words that look like data of change 0 say it.
using Change = std::uint32_t;
inline constexpr Change no_change = UINT32_MAX;

struct Origin {
  Change change = 0;
  std::uint32_t disc = 0;  // Below discs_max.
  std::uint64_t sector = 0;

  bool operator==(const Origin&) const = default;
};

// Fills whole sectors from `first` on; `bytes` is a multiple of sector_bytes.
void fill(std::span<std::byte> bytes, Change change, std::uint32_t disc, std::uint64_t first);

// What all words of a sector say alike; nothing where they differ. All zeroes: change 0 of the
// disc and sector that are asked about.
std::optional<Origin> origin_of(std::span<const std::byte, sector_bytes> sector,
                                const Origin& asked);

// Of a sector that is of several origins: what each word says, runs of the same put together, in
// the order of their places. A word of zero says change 0.
struct Run {
  Origin origin;
  std::size_t words = 0;
};
std::vector<Run> runs_of(std::span<const std::byte, sector_bytes> sector, const Origin& asked);

// The same for people: "change 7 (words 0-3), zeroes (words 4-63)".
std::string describe(std::span<const std::byte, sector_bytes> sector, const Origin& asked);

}  // namespace check
