// What headd knows for its doctor: of itself, and what it reads of the kernel. Takes milliseconds,
// on the caller's thread; nobody waits for it.
#pragma once

#include "head/control/agent.hpp"
#include "head/neigh/examine.hpp"

namespace head::control {

neigh::Evidence evidence_of(const Agent& agent);

// Pairs of discs, "a and b", that are the same export and of which one at least can be written;
// at most so many.
std::vector<std::string> twins_of(const std::vector<DiscCounts>& discs, std::size_t most);

}  // namespace head::control
