// What tests of the ledger begin with: a neighbour, a moment, a binding that was told, and a kernel
// that carries out what is to be written.
#pragma once

#include "head/neigh/ledger.hpp"
#include "tests/numbered.hpp"

#include <chrono>
#include <cstdint>

namespace tests {

inline const netlink::NeighbourKey key{3, address(1)};
inline const head::neigh::Instant start = head::neigh::Instant(std::chrono::hours(1));

inline head::neigh::Binding told(unsigned lladdr, std::uint64_t generation = 0) {
  return {
      .lladdr = mac(lladdr), .source = head::neigh::Source::operator_, .generation = generation};
}

// What the kernel makes of it.
inline void put(netlink::Neighbour& entry, const netlink::Entry& write) {
  entry.key = write.key;
  entry.lladdr = write.lladdr;
  entry.state = write.state;
  entry.flags = write.exempt ? netlink::ntf::ext_learned : 0;
  entry.ext_flags = write.validated ? netlink::ntf::ext_validated : 0;
  entry.protocol = netlink::our_protocol;
}

}  // namespace tests
