// What a tail keeps: what its clients see, and what of that outlives its power.
#pragma once

#include "tests/sim/world/dice.hpp"
#include "tests/sim/world/network.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace world {

class Store {
 public:
  static constexpr std::size_t sector = 512;

  // Volatile: writes stay in a cache until flushed.
  Store(std::size_t bytes, bool is_volatile);

  std::size_t size() const noexcept { return data_.size(); }
  std::span<const std::byte> read(std::uint64_t offset, std::size_t length) const {
    return std::span(data_).subspan(offset, length);
  }
  void write(std::uint64_t offset, std::span<const std::byte> bytes, bool stable);
  void zero(std::uint64_t offset, std::size_t length, bool stable);
  void flush();
  // The same in two steps: what is not stable when it begins is stable when it ends.
  const std::vector<std::size_t>& begin_flush() const noexcept { return unclean_; }
  void end_flush(const std::vector<std::size_t>& sectors);
  // A flush that fails: what it should have made stable is taken for clean from now on, and is gone
  // once it is evicted, or with the power.
  void forget();
  void evict();
  // Of what is not stable anything may be lost: all of it, or some sectors.
  void lose_power(Dice& dice);
  // Another size; what is beyond is gone, what is new is zeroes.
  void resize(std::size_t bytes);

 private:
  enum class State : std::uint8_t { clean, dirty, forgotten };

  void touch(std::uint64_t offset, std::size_t length, bool stable);
  void to_stable(std::size_t number);
  void from_stable(std::size_t number);

  const bool volatile_;
  Bytes data_, stable_;
  std::vector<State> states_;
  std::vector<std::size_t> unclean_;  // Sectors that are, or were.
};

}  // namespace world
