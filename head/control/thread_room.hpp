// The threads that headd needs, asked for before anything depends on them: before the state
// directory is opened, and before a headd that is upgraded lets go of anything.
#pragma once

#include "head/control/config.hpp"

#include <cstddef>
#include <stdexcept>

namespace head::control {

struct TooFewThreads : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// All that serve() begins.
std::size_t threads_needed(const Config& config) noexcept;
// So many of `wanted` threads can be there at once beside those of now. They are gone again.
std::size_t threads_to_be_had(std::size_t wanted);
// Throws TooFewThreads, with a sentence.
void require_threads(const Config& config);

}  // namespace head::control
