// The kernel's IPv6 neighbour table in the shape of the API's /v1/neighbours, read without headd
// and without privilege.
#pragma once

#include "tools/headctl/neigh_listing.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <string>

namespace headctl {

// Without `entries` only the limits and counters. These throw Failure when the kernel does not
// answer.
nlohmann::json kernel_neighbours(bool entries);
KernelTable read_kernel(bool entries);  // As it is; throws likewise.
// How many entries of this network namespace carry headd's mark.
std::size_t kernel_neighbours_ours();

// An interface's name, or its number where it has gone.
std::string device_name(int ifindex);

}  // namespace headctl
