// How long things took: a log-linear histogram with 32 buckets to the octave.
//
//   512 ns        1.02 µs       2.05 µs                    68.7 s         137 s
//     |0 1 2 .. 31 | 32 .. 63    | 64 ..        ...         | 864 .. 895    |
//   below: counted as the first bucket            above: counted as the last one
//
// From 1 µs to 100 s a bucket's middle differs from anything in it by at most 1/64 (1.6 %). One
// thread writes, any thread may read meanwhile. An octave's buckets (256 bytes) are allocated when
// the first value falls into it, once: what never happened costs nothing.
#pragma once

#include "iouring/timer.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace head::stats {

using iouring::Duration;
using iouring::Instant;

namespace buckets {

inline constexpr unsigned per_octave_bits = 5;
inline constexpr unsigned lowest_octave = 9;    // 2^9 ns
inline constexpr unsigned highest_octave = 36;  // up to 2^37 ns
inline constexpr std::size_t octaves = highest_octave - lowest_octave + 1;
inline constexpr std::size_t per_octave = std::size_t{1} << per_octave_bits;
inline constexpr std::size_t count = octaves * per_octave;

// The bucket that counts `ns`.
constexpr std::size_t index(std::uint64_t ns) noexcept {
  constexpr std::uint64_t low = std::uint64_t{1} << lowest_octave;
  constexpr std::uint64_t high = (std::uint64_t{2} << highest_octave) - 1;
  const std::uint64_t value = ns < low ? low : ns > high ? high : ns;
  const unsigned octave = static_cast<unsigned>(std::bit_width(value)) - 1;
  const std::uint64_t within =
      (value >> (octave - per_octave_bits)) & ((1u << per_octave_bits) - 1);
  return (std::size_t{octave - lowest_octave} << per_octave_bits) + within;
}

// The smallest value in nanoseconds of a bucket; of bucket `count`, where the last one ends.
constexpr std::uint64_t lower_ns(std::size_t bucket) noexcept {
  const unsigned octave = static_cast<unsigned>(bucket >> per_octave_bits) + lowest_octave;
  const std::uint64_t within = bucket & ((1u << per_octave_bits) - 1);
  return ((std::uint64_t{1} << per_octave_bits) + within) << (octave - per_octave_bits);
}

}  // namespace buckets

// What a histogram held at one moment: a value, to be added up, compared and printed.
struct HistogramSnapshot {
  std::uint64_t count = 0;
  std::uint64_t sum_ns = 0;
  std::uint64_t max_ns = 0;
  std::vector<std::uint64_t> buckets;  // Empty, or buckets::count of them.

  // The value that a share `q` (0..1) of what was recorded does not exceed; 0 when nothing was.
  // Never more than the largest value recorded.
  std::uint64_t quantile_ns(double q) const noexcept;
  std::uint64_t mean_ns() const noexcept { return count == 0 ? 0 : sum_ns / count; }

  HistogramSnapshot& operator+=(const HistogramSnapshot& other);
};

class Histogram {
 public:
  Histogram() = default;
  Histogram(const Histogram&) = delete;
  Histogram& operator=(const Histogram&) = delete;
  ~Histogram();

  // The one writing thread. Without memory for its bucket a value is lost.
  void record(Duration latency) noexcept;

  // Any thread.
  HistogramSnapshot snapshot() const;
  void add_to(HistogramSnapshot& sum) const;
  // Only how long all took together, and the longest: reads two words and not every bucket.
  void add_times_to(HistogramSnapshot& sum) const noexcept;

 private:
  using Octave = std::array<std::atomic<std::uint64_t>, buckets::per_octave>;

  static void add(std::atomic<std::uint64_t>& to, std::uint64_t amount) noexcept {
    // One writer: no read-modify-write is needed.
    to.store(to.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  std::array<std::atomic<Octave*>, buckets::octaves> octaves_{};
  std::atomic<std::uint64_t> sum_ns_{0};
  std::atomic<std::uint64_t> max_ns_{0};
};

}  // namespace head::stats
