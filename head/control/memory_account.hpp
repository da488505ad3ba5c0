// What headd may take of the machine's memory, part by part, each at its ceiling: in its own
// process, and in the kernel on its behalf. Pure functions of the configuration and of what is
// attached. Each part has a bound of its own, kept where it is taken, so that what they come to
// holds whatever guests, tails and callers of the API do; `[memory]` of head.toml bounds the sum,
// and what would go beyond it is refused beforehand, with the arithmetic.
#pragma once

#include "head/control/config.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace head::control {

namespace memory {

// For what clients of the API send, and are sent: each has so much.
inline constexpr std::size_t api_exchange_max = std::size_t{12} << 20;

}  // namespace memory

enum class MemoryOf : std::uint8_t { headd, kernel };

struct MemoryPart {
  std::string_view name;  // "payloads", say; never changes.
  std::string_view what;  // In words, its key in head.toml included.
  MemoryOf of = MemoryOf::headd;
  std::uint64_t count = 0;
  std::uint64_t each = 0;  // Bytes, at the ceiling.
  bool grows = false;      // With the discs; the others are there from the start.

  std::uint64_t bytes() const noexcept { return count * each; }
};

// What one socket may hold, and all of TCP's together, where headd runs: tcp(7), in bytes.
struct SocketCeilings {
  std::uint64_t tcp_send = std::uint64_t{4} << 20;      // tcp_wmem
  std::uint64_t tcp_receive = std::uint64_t{32} << 20;  // tcp_rmem
};

struct MemoryCounts {
  std::uint64_t discs = 0;
  std::uint64_t connections = 0;  // To tails, all discs together.
  // That are there: counted where they are more than data.guests_max, as those of an earlier headd
  // may be, which are not turned away.
  std::uint64_t guests = 0;
};

struct MemoryAccount {
  std::vector<MemoryPart> parts;
  std::uint64_t ceiling = 0;  // memory.ceiling_mib, in bytes;
  std::uint64_t kernel_ceiling = 0;

  std::uint64_t total(MemoryOf of) const noexcept;
  std::uint64_t fixed(MemoryOf of) const noexcept;  // Of that, what does not grow with the discs.
  std::uint64_t ceiling_of(MemoryOf of) const noexcept {
    return of == MemoryOf::headd ? ceiling : kernel_ceiling;
  }
  // Nothing where both ceilings hold; else a sentence with the arithmetic and the way out.
  std::optional<std::string> objection() const;
};

MemoryAccount memory_account(const Config& config, const SocketCeilings& sockets,
                             const MemoryCounts& counts);

// What an agent needs to know before it takes in more discs.
struct MemoryBudget {
  Config config;
  SocketCeilings sockets;

  MemoryAccount account(const MemoryCounts& counts) const {
    return memory_account(config, sockets, counts);
  }
};

// "312 MiB", "4.5 KiB"; for sentences.
std::string mebibytes(std::uint64_t bytes);

}  // namespace head::control
