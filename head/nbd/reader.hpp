// The receiving half of an NBD stream, either side's: fixed-size headers, and payloads that belong
// to somebody. It is the one place that knows about short reads.
//
//   socket ──► pool buffer ──► header bytes, whole           ──► on_header()
//        │             └─────► small payloads, copied out     ──► on_payload()
//        └───────────────────► large payloads, no copy in between
//
// While nothing arrives it holds no buffer. What it is to expect next is said, before start() and
// from inside every handler, by one of the expect_ calls.
#pragma once

#include "iouring/io.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace head::nbd {

class Reader {
 public:
  // The longest header that can be expected: the largest fixed structure of either side.
  static constexpr std::size_t header_max = 512;
  // A payload with more than this still to come is received where it belongs, not copied.
  static constexpr std::size_t copied_max = 16 << 10;

  class Owner {
   public:
    // Exactly the bytes asked for. Valid until the handler returns.
    virtual void on_header(std::span<const std::byte> header) noexcept = 0;
    // Of the header asked for some bytes have come; the others are waited for now. Only to be
    // noted.
    virtual void on_part_of_header() noexcept {}
    // The payload asked for has arrived whole.
    virtual void on_payload() noexcept = 0;
    // The stream is over: 0 for an orderly end, else an errno. Nothing more is called, and no
    // receive is pending.
    virtual void on_end(int error) noexcept = 0;
    // After stop() or halt(), where a receive was pending: it has ended, the memory is the owner's
    // again.
    virtual void on_reader_drained() noexcept = 0;

   protected:
    ~Owner() = default;
  };

  Reader(iouring::Io& io, Owner& owner) noexcept : io_(io), owner_(owner) {}

  // Takes no more than that from the socket at a time, large payloads apart; so much is kept at
  // most while it is paused. Before start(); otherwise it is as the loop's buffers are.
  void receive_at_most(std::size_t bytes) noexcept { most_ = bytes; }

  // `size` in 1..header_max.
  void expect_header(std::size_t size) noexcept;
  // The next `size` bytes (at least one) go into `memory` from its byte `skip` on. The list and the
  // memory stay put until on_payload() or on_end().
  void expect_payload(std::span<const iovec> memory, std::size_t skip, std::size_t size) noexcept;
  // The next `size` bytes are of no use; on_payload() follows them. Zero is allowed.
  void expect_nothing(std::uint64_t size) noexcept;

  // Back-pressure, from inside a handler: takes nothing more from the socket until resume(), which
  // must not be called from inside a handler. Bytes that have come already, fewer than a pool
  // buffer holds, are kept meanwhile.
  void pause() noexcept { paused_ = true; }
  void resume() noexcept;

  void start(iouring::Socket socket) noexcept;
  // Calls no handler any more but on_reader_drained(). Whoever stops it shuts the socket down to
  // end a pending receive; until then pending() is true and the memory is the kernel's.
  void stop() noexcept;
  bool pending() const noexcept { return recv_.pending(); }

  // For a stream that goes on elsewhere: takes nothing more, and what is pending ends soon, with
  // on_reader_drained(), or with on_end() where the stream is over. Asked again, it asks the kernel
  // again. From then on came() is what has come and no handler was given: of a header that is
  // expected its first bytes as well; of a payload (or of what is of no use) what comes when `left`
  // bytes of it are missing still.
  void halt() noexcept;
  struct Came {
    std::vector<std::byte> bytes;
    std::uint64_t left = 0;
  };
  Came came() const;
  // As start(), where those have come before anything else does. They are given at resume().
  void start_with(iouring::Socket socket, std::vector<std::byte> bytes) noexcept;

  // Some bytes of a header have come and others have not.
  bool within_header() const noexcept {
    return want_ == Want::header && left_ != 0 && left_ < header_size_;
  }
  // When bytes last came, or it began again to take some.
  iouring::Instant last_progress() const noexcept { return last_progress_; }
  // When bytes had come before those that came last.
  iouring::Instant progress_before() const noexcept { return progress_before_; }
  // When the bytes that a handler is given came, were they kept meanwhile or not.
  iouring::Instant came_at() const noexcept { return came_at_; }
  // Ends a pending receive where it is. If bytes of it have come, the others follow; if none have,
  // the stream is over (ECANCELED).
  void interrupt() noexcept {
    if (recv_.pending()) io_.cancel(recv_);
  }

  // Acknowledges whatever arrives at once: see Io::quick_ack().
  void acknowledge_at_once(bool on) noexcept { quick_ack_ = on; }

 private:
  enum class Want { nothing, header, payload };
  using Bytes = std::span<const std::byte>;

  void on_recv(iouring::Result result) noexcept;
  Bytes consume(Bytes bytes) noexcept;
  std::size_t take_header(Bytes bytes) noexcept;
  std::size_t take_payload(Bytes bytes) noexcept;
  std::size_t take_nothing(Bytes bytes) noexcept;
  void advance(std::size_t size) noexcept;
  void receive() noexcept;
  void receive_payload() noexcept;

  iouring::Io& io_;
  Owner& owner_;
  iouring::Socket socket_;

  Want want_ = Want::header;
  std::uint64_t left_ = 0;  // Bytes until what is wanted is whole.
  std::size_t header_size_ = 0;
  std::span<const iovec> memory_;  // Where a payload goes; its first element from `skip_` on.
  std::size_t skip_ = 0;

  std::size_t most_ = 0;  // 0: as a buffer is.
  bool stopped_ = false;
  bool paused_ = false;
  bool halted_ = false;
  bool quick_ack_ = false;
  bool drained_ = false;         // The last receive left the socket empty.
  bool large_ = false;           // The last payload was large: take the next header alone.
  std::vector<std::byte> kept_;  // While paused, from here on:
  std::size_t kept_from_ = 0;
  iouring::Instant last_progress_{}, progress_before_{};
  iouring::Instant came_at_{};

  iouring::Op<&Reader::on_recv> recv_{*this};
  msghdr message_{};
  std::array<iovec, 16> parts_;               // Of a large payload, as far as one receive goes.
  std::array<std::byte, header_max> header_;  // Of a header that came in pieces.
};

}  // namespace head::nbd
