#include "head/disc/pieces.hpp"

#include "head/nbd/connection.hpp"

#include <algorithm>
#include <cerrno>
#include <span>
#define XXH_STATIC_LINKING_ONLY  // A state on the stack.
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>  // The same functions, by what the processor can do: twice as fast.
#endif

namespace head::disc {
namespace {

bool has_payload(nbd::Command command) noexcept {
  return command == nbd::Command::read || command == nbd::Command::write;
}

// The most that one request may cover: whole blocks, and no more payload than the tail takes.
std::uint64_t longest(const nbd::Request& request, const nbd::ExportInfo& tail) noexcept {
  const std::uint64_t most = has_payload(request.command) ? tail.payload_maximum : UINT32_MAX;
  return most / tail.block_minimum * tail.block_minimum;
}

// What no tail has a reason to find too long. With DF, 65,536 bytes must be answered.
constexpr std::uint32_t short_enough = 4096;

// XXH3, 64 bits; it is the same however the bytes lie.
std::uint64_t hash_of(std::span<const iovec> memory, std::size_t length,
                      std::uint64_t seed) noexcept {
  if (memory.empty()) return XXH3_64bits_withSeed(nullptr, 0, seed);
  const auto size_of = [&length](const iovec& part) { return std::min(part.iov_len, length); };
  if (memory.size() == 1 || length <= memory[0].iov_len)
    return XXH3_64bits_withSeed(memory[0].iov_base, size_of(memory[0]), seed);
  XXH3_state_t state;
  XXH3_INITSTATE(&state);  // Else it may take what lies there for a secret of ours.
  XXH3_64bits_reset_withSeed(&state, seed);
  for (const iovec& part : memory) {
    XXH3_64bits_update(&state, part.iov_base, size_of(part));
    length -= size_of(part);
  }
  return XXH3_64bits_digest(&state);
}

}  // namespace

std::uint64_t content_of(const nbd::Request& change, std::size_t length) noexcept {
  const auto seed = static_cast<std::uint64_t>(change.command);
  const bool writes = change.command == nbd::Command::write;
  const auto memory = writes ? change.memory : std::span<const iovec>();
  return std::max<std::uint64_t>(hash_of(memory, length, seed), 1);
}

bool fits(const nbd::Request& request, const nbd::ExportInfo& tail) noexcept {
  if (request.command == nbd::Command::flush) return true;
  const std::uint64_t mask = tail.block_minimum - 1;
  return ((request.offset | request.length) & mask) == 0 &&
         request.length <= longest(request, tail);
}

std::optional<Piece> next_piece(const nbd::Request& request, std::uint64_t done,
                                const nbd::ExportInfo& tail, std::uint64_t most) noexcept {
  const Range whole = range_of(request);
  const std::uint64_t block = tail.block_minimum;
  most = std::min(most, longest(request, tail));
  std::uint64_t from = whole.offset + done;
  if (widens(request.command)) {
    const bool enough = done != 0 && request.command == nbd::Command::block_status;
    if (enough || from >= whole.end()) return std::nullopt;
    const std::uint64_t to = std::min(from / block * block + most, whole.end());
    return Piece{.range = {.offset = from, .length = to - from}};
  }

  if (request.command == nbd::Command::trim) from = (from + block - 1) / block * block;
  if (from >= whole.end()) return std::nullopt;

  const std::uint64_t into_block = from % block;
  const std::uint64_t left = whole.end() - from;
  const std::uint64_t full = left / block * block;
  if (into_block == 0 && full > 0)
    return Piece{.range = {.offset = from, .length = std::min(full, most)}};
  if (request.command == nbd::Command::trim) return std::nullopt;
  return Piece{.range = {.offset = from, .length = std::min(left, block - into_block)},
               .partial = true};
}

Again ask_again(const nbd::Request& request, int error, const nbd::ExportInfo& tail) noexcept {
  if (!has_payload(request.command)) {
    // Longer than a payload it is allowed, but may be more than the tail can do.
    const bool refused = error == EOVERFLOW || error == EINVAL;
    return refused && request.length > tail.payload_maximum ? Again::shorter : Again::no;
  }
  if (request.command != nbd::Command::read) return Again::no;
  const bool scattered = error == nbd::too_scattered || error == nbd::crowded_out;
  if (!scattered && error != EOVERFLOW) return Again::no;
  const bool may_forbid =
      tail.has(nbd::transmission_flag::send_df) && (request.flags & nbd::command_flag::df) == 0;
  if (scattered && may_forbid) return Again::unfragmented;
  if (request.length > std::max(short_enough, tail.block_minimum)) return Again::shorter;
  return error == nbd::crowded_out ? Again::unchanged : Again::no;
}

int answer_of(nbd::Command command, int error) noexcept {
  return error == EOVERFLOW && command != nbd::Command::read ? EIO : error;
}

std::uint64_t half_of(const nbd::Request& request, const nbd::ExportInfo& tail) noexcept {
  const std::uint64_t block = tail.block_minimum;
  return std::max(request.length / 2 / block * block, block);
}

}  // namespace head::disc
