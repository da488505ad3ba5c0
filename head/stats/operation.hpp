// What guests ask for, as it is counted, and what they wait for besides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace head::stats {

enum class Operation : std::uint8_t {
  read,
  write,
  flush,
  trim,
  write_zeroes,
  cache,
  block_status,
  open,  // No request: the disc's first connection to its tail. Only the log of stalls knows it.
};
inline constexpr std::size_t operations = 7;  // Those that are requests.
std::string_view to_string(Operation operation) noexcept;

}  // namespace head::stats
