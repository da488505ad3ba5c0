// What the first block of a disc must be, so that another disc behind the same address and name is
// told from it: a checksum, kept true while guests write. Pure bookkeeping, no I/O.
//
//   unknown ── no change under way: FLUSH, then READ (take_stock) ──► known
//      ▲                                                                │
//      └───────────── a change of the block was sent ◄──────────────────┘
//
// What is known was on stable storage when it was read, and nothing that changes it was sent since:
// so a tail that lost everything volatile still has it. While it is not known nothing is compared.
#pragma once

#include "head/disc/pieces.hpp"
#include "head/nbd/request.hpp"
#include "head/nbd/volume.hpp"
#include "iouring/timer.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace head::disc {

using Checksum = std::uint64_t;

// FNV-1a, 64 bits: against mistakes, not against malice.
inline constexpr Checksum checksum_of_nothing = 0xcbf29ce484222325;
Checksum checksum_of(std::span<const std::byte> bytes,
                     Checksum before = checksum_of_nothing) noexcept;

class FirstBlock {
 public:
  static constexpr std::uint32_t bytes_most = 4096;  // Unless the tail's blocks are larger.
  // Of looks at the block, which cost the tail a FLUSH and a READ.
  static constexpr std::chrono::seconds looks_apart{5};

  enum class Verdict : std::uint8_t { same, another, not_compared };

  // `inherits`: another headd may write the block until inherit(), and before that nothing is
  // learned of it.
  explicit FirstBlock(bool inherits = false) noexcept : awaits_(inherits) {}
  bool awaits() const noexcept { return awaits_; }

  // When the disc became known. A block that has been learned already keeps its length.
  void learn(const nbd::ExportInfo& tail) noexcept;
  // As an earlier headd knew it; zero, for nothing is known, as well. It may come at any time: what
  // was known before is forgotten.
  void inherit(std::uint32_t length, Checksum sum) noexcept;
  // The tail has failed a FLUSH: what it shows may not be what it has, until all of it is written
  // anew.
  void doubt() noexcept {
    known_.reset();
    ++version_;
    doubted_ = true;
  }
  bool doubted() const noexcept { return doubted_; }
  // Whatever the next look finds is right.
  void forget() noexcept { known_.reset(); }

  std::uint32_t length() const noexcept { return length_; }  // 0: there is none to look at.
  std::optional<Checksum> known() const noexcept { return known_; }
  // Can it be asked of such a tail? Its blocks may be larger than they were.
  bool readable(const nbd::ExportInfo& tail) const noexcept;

  // Each request that goes to a tail, and that comes back from there, answered or not. `ghosts`: it
  // may be carried out until then.
  void sent(const nbd::Request& request) noexcept;
  void returned(const nbd::Request& request, iouring::Instant ghosts) noexcept;

  // No change of it was sent yet: it may be looked at at once.
  bool untouched() const noexcept { return !touched_; }

  // A read for a comparison, or the FLUSH before a read that is to find out, begins now.
  std::uint64_t version() const noexcept { return version_; }
  bool may_look(iouring::Instant now) const noexcept {
    return !awaits_ && !doubted_ && length_ != 0 && !known_ && under_way_ == 0 &&
           ghosts_until_ <= now;
  }
  // It has ended, well; it began at `version`.
  void take_stock(std::uint64_t version, Checksum found) noexcept;
  // `found`: nothing where it could not be read.
  Verdict judge(std::uint64_t version, std::optional<Checksum> found) const noexcept;

 private:
  bool concerns(const nbd::Request& request) const noexcept;

  bool awaits_;
  bool doubted_ = false;
  std::uint32_t length_ = 0;
  std::optional<Checksum> known_;
  bool touched_ = false;
  std::uint64_t version_ = 0;    // Of the block: changes that were sent.
  std::uint32_t under_way_ = 0;  // Of these.
  iouring::Instant ghosts_until_{};
};

}  // namespace head::disc
