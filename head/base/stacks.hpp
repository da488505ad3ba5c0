// Where threads of this process are: their return addresses, taken by a signal that each answers
// for itself. Taking them is safe in a signal handler, and waits a bounded time for a thread that
// does not answer (one in an uninterruptible sleep, say).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <span>
#include <sys/types.h>

namespace head::stacks {

inline constexpr std::size_t depth_max = 64;
inline constexpr std::size_t threads_max = 256;
inline constexpr std::chrono::milliseconds patience{200};  // For one thread.

struct Stack {
  std::array<void*, depth_max> frames{};
  std::size_t depth = 0;  // 0: it did not answer.
};

// Once, before there are other threads: from then on each answers.
void prepare();

// Of another thread of this process, or of the one that calls. Never throws, never allocates.
void take(pid_t thread, Stack& into) noexcept;

// The threads of this process, as many as there is room for. Never allocates.
std::size_t list_threads(std::span<pid_t> into) noexcept;

// "data-0" and the like; "?" where it has none. Never allocates.
using Name = std::array<char, 17>;
Name name_of(pid_t thread) noexcept;

}  // namespace head::stacks
