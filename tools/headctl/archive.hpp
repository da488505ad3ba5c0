// A gzipped tar archive, whole or not at all: nobody finds half of one under its name. Only its
// owner may read it.
#pragma once

#include "tools/headctl/report_members.hpp"

#include <string>
#include <vector>

namespace headctl {

// Throws Failure. A file that is there is written over only by `force`.
void write_archive(const std::string& file, const std::vector<Member>& members, bool force);

}  // namespace headctl
