#include "head/nbd/export_info.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace head::nbd {

namespace {

constexpr std::uint32_t block_minimum_max = 65536;

}  // namespace

bool block_sizes_are_sound(const ExportInfo& info) noexcept {
  return std::has_single_bit(info.block_minimum) && info.block_minimum <= block_minimum_max &&
         std::has_single_bit(info.block_preferred) &&
         info.block_preferred >= std::max(512u, info.block_minimum) &&
         info.payload_maximum >= info.block_preferred;
}

bool size_is_sound(const ExportInfo& info) noexcept {
  return info.size != 0 && info.size % info.block_minimum == 0 &&
         info.size <= std::numeric_limits<std::int64_t>::max();
}

}  // namespace head::nbd
