// The parts of diagnose(), each of which adds what it finds; for the inside of doctor*.cpp.
#pragma once

#include "head/neigh/doctor.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace head::neigh {

void look_at_discs(const DaemonEvidence& daemon, std::vector<Finding>& found);
void look_at_table(const Evidence& evidence, std::vector<Finding>& found);
void look_at_interfaces(const Evidence& evidence, std::vector<Finding>& found);

// "sysctl -w net.ipv6.neigh.eth0.mcast_resolicit=3"; `tree` is neigh or conf.
std::string set_key(const char* tree, const std::string& device, const char* name,
                    std::uint64_t value);
std::string in_words(const netlink::Capabilities& kernel);

}  // namespace head::neigh
