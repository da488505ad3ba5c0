// The kernel's IPv6 neighbour table in the shape of the API's /v1/neighbours, read without headd
// and without privilege.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace headctl {

// Throws Failure when the kernel does not answer.
nlohmann::json kernel_neighbours();

}  // namespace headctl
