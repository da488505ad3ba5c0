// The parts of diagnose(), each of which adds what it finds; for the inside of doctor*.cpp.
#pragma once

#include "head/neigh/doctor.hpp"

#include <string>
#include <vector>

namespace head::neigh {

void look_at_table(const Evidence& evidence, std::vector<Finding>& found);
void look_at_interfaces(const Evidence& evidence, std::vector<Finding>& found);

std::string in_words(const netlink::Capabilities& kernel);

}  // namespace head::neigh
