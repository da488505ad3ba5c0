// Links and the byte streams over them, as two kernels present them to their programs.
//
//   head's program ─ write ─► out ─ link ─► arrived ─ take ─► the other end (a tail, a guest)
//                  ◄─ take ─ arrived ◄─ link ─ back ◄─ say ─
//
// Bytes arrive in order, in pieces of any size. What arrived before a reset can still be taken by
// the other end, as Linux has it; what is still on its way when the link is down comes later, or
// never. One end is a HeadIo's socket, the other an object of the world (Peer).
#pragma once

#include "tests/sim/world/clock.hpp"
#include "tests/sim/world/dice.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <vector>

namespace world {

using Bytes = std::vector<std::byte>;

class Stream;

// The end of a stream that is the world's.
class Peer {
 public:
  virtual ~Peer() = default;
  // More has arrived; it takes what it likes from stream.incoming().
  virtual void on_bytes(Stream& stream) = 0;
  // The head's end is over: closed in order, or reset (it may be a process that was killed). What
  // had arrived can still be taken.
  virtual void on_over(Stream& stream, bool reset) = 0;
};

// The head's end.
class SocketWatcher {
 public:
  // Something may be possible now that was not: to receive, to send, the end.
  virtual void on_change(Stream& stream) noexcept = 0;

 protected:
  ~SocketWatcher() = default;
};

// What streams run over: one between a head and a tail, one within a head.
class Link {
 public:
  struct Manners {
    Duration latency = std::chrono::microseconds(25);
    Duration jitter = std::chrono::microseconds(15);
    std::uint64_t bytes_per_second = 0;  // Of each stream, each way; 0: any number.
    double pieces = 0.1;                 // How likely bytes arrive in two pieces.
    bool local = false;                  // Of Unix sockets.
  };

  Link(Clock& clock, Dice& dice, Manners manners) : clock_(clock), dice_(dice), manners_(manners) {}

  void set_up(bool up);
  bool up() const noexcept { return up_; }

  // Since when it has been down, last.
  Instant down_since() const noexcept { return down_since_; }

 private:
  friend class Stream;

  Instant arrival(std::size_t bytes, Instant& busy_until);

  Clock& clock_;
  Dice& dice_;
  Manners manners_;
  bool up_ = true;
  Instant down_since_{};
  std::vector<Stream*> streams_;  // All that ever were.
};

class Stream {
 public:
  static constexpr std::size_t window = 256 << 10;  // Bytes under way or not taken, each way.

  Stream(Clock& clock, Link& link);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // ---- The head's end ----
  void watch(SocketWatcher* watcher) noexcept { watcher_ = watcher; }
  std::size_t room() const noexcept;  // For write(); 0 while there is none.
  void write(std::span<const std::byte> bytes);
  std::span<const std::byte> arrived() const noexcept { return to_head_.arrived(); }
  void take(std::size_t bytes);
  // 0 where the stream goes on. Else -errno of its end, or 1 for an orderly one, once all that
  // arrived before is taken.
  int end() const noexcept;
  bool broken() const noexcept { return head_error_ != 0; }
  // The kernel knows that nobody will read what is written, whatever is still to be read.
  bool hung_up() const noexcept { return broken() || (fin_to_head_ && link_.manners_.local); }
  // Nobody has a descriptor of the head's end any more.
  void close(bool reset);
  // The kernel of the head gives up: ETIMEDOUT, say.
  void break_head(int error);
  bool head_open() const noexcept { return head_open_; }
  // How long bytes have waited for the other kernel to take them.
  Duration unacknowledged() const noexcept;
  // Bytes that the other kernel has taken.
  std::uint64_t acknowledged() const noexcept { return acknowledged_; }

  // Of what the head writes the peer's kernel takes no more at a time.
  void narrow(std::size_t bytes) noexcept { window_ = bytes; }

  // How many sockets and descriptors hold the head's end.
  unsigned holders = 0;
  bool lingers = true;  // Else it is reset when the last of them is a descriptor.

  // ---- The world's end ----
  void meet(Peer& peer) noexcept { peer_ = &peer; }  // Before anything else.
  std::span<const std::byte> incoming() const noexcept { return to_peer_.arrived(); }
  void take_incoming(std::size_t bytes);
  void say(std::span<const std::byte> bytes);
  // Calls it once: with true when the head has taken all that was said until now; with false where
  // it has closed its end before.
  void when_heard(std::function<void(bool heard)> tell);
  // The peer ends it: FIN behind what was said, or a reset at once.
  void hang_up(bool reset);
  bool peer_open() const noexcept { return peer_open_; }
  bool head_gone() const noexcept { return head_gone_; }
  // What was said and the head has not taken.
  std::size_t unheard() const noexcept { return to_head_.held(); }
  // What the head has written and the peer has not taken, nor will.
  std::size_t unsaid() const noexcept { return to_peer_.held(); }
  // After so many more bytes to the head the peer's end breaks with a reset.
  void cut_after(std::size_t bytes) noexcept { cut_after_ = bytes; }
  // The peer's host is gone without a word: nothing arrives there or comes from there any more.
  void lose_peer();
  // The host is there again and knows nothing of the connection: it resets what is sent to it.
  void on_peer_back();

 private:
  friend class Link;

  // One direction.
  struct Pipe {
    Bytes bytes;            // From `taken` on.
    std::size_t taken = 0;  // Of `bytes`.
    std::size_t have = 0;   // Of `bytes`, have arrived.
    std::uint64_t due = 0;  // Deliveries under way.

    std::span<const std::byte> arrived() const noexcept {
      return std::span(bytes).subspan(taken, have - taken);
    }
    std::size_t held() const noexcept { return bytes.size() - taken; }
    void take(std::size_t size);
  };

  void send(Pipe& pipe, std::span<const std::byte> bytes, bool to_peer);
  void deliver(bool to_peer, std::size_t size);
  void deliver_end(bool to_peer);
  void on_link_up();
  void tell_head();

  Clock& clock_;
  Link& link_;
  Peer* peer_ = nullptr;
  SocketWatcher* watcher_ = nullptr;
  struct Hearing {
    std::uint64_t end;  // Of what the head is to take, counted from the first byte.
    std::function<void(bool)> tell;
  };
  void tell_hearings(std::uint64_t taken, bool heard);

  Pipe to_peer_, to_head_;
  std::uint64_t heard_ = 0;  // Bytes that the head has taken.
  std::vector<Hearing> hearings_;
  std::size_t window_ = window;
  std::size_t late_to_peer_ = 0, late_to_head_ = 0;  // Bytes that wait for the link.
  Instant last_[2]{};                                // Nothing overtakes.
  Instant busy_until_[2]{};                          // Its share of the link is in use.
  Instant waits_since_{};
  std::uint64_t acknowledged_ = 0;
  bool head_open_ = true, peer_open_ = true;
  bool peer_lost_ = false, peer_back_ = false;
  int head_error_ = 0;        // Of the head's end: -errno.
  bool fin_to_head_ = false;  // The peer has ended, and that has arrived.
  bool head_gone_ = false;    // The peer knows that the head's end is over.
  bool reset_by_head_ = false;
  Instant closed_at_{};
  bool end_late_to_peer_ = false, end_late_to_head_ = false;
  bool reset_by_peer_ = false;
  std::size_t cut_after_ = SIZE_MAX;
};

}  // namespace world
