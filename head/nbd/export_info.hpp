// What an export is, as one side tells the other in the handshake: a plain value.
#pragma once

#include <cstdint>

namespace head::nbd {

// Transmission flags of an export (doc/proto.md, "Transmission flags").
namespace transmission_flag {
enum : std::uint16_t {
  has_flags = 1 << 0,
  read_only = 1 << 1,
  send_flush = 1 << 2,
  send_fua = 1 << 3,
  rotational = 1 << 4,
  send_trim = 1 << 5,
  send_write_zeroes = 1 << 6,
  send_df = 1 << 7,
  can_multi_conn = 1 << 8,
  send_resize = 1 << 9,
  send_cache = 1 << 10,
  send_fast_zero = 1 << 11,
};
}  // namespace transmission_flag

struct ExportInfo {
  std::uint64_t size = 0;   // Bytes.
  std::uint16_t flags = 0;  // transmission_flag
  std::uint32_t block_minimum = 1;
  std::uint32_t block_preferred = 4096;
  std::uint32_t payload_maximum = 32u << 20;  // Of one READ or WRITE.
  bool structured_replies = false;
  bool base_allocation = false;  // block_status may be asked.

  bool has(std::uint16_t flag) const noexcept { return (flags & flag) != 0; }
  bool operator==(const ExportInfo&) const = default;
};

// "Size constraints" in the specification.
bool block_sizes_are_sound(const ExportInfo& info) noexcept;
// There are bytes, in whole blocks, and no more of them than a disc can have.
bool size_is_sound(const ExportInfo& info) noexcept;

}  // namespace head::nbd
