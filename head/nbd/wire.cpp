#include "head/nbd/wire.hpp"

#include <cerrno>

namespace head::nbd {

const char* describe(ProtocolError error) noexcept {
  switch (error) {
    case ProtocolError::bad_magic:
      return "bad magic number";
    case ProtocolError::bad_length:
      return "a length that does not fit its type";
    case ProtocolError::not_done:
      return "a last chunk that is not marked as the last";
    case ProtocolError::unknown_chunk:
      return "an unknown type of chunk";
    case ProtocolError::zero_extent:
      return "an extent of no bytes";
    case ProtocolError::no_error:
      return "an error chunk without an error";
    case ProtocolError::message_too_long:
      return "an error message longer than its chunk";
  }
  return "an unknown protocol error";
}

Result<ReplyHeader, ProtocolError> decode_reply_start(
    std::span<const std::byte, reply_start_size> bytes) noexcept {
  const auto simple = wire::load<wire::SimpleReply>(bytes);
  if (simple.magic == wire::simple_reply_magic) {
    ReplyHeader header;
    header.error = simple.error;
    header.cookie = simple.cookie;
    return header;
  }
  if (simple.magic != wire::structured_reply_magic) return Failure{ProtocolError::bad_magic};

  std::array<std::byte, sizeof(wire::StructuredReply)> padded{};
  std::memcpy(padded.data(), bytes.data(), bytes.size());
  const auto structured = wire::load<wire::StructuredReply>(padded);
  ReplyHeader header;
  header.structured = true;
  header.flags = structured.flags;
  header.type = structured.type;
  header.cookie = structured.cookie;
  return header;
}

Result<ReplyHeader, ProtocolError> complete_reply(
    ReplyHeader header, std::span<const std::byte, reply_length_size> bytes) noexcept {
  assert(header.structured);
  header.length = wire::load<be32>(bytes);
  const auto wrong = Failure{ProtocolError::bad_length};

  switch (header.chunk()) {
    case wire::Chunk::none:
      if (header.length != 0) return wrong;
      if (!header.done()) return Failure{ProtocolError::not_done};
      return header;
    case wire::Chunk::offset_data:
      if (header.length < 9) return wrong;
      return header;
    case wire::Chunk::offset_hole:
      if (header.length != sizeof(wire::OffsetHole)) return wrong;
      return header;
    case wire::Chunk::block_status:
      if (header.length < 12 || (header.length - 4) % sizeof(wire::BlockDescriptor) != 0 ||
          extents_of(header) > wire::extents_max)
        return wrong;
      return header;
    case wire::Chunk::error_offset:
      if (header.length < sizeof(wire::ErrorHead) + 8) return wrong;
      break;
    case wire::Chunk::error:
      break;
  }
  if (!is_error(header.chunk())) return Failure{ProtocolError::unknown_chunk};
  if (header.length < sizeof(wire::ErrorHead) || header.length > error_chunk_max) return wrong;
  return header;
}

Result<ReplyHeader, ProtocolError> decode_reply_header(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < reply_start_size) return Failure{ProtocolError::bad_length};
  const auto start = decode_reply_start(bytes.first<reply_start_size>());
  if (!start || !start->structured) return start;
  if (bytes.size() < sizeof(wire::StructuredReply)) return Failure{ProtocolError::bad_length};
  return complete_reply(*start, bytes.subspan<reply_start_size, reply_length_size>());
}

Content decode_offset_data(const ReplyHeader& header,
                           std::span<const std::byte, 8> bytes) noexcept {
  assert(header.chunk() == wire::Chunk::offset_data && header.length > 8);
  return {.offset = wire::load<be64>(bytes), .length = header.length - 8};
}

Result<Content, ProtocolError> decode_offset_hole(
    std::span<const std::byte, sizeof(wire::OffsetHole)> bytes) noexcept {
  const auto hole = wire::load<wire::OffsetHole>(bytes);
  if (hole.size == 0) return Failure{ProtocolError::zero_extent};
  return Content{.offset = hole.offset, .length = hole.size};
}

Result<Extent, ProtocolError> decode_extent(
    std::span<const std::byte, sizeof(wire::BlockDescriptor)> bytes) noexcept {
  const auto descriptor = wire::load<wire::BlockDescriptor>(bytes);
  if (descriptor.length == 0) return Failure{ProtocolError::zero_extent};
  return Extent{.length = descriptor.length, .flags = descriptor.flags & 3u};
}

Result<ErrorChunk, ProtocolError> decode_error_chunk(const ReplyHeader& header,
                                                     std::span<const std::byte> body) noexcept {
  assert(is_error(header.chunk()) && body.size() == header.length &&
         body.size() >= sizeof(wire::ErrorHead));
  const auto head = wire::load<wire::ErrorHead>(body);
  const auto rest = body.subspan(sizeof head);
  const bool has_offset = header.chunk() == wire::Chunk::error_offset;
  assert(!has_offset || rest.size() >= 8);

  if (head.error == 0) return Failure{ProtocolError::no_error};
  if (head.message_length > rest.size() - (has_offset ? 8 : 0) ||
      head.message_length > wire::string_max)
    return Failure{ProtocolError::message_too_long};

  ErrorChunk chunk;
  chunk.error = head.error;
  chunk.message = {reinterpret_cast<const char*>(rest.data()), head.message_length};
  if (has_offset) chunk.at = wire::load<be64>(rest.subspan(head.message_length));
  return chunk;
}

Result<RequestHeader, ProtocolError> decode_request(
    std::span<const std::byte, sizeof(wire::Request)> bytes) noexcept {
  const auto request = wire::load<wire::Request>(bytes);
  if (request.magic != wire::request_magic) return Failure{ProtocolError::bad_magic};
  return RequestHeader{.flags = request.flags,
                       .type = request.type,
                       .cookie = request.cookie,
                       .offset = request.offset,
                       .length = request.length};
}

int errno_from_wire(std::uint32_t error) noexcept {
  switch (error) {
    case 0:
      return 0;
    case 1:
      return EPERM;
    case 5:
      return EIO;
    case 12:
      return ENOMEM;
    case 22:
      return EINVAL;
    case 28:
      return ENOSPC;
    case 75:
      return EOVERFLOW;
    case 95:
      return ENOTSUP;
    case 108:
      return ESHUTDOWN;
    default:
      return EINVAL;
  }
}

std::uint32_t wire_from_errno(int error) noexcept {
  switch (error) {
    case 0:
      return 0;
    case EPERM:
    case EACCES:
    case EROFS:
      return 1;
    case ENOMEM:
      return 12;
    case EINVAL:
      return 22;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return 28;
    case EOVERFLOW:
      return 75;
    case ENOTSUP:
      return 95;
    case ESHUTDOWN:
      return 108;
    default:
      return 5;
  }
}

}  // namespace head::nbd
