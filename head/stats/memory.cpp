#include "head/stats/memory.hpp"

#include <array>
#include <atomic>

namespace head::stats::memory {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;
// An allocation is a little larger than what was asked for.
constexpr std::size_t beside = 16;

std::array<std::atomic<std::size_t>, 2> taken{};
std::atomic<std::uint64_t> refusals{0};

constexpr std::size_t most(For what) noexcept {
  return what == For::octave ? for_octaves : ceiling - for_octaves;
}

std::atomic<std::size_t>& of(For what) noexcept {
  return taken[static_cast<std::size_t>(what)];
}

}  // namespace

bool take(For what, std::size_t bytes) noexcept {
  if (of(what).fetch_add(bytes + beside, relaxed) + bytes + beside <= most(what)) return true;
  of(what).fetch_sub(bytes + beside, relaxed);
  refusals.fetch_add(1, relaxed);
  return false;
}

void give_back(For what, std::size_t bytes) noexcept {
  of(what).fetch_sub(bytes + beside, relaxed);
}

std::size_t used() noexcept {
  return of(For::octave).load(relaxed) + of(For::counters).load(relaxed);
}

std::uint64_t refused() noexcept {
  return refusals.load(relaxed);
}

}  // namespace head::stats::memory
