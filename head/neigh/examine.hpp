// The doctor's look at the kernel: only reads, needs no privilege, takes milliseconds, and asks for
// at most `routes_max` routes however many discs there are.
#pragma once

#include "head/neigh/doctor.hpp"
#include "netlink/neighbour.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace head::neigh {

// A disc's way out of this host.
struct Destination {
  netlink::Ip6 address{};
  std::string disc;
};

struct Examination {
  static constexpr std::size_t routes_max = 1000;

  // The neighbours of discs, by key; absent: those whose entries are ours.
  std::optional<std::vector<netlink::NeighbourKey>> neighbours;
  std::vector<Destination> destinations;  // Absent: the neighbours themselves.
  std::vector<std::string> devs;          // That lead to discs, besides those of neighbours.
  std::optional<std::uint64_t> discs;     // As if there were so many.
};

KernelEvidence examine(const Examination& asked);

// The findings, and what they come down to, as API.md has them.
std::string to_json_text(const Evidence& evidence, const std::vector<Finding>& findings);

}  // namespace head::neigh
