// Chance, from a seed.
#pragma once

#include "iouring/timer.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace world {

// SplitMix64: small, fast and good enough to draw histories with.
class Dice {
 public:
  using result_type = std::uint64_t;
  explicit Dice(std::uint64_t seed) noexcept : state_(seed) {}

  static constexpr result_type min() noexcept { return 0; }
  static constexpr result_type max() noexcept { return UINT64_MAX; }
  std::uint64_t operator()() noexcept {
    std::uint64_t value = state_ += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
  }

  // 0..below-1
  std::uint64_t pick(std::uint64_t below) noexcept { return below == 0 ? 0 : (*this)() % below; }
  // least..most
  std::uint64_t between(std::uint64_t least, std::uint64_t most) noexcept {
    return least + pick(most - least + 1);
  }
  iouring::Duration between(iouring::Duration least, iouring::Duration most) noexcept {
    return iouring::Duration(
        least.count() + static_cast<std::int64_t>(
                            pick(static_cast<std::uint64_t>(most.count() - least.count() + 1))));
  }
  bool chance(double p) noexcept {
    return p > 0 && static_cast<double>((*this)() >> 11) * 0x1p-53 < p;
  }
  template <class T, std::size_t N>
  T one_of(const T (&all)[N]) noexcept {
    return all[pick(N)];
  }

 private:
  std::uint64_t state_;
};

}  // namespace world
