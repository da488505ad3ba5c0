// NBD as it lies on the wire, both phases and both directions: structures, numbers, and the
// functions that turn bytes from a peer into checked values. Nothing past a decode function looks
// at raw bytes. What a decode function checks is syntax; whether the answer fits the question is
// for whoever asked.
// https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
#pragma once

#include "head/base/big_endian.hpp"
#include "head/base/result.hpp"
#include "head/nbd/request.hpp"

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace head::nbd {

namespace wire {

inline constexpr std::uint64_t hello_magic = 0x4e42444d41474943;   // "NBDMAGIC"
inline constexpr std::uint64_t option_magic = 0x49484156454F5054;  // "IHAVEOPT"
inline constexpr std::uint64_t oldstyle_magic = 0x0000420281861253;
inline constexpr std::uint64_t option_reply_magic = 0x0003e889045565a9;
inline constexpr std::uint32_t request_magic = 0x25609513;
inline constexpr std::uint32_t simple_reply_magic = 0x67446698;
inline constexpr std::uint32_t structured_reply_magic = 0x668e33ef;

inline constexpr std::size_t string_max = 4096;       // Bytes of any name or message.
inline constexpr std::size_t zeroes = 124;            // Reserved bytes of oldstyle and EXPORT_NAME.
inline constexpr std::size_t extents_max = 1u << 20;  // Of one BLOCK_STATUS chunk.

namespace handshake_flag {  // The server's 16 bits; the client's 32 bits have the same numbers.
enum : std::uint16_t {
  fixed_newstyle = 1 << 0,
  no_zeroes = 1 << 1,
};
}  // namespace handshake_flag

enum class Option : std::uint32_t {
  export_name = 1,
  abort = 2,
  list = 3,
  starttls = 5,
  info = 6,
  go = 7,
  structured_reply = 8,
  list_meta_context = 9,
  set_meta_context = 10,
};

enum class OptionReplyType : std::uint32_t {
  ack = 1,
  server = 2,
  info = 3,
  meta_context = 4,
  err_unsup = 1u << 31 | 1,
  err_policy = 1u << 31 | 2,
  err_invalid = 1u << 31 | 3,
  err_platform = 1u << 31 | 4,
  err_tls_reqd = 1u << 31 | 5,
  err_unknown = 1u << 31 | 6,
  err_shutdown = 1u << 31 | 7,
  err_block_size_reqd = 1u << 31 | 8,
  err_too_big = 1u << 31 | 9,
};

enum class Info : std::uint16_t { export_ = 0, name = 1, description = 2, block_size = 3 };

enum class Chunk : std::uint16_t {
  none = 0,
  offset_data = 1,
  offset_hole = 2,
  block_status = 5,
  error = 1u << 15 | 1,
  error_offset = 1u << 15 | 2,
};
inline constexpr std::uint16_t reply_flag_done = 1 << 0;

// The highest bit of either kind of reply's type, known or not, says that it is an error.
template <class Type>
constexpr bool is_error(Type type) noexcept {
  using Number = std::underlying_type_t<Type>;
  return static_cast<Number>(type) >> (std::numeric_limits<Number>::digits - 1) != 0;
}

// ---- Handshake ----------------------------------------------------------------------------------
//
//   newstyle, server                      oldstyle, server
//   0          8          16      18      0          8          16     24      28            152
//   +----------+----------+-------+       +----------+----------+------+-------+--------------+
//   | NBDMAGIC | IHAVEOPT | flags |       | NBDMAGIC | oldstyle | size | flags | 124 reserved |
//   +----------+----------+-------+       +----------+----------+------+-------+--------------+
//   then the client: 32 bits of flags     then transmission

struct NewstyleHello {
  be64 magic = hello_magic;
  be64 style = option_magic;
  be16 flags;
};
static_assert(sizeof(NewstyleHello) == 18 && alignof(NewstyleHello) == 1);

struct OldstyleHello {
  be64 magic = hello_magic;
  be64 style = oldstyle_magic;
  be64 size;
  be32 flags;  // The lower half are transmission flags.
  std::array<std::byte, zeroes> reserved{};
};
static_assert(sizeof(OldstyleHello) == 152 && alignof(OldstyleHello) == 1);

//   option, client                        option reply, server
//   0          8        12       16       0             8        12     16       20
//   +----------+--------+--------+        +-------------+--------+------+--------+
//   | IHAVEOPT | option | length | data   | reply magic | option | type | length | data
//   +----------+--------+--------+        +-------------+--------+------+--------+

struct OptionRequest {
  be64 magic = option_magic;
  be32 option;
  be32 length;
};
static_assert(sizeof(OptionRequest) == 16 && alignof(OptionRequest) == 1);

struct OptionReply {
  be64 magic = option_reply_magic;
  be32 option;
  be32 type;
  be32 length;
};
static_assert(sizeof(OptionReply) == 20 && alignof(OptionReply) == 1);

//   answer to EXPORT_NAME                 INFO_EXPORT               INFO_BLOCK_SIZE
//   0      8       10                     0      2      10      12  0      2     6       10      14
//   +------+-------+                      +------+------+-------+   +------+-----+-------+-------+
//   | size | flags | (124 reserved)       | type | size | flags |   | type | min | pref. | max.  |
//   +------+-------+                      +------+------+-------+   +------+-----+-------+-------+

struct ExportNameReply {
  be64 size;
  be16 flags;
};
static_assert(sizeof(ExportNameReply) == 10 && alignof(ExportNameReply) == 1);

struct InfoExport {
  be16 type = static_cast<std::uint16_t>(Info::export_);
  be64 size;
  be16 flags;
};
static_assert(sizeof(InfoExport) == 12 && alignof(InfoExport) == 1);

struct InfoBlockSize {
  be16 type = static_cast<std::uint16_t>(Info::block_size);
  be32 minimum;
  be32 preferred;
  be32 payload_maximum;
};
static_assert(sizeof(InfoBlockSize) == 14 && alignof(InfoBlockSize) == 1);

// ---- Transmission -------------------------------------------------------------------------------
//
//   request                                          simple reply
//   0      4      6      8       16      24     28   0      4       8       16
//   +------+------+------+-------+-------+------+    +------+-------+-------+
//   | magic| flags| type | cookie| offset|length|    | magic| error | cookie|
//   +------+------+------+-------+-------+------+    +------+-------+-------+
//   then `length` bytes of data, if a write          then the data, if a good read
//
//   structured reply chunk
//   0      4      6      8       16     20
//   +------+------+------+-------+------+
//   | magic| flags| type | cookie|length| then `length` bytes, as the type says:
//   +------+------+------+-------+------+
//
//   OFFSET_DATA   | offset 8 | data length-8 |
//   OFFSET_HOLE   | offset 8 | size 4 |
//   BLOCK_STATUS  | context 4 | (length 4 | flags 4) ... |
//   ERROR         | error 4 | n 2 | message n |
//   ERROR_OFFSET  | error 4 | n 2 | message n | offset 8 |

struct Request {
  be32 magic = request_magic;
  be16 flags;
  be16 type;
  be64 cookie;
  be64 offset;
  be32 length;
};
static_assert(sizeof(Request) == 28 && alignof(Request) == 1);

struct SimpleReply {
  be32 magic = simple_reply_magic;
  be32 error;
  be64 cookie;
};
static_assert(sizeof(SimpleReply) == 16 && alignof(SimpleReply) == 1);

struct StructuredReply {
  be32 magic = structured_reply_magic;
  be16 flags;
  be16 type;
  be64 cookie;
  be32 length;
};
static_assert(sizeof(StructuredReply) == 20 && alignof(StructuredReply) == 1);

struct OffsetHole {
  be64 offset;
  be32 size;
};
static_assert(sizeof(OffsetHole) == 12 && alignof(OffsetHole) == 1);

struct BlockDescriptor {
  be32 length;
  be32 flags;
};
static_assert(sizeof(BlockDescriptor) == 8 && alignof(BlockDescriptor) == 1);

struct ErrorHead {
  be32 error;
  be16 message_length;
};
static_assert(sizeof(ErrorHead) == 6 && alignof(ErrorHead) == 1);

template <class T>
T load(std::span<const std::byte> bytes) noexcept {
  static_assert(alignof(T) == 1);
  assert(bytes.size() >= sizeof(T));
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

template <class T>
std::span<const std::byte> bytes_of(const T& value) noexcept {
  static_assert(alignof(T) == 1);
  return std::as_bytes(std::span(&value, 1));
}
template <class T>
std::span<const std::byte> bytes_of(const T&& value) = delete;  // It would not live.

}  // namespace wire

// What a peer did wrong in the transmission phase.
enum class ProtocolError : std::uint8_t {
  bad_magic,
  bad_length,       // A chunk's or payload's length does not fit its type.
  not_done,         // NBD_REPLY_TYPE_NONE without the flag DONE.
  unknown_chunk,    // A chunk type that is neither known nor an error.
  zero_extent,      // A hole or extent of no bytes.
  no_error,         // An error chunk that says "no error".
  message_too_long  // An error message longer than its chunk, or than a string may be.
};
const char* describe(ProtocolError error) noexcept;

// ---- What a client reads ------------------------------------------------------------------------

// The first 16 bytes of either kind of reply say nearly everything.
struct ReplyHeader {
  bool structured = false;
  std::uint16_t flags = 0;  // Structured only: wire::reply_flag_done.
  std::uint16_t type = 0;   // Structured only: wire::Chunk; known, or an error.
  std::uint32_t error = 0;  // Simple only, as the server gave it: see errno_from_wire().
  std::uint64_t cookie = 0;
  std::uint32_t length = 0;  // Structured only.

  wire::Chunk chunk() const noexcept { return static_cast<wire::Chunk>(type); }
  bool done() const noexcept { return !structured || (flags & wire::reply_flag_done) != 0; }
};

inline constexpr std::size_t reply_start_size = sizeof(wire::SimpleReply);
inline constexpr std::size_t reply_length_size =
    sizeof(wire::StructuredReply) - sizeof(wire::SimpleReply);

// Where the result is structured, its `length` is not known yet: `reply_length_size` more bytes
// follow, and go with it to complete_reply().
Result<ReplyHeader, ProtocolError> decode_reply_start(
    std::span<const std::byte, reply_start_size> bytes) noexcept;
// Adds the length, and checks it and the flags against the chunk's type.
Result<ReplyHeader, ProtocolError> complete_reply(
    ReplyHeader start, std::span<const std::byte, reply_length_size> bytes) noexcept;

// Either kind at once: 16 bytes of a simple reply, or 20 of a structured one.
Result<ReplyHeader, ProtocolError> decode_reply_header(std::span<const std::byte> bytes) noexcept;

// A stretch of the export that a content chunk speaks of.
struct Content {
  std::uint64_t offset = 0;
  std::uint32_t length = 0;  // Not 0.
};

// The start of an OFFSET_DATA chunk; `Content::length` bytes of data follow it.
Content decode_offset_data(const ReplyHeader& header, std::span<const std::byte, 8> bytes) noexcept;
Result<Content, ProtocolError> decode_offset_hole(
    std::span<const std::byte, sizeof(wire::OffsetHole)> bytes) noexcept;

// One extent of a BLOCK_STATUS chunk; flags the specification does not know are cleared.
Result<Extent, ProtocolError> decode_extent(
    std::span<const std::byte, sizeof(wire::BlockDescriptor)> bytes) noexcept;
constexpr std::uint32_t extents_of(const ReplyHeader& block_status) noexcept {
  return (block_status.length - 4) / sizeof(wire::BlockDescriptor);
}

struct ErrorChunk {
  std::uint32_t error = 0;          // As the server gave it.
  std::string_view message;         // Points into the bytes.
  std::optional<std::uint64_t> at;  // ERROR_OFFSET only.
};
inline constexpr std::size_t error_chunk_max = wire::string_max + sizeof(wire::ErrorHead) + 8;
// `body` is the whole of an error chunk of any type: `header.length` bytes, at most
// error_chunk_max of them.
Result<ErrorChunk, ProtocolError> decode_error_chunk(const ReplyHeader& header,
                                                     std::span<const std::byte> body) noexcept;

// Does the stretch lie inside the other, without wrapping around?
constexpr bool inside(std::uint64_t offset, std::uint64_t length, std::uint64_t outer_offset,
                      std::uint64_t outer_length) noexcept {
  return offset >= outer_offset && length <= outer_length &&
         offset - outer_offset <= outer_length - length;
}

// ---- What a server reads ------------------------------------------------------------------------

struct RequestHeader {
  std::uint16_t flags = 0;
  std::uint16_t type = 0;  // Command, where it is one.
  std::uint64_t cookie = 0;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
};
Result<RequestHeader, ProtocolError> decode_request(
    std::span<const std::byte, sizeof(wire::Request)> bytes) noexcept;

// ---- Errors -------------------------------------------------------------------------------------

// The protocol's error values are Linux's, but only these: EPERM EIO ENOMEM EINVAL ENOSPC
// EOVERFLOW ENOTSUP ESHUTDOWN. Any other that a server sends counts as EINVAL.
int errno_from_wire(std::uint32_t error) noexcept;
// The nearest one that the protocol has; EIO where none is near. 0 stays 0.
std::uint32_t wire_from_errno(int error) noexcept;

}  // namespace head::nbd
