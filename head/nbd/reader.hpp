// The receiving half of an NBD stream, either side's: fixed-size headers, and payloads that belong
// to somebody. It is the one place that knows about short reads.
//
//   socket ──► pool buffer ──► header bytes, whole           ──► on_header()
//        │             └─────► small payloads, copied out     ──► on_payload()
//        └───────────────────► large payloads, no copy in between
//
// While nothing arrives it holds no buffer. What it is to expect next is said, from inside a
// handler or before start(), by expect_header() or expect_payload().
#pragma once

#include "iouring/io.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace head::nbd {

class Reader {
 public:
  // The longest header that can be expected: the largest fixed structure of either side.
  static constexpr std::size_t header_max = 512;

  class Owner {
   public:
    // Exactly the bytes asked for. Valid until the handler returns.
    virtual void on_header(std::span<const std::byte> header) noexcept = 0;
    // The payload asked for has arrived whole.
    virtual void on_payload() noexcept = 0;
    // The stream is over: 0 for an orderly end, else an errno. Nothing more is called, and no
    // receive is pending.
    virtual void on_end(int error) noexcept = 0;

   protected:
    ~Owner() = default;
  };

  Reader(iouring::Io& io, Owner& owner) noexcept : io_(io), owner_(owner) {}

  // `size` in 1..header_max.
  void expect_header(std::size_t size) noexcept;
  // `skip` bytes into `memory`, `size` bytes follow there. The list and the memory must stay put
  // until on_payload() or on_end().
  void expect_payload(std::span<const iovec> memory, std::size_t skip, std::size_t size) noexcept;
  // Reads `size` bytes and drops them; ends in on_payload().
  void expect_nothing(std::size_t size) noexcept;
  // Stops taking bytes after the current handler, until resume(): back-pressure.
  void pause() noexcept { paused_ = true; }
  void resume() noexcept;

  void start(iouring::Socket socket) noexcept;
  // Calls no handler any more. Somebody else shuts the socket down to end a pending receive; until
  // then pending() is true and memory is not one's own.
  void stop() noexcept { stopped_ = true; }
  bool pending() const noexcept;
  // Acknowledge early: see Io::quick_ack().
  void acknowledge_at_once(bool on) noexcept { quick_ack_ = on; }
};

}  // namespace head::nbd
