#include "head/export/validate.hpp"

#include <cerrno>

namespace head::exports {

namespace {

using nbd::Command;
namespace flag = nbd::transmission_flag;
namespace command_flag = nbd::command_flag;

constexpr const char* too_long = "more than the maximum payload of 32 MiB";

bool is_known(std::uint16_t type) noexcept {
  return type <= static_cast<std::uint16_t>(Command::block_status) &&
         type != static_cast<std::uint16_t>(Command::disconnect);
}

bool writes(Command command) noexcept {
  return command == Command::write || command == Command::trim || command == Command::write_zeroes;
}

bool is_offered(Command command, const Terms& terms) noexcept {
  switch (command) {
    case Command::flush:
      return (terms.flags & flag::send_flush) != 0;
    case Command::trim:
      return (terms.flags & flag::send_trim) != 0;
    case Command::write_zeroes:
      return (terms.flags & flag::send_write_zeroes) != 0;
    case Command::cache:
      return (terms.flags & flag::send_cache) != 0;
    case Command::block_status:
      return terms.base_allocation;
    default:
      return true;
  }
}

// "Command flags" in the specification. FUA is legal with every command, because clients are known
// to set it on reads.
unsigned flags_offered(Command command, const Terms& terms) noexcept {
  unsigned flags = 0;
  if ((terms.flags & flag::send_fua) != 0) flags |= command_flag::fua;
  if (command == Command::write_zeroes) flags |= command_flag::no_hole;
  if (command == Command::write_zeroes && (terms.flags & flag::send_fast_zero) != 0)
    flags |= command_flag::fast_zero;
  if (command == Command::read && (terms.flags & flag::send_df) != 0) flags |= command_flag::df;
  if (command == Command::block_status) flags |= command_flag::req_one;
  return flags;
}

}  // namespace

Verdict validate(const nbd::RequestHeader& request, const Terms& terms,
                 std::uint64_t size) noexcept {
  if (!is_known(request.type)) return {EINVAL, "unknown command"};
  const auto command = static_cast<Command>(request.type);
  const bool carries = command == Command::read || command == Command::write;

  if (writes(command) && (terms.flags & flag::read_only) != 0)
    return {EPERM, "the disc is read-only"};
  if (command == Command::write && request.flags == too_long_flags &&
      request.offset == too_long_offset)
    return {EOVERFLOW, too_long};
  if (!is_offered(command, terms)) return {EINVAL, "a command that was not offered"};
  if ((request.flags & ~flags_offered(command, terms)) != 0)
    return {EINVAL, "a command flag that was not offered"};
  if (command == Command::flush && (request.offset != 0 || request.length != 0))
    return {EINVAL, "FLUSH has neither offset nor length"};
  if (command == Command::flush) return {};
  if (request.length == 0) return {EINVAL, "a request for no bytes"};
  if (carries && request.length > payload_maximum) return {EOVERFLOW, too_long};
  if (!nbd::inside(request.offset, request.length, 0, size)) {
    const bool full = command == Command::write || command == Command::write_zeroes;
    return {full ? ENOSPC : EINVAL, "beyond the end of the disc"};
  }
  return {};
}

}  // namespace head::exports
