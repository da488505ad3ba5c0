// Why requests to a disc cannot be sent, or would wait for neighbour discovery: one word for each
// reason, with which its sentence, its finding and its fix are chosen.
#pragma once

#include <cstdint>

namespace head::neigh {

enum class Obstacle : std::uint8_t {
  none,
  // There is no way now; the keeper tries again when that changes.
  no_interface,  // None has the name that was given.
  no_route,      // The kernel has none to the address.
  ipv6_off,      // On the interface that was given, or that led there before.
  in_vrf,        // The interface that led there is in a VRF now, whose routes headd does not use.
  no_source,     // This host has no address to send from.
  // It can never be kept as it was asked for.
  bad_address,       // No unicast address, or a link-local one without an interface.
  outside_prefixes,  // In none of the storage prefixes.
  own_address,       // This host's, though a link-layer address was given.
  bad_lladdr,        // No machine's.
  own_lladdr,        // This host's.
  // There is a way; the entry is what is missing.
  unasked,     // The network is asked as soon as it is its turn.
  unanswered,  // Nobody says who has the address.
  unwritten,   // The kernel refused the entry.
};

}  // namespace head::neigh
