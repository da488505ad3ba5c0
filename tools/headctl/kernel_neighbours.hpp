// The kernel's IPv6 neighbour table in the shape of the API's /v1/neighbours, read without headd
// and without privilege.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <string>

namespace headctl {

// Without `entries` only the limits and counters. These throw Failure when the kernel does not
// answer.
nlohmann::json kernel_neighbours(bool entries);
// On standard output, as JSON by address, without the entries that only the kernel has a use for
// unless `all` are asked for. Takes less time and memory than a list of values that is printed.
void print_kernel_neighbours(bool all);
// How many entries of this network namespace carry headd's mark.
std::size_t kernel_neighbours_ours();

// An interface's name, or its number where it has gone.
std::string device_name(int ifindex);

}  // namespace headctl
