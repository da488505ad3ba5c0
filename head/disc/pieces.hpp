// How a guest's request, aligned to nothing, becomes requests that a tail accepts: pure arithmetic.
//
//   tail's blocks   |--------|--------|--------|--------|
//   guest's write         [=========================]
//   pieces                [==|                               head: read the block, change, write
//                            |========|========|             middle: as it is, split at the
//                                              |====]        maximum;  tail: like the head
#pragma once

#include "head/nbd/request.hpp"
#include "head/nbd/volume.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace head::disc {

struct Range {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;

  constexpr std::uint64_t end() const noexcept { return offset + length; }
  constexpr bool overlaps(const Range& other) const noexcept {
    return offset < other.end() && other.offset < end();
  }
  bool operator==(const Range&) const = default;
};

inline constexpr Range whole_disc{.offset = 0, .length = UINT64_MAX};

inline Range range_of(const nbd::Request& request) noexcept {
  return {.offset = request.offset, .length = request.length};
}

// Of what a change writes, in its first `length` bytes, and with what command; never 0. Against
// mistakes, not against malice. The same in every headd.
std::uint64_t content_of(const nbd::Request& change, std::size_t length = SIZE_MAX) noexcept;

// Whole blocks around a range.
constexpr Range around(Range range, std::uint64_t block) noexcept {
  const std::uint64_t from = range.offset / block * block;
  const std::uint64_t to = (range.end() + block - 1) / block * block;
  return {.offset = from, .length = to - from};
}

// Does it change what is on the disc?
constexpr bool changes(nbd::Command command) noexcept {
  return command == nbd::Command::write || command == nbd::Command::write_zeroes ||
         command == nbd::Command::trim;
}

// Is a piece of it made longer, to whole blocks? Advice and questions do the rest of them no harm.
constexpr bool widens(nbd::Command command) noexcept {
  return command == nbd::Command::cache || command == nbd::Command::block_status;
}

// May the request go to the tail as it is?
bool fits(const nbd::Request& request, const nbd::ExportInfo& tail) noexcept;

// One step of a request that does not fit.
struct Piece {
  Range range;           // What it covers of the guest's request.
  bool partial = false;  // Part of one block: goes by way of a copy of that block.
};

// The first piece of what is left of a request, `done` bytes of it being dealt with; nothing when
// that was all. Pieces come in order, whole blocks at most `most` bytes at once. TRIM, being
// advice, leaves parts of blocks out; those of CACHE and BLOCK_STATUS are widened to whole blocks
// by their executor. BLOCK_STATUS has one piece: it may be answered for less than was asked.
std::optional<Piece> next_piece(const nbd::Request& request, std::uint64_t done,
                                const nbd::ExportInfo& tail, std::uint64_t most) noexcept;

// What to do about a request that the tail answered with an error which says how it was asked, not
// what became of it. DF is added once, what is refused as too long is never asked at that length
// again, and what others crowded out finds ever fewer of them, so this ends.
enum class Again : std::uint8_t {
  no,
  unfragmented,  // In one piece: with NBD_CMD_FLAG_DF.
  shorter,       // In halves.
  unchanged,     // As before: it was not to blame.
};
Again ask_again(const nbd::Request& request, int error, const nbd::ExportInfo& tail) noexcept;
// What the guest is told when nothing is asked again. EOVERFLOW is for READ: with another command,
// no longer than we let guests ask, a guest need not know it.
int answer_of(nbd::Command command, int error) noexcept;
// Whole blocks, at least one.
std::uint64_t half_of(const nbd::Request& request, const nbd::ExportInfo& tail) noexcept;

}  // namespace head::disc
