// Why a request took longer than the stall threshold: a decision over what was seen meanwhile.
#pragma once

#include "iouring/timer.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace head::stats {

using iouring::Duration;

enum class Cause : std::uint8_t {
  neighbour,  // The kernel did not know where to send: no good neighbour entry while it waited.
  reconnect,  // There was no connection to the tail, and the neighbour entry was good.
  head,       // The head's own data thread was held up.
  network,    // Packets to or from the tail were lost and had to be sent again.
  guest,      // The guest was slow to send what it wanted written.
  queue,      // It waited in the head for others: for their answers, their memory, their blocks.
  tail,       // None of that: the tail, and the way to it, took so long.
};
inline constexpr std::size_t causes = 7;
std::string_view to_string(Cause cause) noexcept;

// How long a request took, as the guest saw it, how much of that it was away from the head, and how
// much of that at least it was on the wire, there and back. The parts add up to the whole.
struct Journey {
  Duration whole{};
  Duration away{};
  Duration wire{};

  Duration head() const noexcept { return whole - away; }
  Duration tail() const noexcept { return away - wire; }
};

// What was seen while a request waited.
struct Evidence {
  Journey journey;
  Duration receiving{};  // From its header to the end of its payload.
  Duration held_up{};    // Of its time, what the data thread was late by.
  bool neighbour_missing = false;
  bool no_connection = false;
  bool packets_lost = false;
};

// What comes first is what would make the others look guilty: without a neighbour there is no
// connection, and a thread that is held up sees every answer late. A time is to blame if it was
// most of it, or if it was a quarter at least and without it the request would have been in time.
Cause cause_of(const Evidence& seen, Duration threshold) noexcept;

}  // namespace head::stats
