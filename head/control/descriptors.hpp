// How many descriptors this process has open, and may have.
#pragma once

#include <cstdint>

namespace head::control {

struct Descriptors {
  std::uint64_t open = 0;
  std::uint64_t most = 0;  // RLIMIT_NOFILE, the soft one.
};

Descriptors descriptors_here();

// How many it takes to hand over sockets of discs and guests: each takes one more for a moment,
// here and in the next headd.
std::uint64_t needed_to_hand_over(std::uint64_t sockets, const Descriptors& here) noexcept;
// How many more can be handed over: of connections to tails, which discs can do without.
std::uint64_t left_beside(std::uint64_t sockets);

}  // namespace head::control
