#include "tests/check/pattern.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace check {
namespace {

constexpr std::size_t words = sector_bytes / sizeof(std::uint64_t);

// The finalizer of SplitMix64.
constexpr std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

constexpr std::array<std::uint64_t, words> make_mask() {
  std::array<std::uint64_t, words> mask{};
  for (std::size_t i = 0; i < words; ++i) mask[i] = mix(0x9e3779b97f4a7c15 * (i + 1));
  return mask;
}
constexpr auto mask = make_mask();

std::uint64_t key_of(const Origin& origin) {
  return std::uint64_t{origin.change} << 32 | std::uint64_t{origin.disc & 0xff} << 24 |
         (origin.sector & (sectors_max - 1));
}

Origin origin_of_word(std::uint64_t word, std::size_t place, const Origin& asked) {
  if (word == 0) return {.change = 0, .disc = asked.disc, .sector = asked.sector};
  const std::uint64_t key = word ^ mask[place];
  const auto change = static_cast<Change>(key >> 32);
  return {.change = change != 0 ? change : no_change,
          .disc = static_cast<std::uint32_t>(key >> 24 & 0xff),
          .sector = key & (sectors_max - 1)};
}

std::string name(const Origin& origin, const Origin& asked) {
  if (origin.change == 0) return "zeroes";
  if (origin.change == no_change) return "nothing that was written";
  std::string text = "change " + std::to_string(origin.change);
  if (origin.disc != asked.disc) text += " of disc " + std::to_string(origin.disc);
  if (origin.sector != asked.sector) text += " of sector " + std::to_string(origin.sector);
  return text;
}

}  // namespace

void fill(std::span<std::byte> bytes, Change change, std::uint32_t disc, std::uint64_t first) {
  std::array<std::uint64_t, words> sector;
  for (std::size_t at = 0; at < bytes.size(); at += sector_bytes) {
    const std::uint64_t key = key_of({change, disc, first + at / sector_bytes});
    for (std::size_t i = 0; i < words; ++i) sector[i] = key ^ mask[i];
    std::memcpy(bytes.data() + at, sector.data(), sector_bytes);
  }
}

std::optional<Origin> origin_of(std::span<const std::byte, sector_bytes> sector,
                                const Origin& asked) {
  std::array<std::uint64_t, words> all;
  std::memcpy(all.data(), sector.data(), sector_bytes);
  const std::uint64_t key = all[0] ^ mask[0];
  std::uint64_t differs = 0, any = 0;
  for (std::size_t i = 0; i < words; ++i) {
    differs |= all[i] ^ mask[i] ^ key;
    any |= all[i];
  }
  if (any == 0) return Origin{.change = 0, .disc = asked.disc, .sector = asked.sector};
  if (differs != 0) return std::nullopt;
  return origin_of_word(all[0], 0, asked);
}

std::vector<Run> runs_of(std::span<const std::byte, sector_bytes> sector, const Origin& asked) {
  std::array<std::uint64_t, words> all;
  std::memcpy(all.data(), sector.data(), sector_bytes);
  std::vector<Run> runs;
  for (std::size_t i = 0; i < words; ++i) {
    const Origin origin = origin_of_word(all[i], i, asked);
    if (runs.empty() || runs.back().origin != origin) runs.push_back({.origin = origin});
    ++runs.back().words;
  }
  return runs;
}

std::string describe(std::span<const std::byte, sector_bytes> sector, const Origin& asked) {
  constexpr std::size_t runs_max = 6;
  const std::vector<Run> runs = runs_of(sector, asked);
  std::string text;
  std::size_t from = 0;
  for (std::size_t i = 0; i < std::min(runs.size(), runs_max); ++i) {
    if (i != 0) text += ", ";
    text += name(runs[i].origin, asked) + " (words " + std::to_string(from) + "-" +
            std::to_string(from + runs[i].words - 1) + ")";
    from += runs[i].words;
  }
  if (runs.size() > runs_max) text += " and " + std::to_string(runs.size() - runs_max) + " more";
  return text;
}

}  // namespace check
