#include "tests/sim/world/store.hpp"

#include <algorithm>

namespace world {

Store::Store(std::size_t bytes, bool is_volatile)
    : volatile_(is_volatile),
      data_(bytes),
      stable_(is_volatile ? bytes : 0),
      states_(is_volatile ? bytes / sector : 0) {}

void Store::write(std::uint64_t offset, std::span<const std::byte> bytes, bool stable) {
  std::copy(bytes.begin(), bytes.end(), data_.begin() + static_cast<std::ptrdiff_t>(offset));
  touch(offset, bytes.size(), stable);
}

void Store::zero(std::uint64_t offset, std::size_t length, bool stable) {
  std::fill_n(data_.begin() + static_cast<std::ptrdiff_t>(offset), length, std::byte{0});
  touch(offset, length, stable);
}

void Store::touch(std::uint64_t offset, std::size_t length, bool stable) {
  if (!volatile_ || length == 0) return;
  for (std::size_t i = offset / sector; i <= (offset + length - 1) / sector; ++i) {
    if (stable) {
      to_stable(i);
    } else {
      if (states_[i] == State::clean) unclean_.push_back(i);
      states_[i] = State::dirty;
    }
  }
}

void Store::to_stable(std::size_t number) {
  std::copy_n(data_.begin() + static_cast<std::ptrdiff_t>(number * sector), sector,
              stable_.begin() + static_cast<std::ptrdiff_t>(number * sector));
  if (states_[number] != State::clean) states_[number] = State::clean, std::erase(unclean_, number);
}

void Store::from_stable(std::size_t number) {
  std::copy_n(stable_.begin() + static_cast<std::ptrdiff_t>(number * sector), sector,
              data_.begin() + static_cast<std::ptrdiff_t>(number * sector));
  states_[number] = State::clean;
}

void Store::flush() {
  end_flush(std::vector<std::size_t>(unclean_));
}

void Store::end_flush(const std::vector<std::size_t>& sectors) {
  for (const std::size_t number : sectors)
    if (number < states_.size() && states_[number] == State::dirty) to_stable(number);
}

void Store::forget() {
  for (const std::size_t number : unclean_) states_[number] = State::forgotten;
}

void Store::evict() {
  std::erase_if(unclean_, [this](std::size_t number) {
    if (states_[number] != State::forgotten) return false;
    from_stable(number);
    return true;
  });
}

void Store::lose_power(Dice& dice) {
  const bool all = dice.chance(0.5);
  for (const std::size_t number : unclean_) {
    if (!all && states_[number] == State::dirty && dice.chance(0.5))
      std::copy_n(data_.begin() + static_cast<std::ptrdiff_t>(number * sector), sector,
                  stable_.begin() + static_cast<std::ptrdiff_t>(number * sector));
    from_stable(number);
  }
  unclean_.clear();
}

void Store::resize(std::size_t bytes) {
  data_.resize(bytes);
  if (!volatile_) return;
  stable_.resize(bytes);
  states_.resize(bytes / sector);
  std::erase_if(unclean_, [&](std::size_t number) { return number >= states_.size(); });
}

}  // namespace world
