// Writes that a tail is known to have, by a checksum of what they wrote. A tail that comes back
// without them is not the disc as it was left: it belonged to one connection, was restored from a
// copy, or somebody else has written there. Pure bookkeeping, no I/O.
//
//   sent ──► answered ── not stable yet ── a FLUSH that was sent after that is answered ──► newest
//              └──────── with FUA, or before a tail that offers neither ───────────────────►  │
//                                    so many newer ones came, and nobody wrote over it since  │
//                                                                                    lasting ◄┘
//
// A write that anything later was sent over is forgotten: so the lasting ones come to be those of
// blocks that are rarely written. Those that are not stable are forgotten when a connection is
// lost, and all when a FLUSH fails: a tail that crashed still has what is known.
#pragma once

#include "head/disc/pieces.hpp"
#include "head/nbd/legacy.hpp"
#include "head/nbd/request.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace head::disc {

class LastWrites {
 public:
  using Write = nbd::Legacy::Write;

  static constexpr std::size_t newest_most = 8;
  static constexpr std::size_t lasting_most = 8;
  static constexpr std::size_t unstable_most = 8;
  static constexpr std::uint32_t bytes_most =
      4096;  // Of each, unless the tail's blocks are larger.

  // What the tail offers, once it is known and whenever it is more.
  void learn(const nbd::ExportInfo& tail) noexcept;
  // As an earlier headd knew them.
  void inherit(const std::vector<Write>& known);
  // The tail offers FLUSH and does not know it: nothing is known to be stable any more.
  void flush_is_unknown() noexcept {
    forget();
    flush_unknown_ = true;
  }

  // Each request that goes to a tail, but for what a replay writes: that is the newest there is.
  void sent(const nbd::Request& request);
  // It was answered. `content`: what content_of() says of it; 0: it is to be asked. `sure`: its
  // success is not one that another's failure may have made. A FLUSH is told of once it is that.
  void answered(const nbd::Request& request, int error, std::uint64_t content, iouring::Instant now,
                bool sure = true);
  // It was not, and is not with the tail any more as far as we know.
  void lost(const nbd::Request& request) noexcept;

  // Oldest first.
  const std::vector<Write>& newest() const noexcept { return newest_; }
  // The lasting ones, and then the newest.
  std::vector<Write> known() const;
  // For inherit(), which takes the last of them for the newest: no others may come to be those.
  std::vector<Write> to_hand_over() const;
  // Does whoever has it have the disc as it was last? One that lasts says so only where no newer
  // one is known: a copy of yesterday has it, too.
  bool is_proof(const Write& write) const noexcept;
  // Was nothing sent over it since it was copied from there?
  bool still_knows(const Write& write) const noexcept;
  // The tail may have lost what was not stable: a connection to it was lost, or made.
  void forget_unstable() noexcept;
  // Whatever the tail has is right.
  void forget() noexcept;

 private:
  struct Unstable {
    Write write;
    std::uint64_t turn;
  };
  struct Flush {
    const nbd::Request* who;
    std::uint64_t covers;  // Turns before this one.
  };

  void forget(Range range) noexcept;
  void know(const Write& write);
  void on_flushed(const nbd::Request& flush);

  std::uint32_t bytes_ = bytes_most;
  bool can_flush_ = false, can_fua_ = false, flush_unknown_ = false;
  std::uint64_t turn_ = 0;        // Of writes that were answered.
  iouring::Instant failed_at_{};  // What was sent until then a FLUSH has failed to make stable.
  std::vector<Write> lasting_, newest_;
  std::vector<Unstable> unstable_;
  std::vector<Flush> flushes_;  // Under way.
};

// What reading it back must give: `bytes` are what is there.
bool is_there(const LastWrites::Write& write, std::span<const std::byte> bytes) noexcept;

}  // namespace head::disc
