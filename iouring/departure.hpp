// When the kernel handed a send to the network interface. Before that, a packet waits where its
// link-layer address has to be found out first: between the end of a send and its departure lies
// the time for which it was parked in the neighbour queue. SO_TIMESTAMPING's TX_SCHED
// (Documentation/networking/timestamping.rst), for the sends that ask.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <sys/socket.h>

namespace iouring {

using WallInstant = std::chrono::system_clock::time_point;

// The clock that departures are told in.
inline WallInstant wall_now() noexcept {
  return std::chrono::system_clock::now();
}

// Room for what the kernel tells of one; stays put while it is taken.
struct Departure {
  msghdr message{};
  alignas(cmsghdr) std::array<std::byte, 160> control{};

  // For the next one.
  void clear() noexcept;
  // None when something else was told.
  std::optional<WallInstant> at() const noexcept;
};

// Lets a socket tell of the departures that are asked for. Costs sends that do not ask nothing.
void tell_departures(int fd) noexcept;
// The send of `message`, which has no control data, asks for its departure.
void ask_for_departure(msghdr& message) noexcept;

}  // namespace iouring
