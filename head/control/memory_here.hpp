// What the machine has, and what is taken of it: reads /proc and /sys, in a millisecond or so. What
// cannot be read is absent, or 0.
#pragma once

#include "head/control/memory_account.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace head::control {

SocketCeilings socket_ceilings();

struct MemoryHere {
  std::uint64_t resident = 0;   // Of this process; a part of it is shared with files.
  std::uint64_t total = 0;      // The machine's;
  std::uint64_t available = 0;  // of that, what could be had now.
  std::optional<std::uint64_t> group_limit{};  // Of our control group, or of one around it.
  std::uint64_t group_used = 0;                // Of that one.
  std::uint64_t tcp_limit = 0;                 // net.ipv4.tcp_mem, of the whole network namespace;
  std::uint64_t tcp_used = 0;                  // and what its sockets have.

  // What there is for us at most, whoever else wants it.
  std::uint64_t there_is() const noexcept {
    return group_limit && (total == 0 || *group_limit < total) ? *group_limit : total;
  }
};
MemoryHere memory_here();

// Pure parts. The path of the group that limits memory, "" for none; `unified`: it is of version 2.
struct ControlGroup {
  std::string path;
  bool unified = false;
};
ControlGroup memory_group(std::string_view proc_self_cgroup);
// "MemTotal:   24683520 kB" in bytes; 0 where there is no such line.
std::uint64_t meminfo_bytes(std::string_view meminfo, std::string_view name);
// The last of three numbers, as tcp_mem and tcp_rmem have them; 0 for none.
std::uint64_t third_number(std::string_view text);

}  // namespace head::control
