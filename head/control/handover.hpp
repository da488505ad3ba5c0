// The document in which one headd tells the next what it has of its discs and their guests, and the
// way back. The descriptors go beside it, in any order: each is found by its socket's cookie.
//
//   | magic 8 | version 4 | discs 4 | disc ... |                                    big-endian
//   disc     | name n2 | listener's cookie 8 | sessions 4 | session ... | legacy |
//            | connections 4 | connection ... |
//   session  | cookie 8 | size 8 | terms | stage 1 | (handshake) | said n8 | unsent n8 | owes 1 |
//   terms    | flags 2 | structured_replies 1 | base_allocation 1 |
//   legacy   | known 1 | (shape) | FLUSH 1 | owes 1 | doubted 1 | first block's length 4 | its
//   checksum 8 |
//            | doubts 4 | doubt ... | log n8 | abandoned 1 | owed since 8 | writes 4 | write ... |
//   write    | offset 8 | length 4 | checksum 8 |
//   doubt    | offset 8 | length 8 | until 8 | asked again 1 | content 8 |
//   connection
//            | cookie 8 | address 16 | port 2 | interface n2 | export's name n2 | shape |
//            | context 4 | note n2 | acknowledges at once 1 | round trip 8 | sent 8 |
//            | generation 4 |
//   shape    | size 8 | flags 2 | block sizes 4, 4, 4 | structured_replies 1 | base_allocation 1 |
//   handshake| state 1 | no_zeroes 1 | options 2 | option 4 | length 4 | body n4 | terms |
//
// Version 1, which has no legacies, 2, which has neither shapes nor FLUSH, "owes" and "asked
// again", and 3, which has neither connections nor what comes after the log, are read as well. Any
// other is refused, whatever else it holds: whoever hands over then takes its guests back, or they
// connect anew. Every length is checked against what there is before anything is made of it.
#pragma once

#include "head/base/result.hpp"
#include "head/export/handed.hpp"
#include "iouring/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace head::control {

inline constexpr std::uint32_t handover_version = 4;

// Without the descriptors.
std::vector<std::byte> to_document(std::span<const exports::HandedDisc> discs);
// Either what it says, or why it says nothing, in a sentence: it is none, or is of another version.
struct Document {
  std::vector<exports::HandedDisc> discs{};
  std::string problem{};
};
Document parse_document(std::span<const std::byte> bytes);

// SO_COOKIE: what the kernel calls a socket as long as it lives, in every process. 0: it is none.
std::uint64_t cookie_of(int socket) noexcept;
// Writes the cookies of the descriptors there are.
void note_cookies(std::vector<exports::HandedDisc>& discs) noexcept;
// Gives each its descriptor. Sessions without one are left out: their guests are gone. How many.
// Connections without one are left out as well: whoever serves the disc connects anew.
std::size_t take_descriptors(std::vector<exports::HandedDisc>& discs,
                             std::vector<iouring::UniqueFd> descriptors);
// Those of guests first, those of tails last, as discs can do without.
std::vector<int> descriptors_of(std::span<const exports::HandedDisc> discs);
// How many sockets no descriptor could be made of.
std::size_t count_staying(std::span<const exports::HandedDisc> discs) noexcept;

// A file in memory with these bytes; no descriptor, with errno set, when it is not to be had.
iouring::UniqueFd memory_file(std::span<const std::byte> bytes) noexcept;
Result<std::vector<std::byte>, std::string> read_memory_file(int fd);

}  // namespace head::control
