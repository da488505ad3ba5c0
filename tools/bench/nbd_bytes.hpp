// The bytes of NBD, as those who speak it here for tests write and read them: the part of
// doc/proto.md that fixed newstyle with simple replies needs.
#pragma once

#include "head/base/big_endian.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace bench::nbd_bytes {

using Bytes = std::vector<std::byte>;

constexpr std::uint64_t greeting_magic = 0x4e42444d41474943;  // NBDMAGIC
constexpr std::uint64_t option_magic = 0x49484156454f5054;    // IHAVEOPT
constexpr std::uint32_t request_magic = 0x25609513;
constexpr std::uint32_t reply_magic = 0x67446698;
constexpr std::size_t greeting_size = 18;
constexpr std::size_t export_size = 10;  // The answer to NBD_OPT_EXPORT_NAME.
constexpr std::size_t request_size = 28;
constexpr std::size_t reply_size = 16;
constexpr std::uint16_t cmd_read = 0, cmd_write = 1, cmd_disconnect = 2, cmd_flush = 3,
                        cmd_trim = 4, cmd_zero = 6;
constexpr std::uint16_t flag_fua = 1;

template <class T>
T get(std::span<const std::byte> bytes, std::size_t at) {
  head::BigEndian<T> value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <class T>
void put(Bytes& to, std::type_identity_t<T> value) {
  const auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(head::BigEndian<T>(value));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

}  // namespace bench::nbd_bytes
