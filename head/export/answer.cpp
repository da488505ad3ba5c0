// What a guest is answered: simple replies, and structured ones where they were agreed on.
#include "head/export/session.hpp"
#include "head/export/slot.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

namespace head::exports {

namespace {

using nbd::Command;
using nbd::wire::Chunk;

struct DataHeader {
  nbd::wire::StructuredReply reply;
  be64 offset;
};
struct StatusHeader {
  nbd::wire::StructuredReply reply;
  be32 context = base_allocation_id;
};
struct ErrorHeader {
  nbd::wire::StructuredReply reply;
  nbd::wire::ErrorHead error;
};

// Every answer is one chunk: the last.
nbd::wire::StructuredReply chunk(Chunk type, std::uint64_t cookie, std::size_t length) {
  nbd::wire::StructuredReply reply;
  reply.flags = nbd::wire::reply_flag_done;
  reply.type = static_cast<std::uint16_t>(type);
  reply.cookie = cookie;
  reply.length = static_cast<std::uint32_t>(length);
  return reply;
}

std::optional<stats::Operation> operation_of(Command command) {
  switch (command) {
    case Command::read:
      return stats::Operation::read;
    case Command::write:
      return stats::Operation::write;
    case Command::flush:
      return stats::Operation::flush;
    case Command::trim:
      return stats::Operation::trim;
    case Command::write_zeroes:
      return stats::Operation::write_zeroes;
    case Command::cache:
      return stats::Operation::cache;
    case Command::block_status:
      return stats::Operation::block_status;
    case Command::disconnect:
      break;
  }
  return std::nullopt;
}

// Turns extents, where they lie, into descriptors that keep to what was asked, and says how many.
std::size_t encode_extents(const nbd::Request& request) {
  static_assert(sizeof(nbd::Extent) == sizeof(nbd::wire::BlockDescriptor));
  std::uint64_t left = request.length;
  std::size_t count = 0;
  for (; count < request.extents_filled && left > 0; ++count) {
    nbd::Extent& extent = request.extents[count];
    nbd::wire::BlockDescriptor descriptor;
    const auto length = static_cast<std::uint32_t>(std::min<std::uint64_t>(extent.length, left));
    descriptor.length = length;
    descriptor.flags = extent.flags;
    left -= length;
    std::memcpy(static_cast<void*>(&extent), &descriptor, sizeof descriptor);
  }
  return count;
}

}  // namespace

void Session::account(const Slot& slot, stats::Operation operation, int error) noexcept {
  const stats::Journey journey{
      .whole = service_.io.now() - slot.arrived, .away = slot.away, .wire = slot.wire};
  service_.stats.record(operation, slot.length, error, journey);
  service_.stalls.look_at(service_.stats, {.disc = service_.name,
                                           .operation = operation,
                                           .offset = slot.offset,
                                           .length = slot.length,
                                           .error = error,
                                           .arrived = slot.arrived,
                                           .journey = journey,
                                           .receiving = slot.receiving});
}

void Session::answer(Slot& slot, int error, const char* message) noexcept {
  if (error == 0 && slot.command == Command::block_status && slot.extents_filled == 0) error = EIO;
  if (const auto operation = operation_of(slot.command)) account(slot, *operation, error);

  const bool reads = slot.command == Command::read;
  if (error != 0 && terms_.structured_replies) {
    const std::size_t length = message == nullptr ? 0 : std::strlen(message);
    ErrorHeader header;
    header.reply = chunk(Chunk::error, slot.cookie, sizeof header.error + length);
    header.error.error = nbd::wire_from_errno(error);
    header.error.message_length = static_cast<std::uint16_t>(length);
    slot.text = {.iov_base = const_cast<char*>(message), .iov_len = length};
    slot.set(header, {&slot.text, length == 0 ? 0u : 1u});
  } else if (error == 0 && slot.command == Command::block_status) {
    iovec& part = slot.lease.parts[0];
    part.iov_len = encode_extents(slot) * sizeof(nbd::wire::BlockDescriptor);
    StatusHeader header;
    header.reply = chunk(Chunk::block_status, slot.cookie, sizeof header.context + part.iov_len);
    slot.set(header, {&part, 1});
  } else if (error == 0 && reads && terms_.structured_replies) {
    DataHeader header;
    header.reply = chunk(Chunk::offset_data, slot.cookie, sizeof header.offset + slot.length);
    header.offset = slot.offset;
    slot.set(header, slot.lease.parts);
  } else {
    nbd::wire::SimpleReply header;
    header.error = nbd::wire_from_errno(error);
    header.cookie = slot.cookie;
    slot.set(header, error == 0 && reads ? slot.lease.parts : std::span<iovec>());
  }
  slot.answered = true;
  writer_.queue(slot);
  watch_guest();
}

}  // namespace head::exports
