// What guests ask for, as it is counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace head::stats {

enum class Operation : std::uint8_t { read, write, flush, trim, write_zeroes, cache, block_status };
inline constexpr std::size_t operations = 7;
std::string_view to_string(Operation operation) noexcept;

}  // namespace head::stats
