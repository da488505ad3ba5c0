#include "head/control/descriptors.hpp"

#include <algorithm>
#include <filesystem>
#include <sys/resource.h>

namespace head::control {

Descriptors descriptors_here() {
  Descriptors here;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) here.most = files.rlim_cur;
  std::error_code error;
  std::filesystem::directory_iterator open("/proc/self/fd", error);
  for (; !error && open != std::filesystem::directory_iterator(); open.increment(error))
    ++here.open;
  return here;
}

std::uint64_t needed_to_hand_over(std::uint64_t sockets, const Descriptors& here) noexcept {
  constexpr std::uint64_t own_max = 64;  // What is not a socket of a disc or guest,
  constexpr std::uint64_t spare = 16;    // and what may come meanwhile.
  return sockets + std::min(here.open, own_max) + spare;
}

std::uint64_t left_beside(std::uint64_t sockets) {
  const Descriptors here = descriptors_here();
  return here.most - std::min(here.most, needed_to_hand_over(sockets, here));
}

}  // namespace head::control
