// The sending half of an NBD stream, either side's: headers, each with the memory that goes behind
// it, in the order they were queued. Whatever is queued while handlers run leaves as one send; at
// most one send is in flight, so order needs nothing else.
#pragma once

#include "iouring/io.hpp"

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace head::nbd {

class Writer {
 public:
  // Something to send, embedded in what it is about. It stays put until on_sent() or until the
  // writer is given up.
  class Item {
   public:
    static constexpr std::size_t header_max = 32;

    // `header` is a wire structure; its bytes are copied.
    template <class Header>
    void set(const Header& header, std::span<const iovec> body) noexcept {
      static_assert(sizeof(Header) <= header_max && alignof(Header) == 1);
      std::memcpy(header_.data(), &header, sizeof header);
      header_size_ = sizeof header;
      body_ = body;
    }

    // Memory without a header.
    void set(std::span<const iovec> body) noexcept {
      header_size_ = 0;
      body_ = body;
    }

   private:
    friend class Writer;
    std::array<std::byte, header_max> header_;
    std::uint8_t header_size_ = 0;
    std::span<const iovec> body_;
    Item* next_ = nullptr;
  };

  class Owner {
   public:
    // The kernel has all of it; the item and its memory are the owner's again.
    virtual void on_sent(Item& item) noexcept = 0;
    // Nothing more will be sent. What is still queued stays queued until clear().
    virtual void on_send_failed(int error) noexcept = 0;
    // After stop() or halt(), where something was pending: it has ended, the memory is the owner's
    // again.
    virtual void on_writer_drained() noexcept = 0;
    // A send that asks for its departure (time_next()) is about to go; then the kernel has it.
    virtual void on_timed_send() noexcept {}
    virtual void on_timed_sent() noexcept {}

   protected:
    ~Owner() = default;
  };

  Writer(iouring::Io& io, Owner& owner) noexcept : io_(io), owner_(owner) {}

  // Nothing is queued or pending. `gone`: bytes that have left on that socket before.
  void start(iouring::Socket socket, std::uint64_t gone = 0) noexcept {
    assert(idle() && !pending());
    socket_ = socket;
    stopped_ = halted_ = false;
    gone_ = gone;
  }
  void queue(Item& item) noexcept;

  // The next send asks the kernel for its departure, unless it is longer than that.
  void time_next(std::size_t most) noexcept { timed_most_ = most; }

  bool idle() const noexcept { return head_ == nullptr; }
  // Not idle: when bytes last left, or there were first some to leave.
  iouring::Instant last_progress() const noexcept { return last_progress_; }
  // Bytes of items that have left since start(); inside on_sent(), up to the end of that item.
  std::uint64_t gone() const noexcept { return gone_; }
  // Ends a pending send where it is. If bytes of it have left, the others follow; if none have, the
  // send has failed (ECANCELED).
  void interrupt() noexcept {
    if (send_.pending()) io_.cancel(send_);
  }
  // While true, the memory of queued items may be the kernel's.
  bool pending() const noexcept { return send_.pending() || flush_.pending(); }

  // Sends nothing more and calls nothing more but on_writer_drained(). Whoever stops it shuts the
  // socket down to end a pending send.
  void stop() noexcept { stopped_ = true; }
  // For a stream that goes on elsewhere: sends nothing more, and what is pending ends soon, with
  // on_writer_drained() or on_send_failed(); items that are wholly sent are reported. Asked again,
  // it asks the kernel again. From then on unsent() is what is left to be sent.
  void halt() noexcept {
    halted_ = true;
    interrupt();
  }
  std::vector<std::byte> unsent() const;

  // After stop(), nothing pending: forgets what is queued.
  void clear() noexcept;

 private:
  // Parts of one send: 64 headers with a body each, or a large body in pieces.
  static constexpr std::size_t parts_max = 128;

  void on_flush(iouring::Result result) noexcept;
  void on_send(iouring::Result result) noexcept;
  void send_more() noexcept;
  bool to_be_timed(std::size_t count) noexcept;
  std::size_t gather() noexcept;

  iouring::Io& io_;
  Owner& owner_;
  iouring::Socket socket_;
  bool stopped_ = false;
  bool halted_ = false;

  Item* head_ = nullptr;
  Item* tail_ = nullptr;
  std::size_t sent_ = 0;  // Of the first item: bytes that are gone.
  std::uint64_t gone_ = 0;
  std::size_t timed_most_ = 0;
  bool timed_ = false;  // The send in flight is.
  iouring::Instant last_progress_{};

  iouring::Op<&Writer::on_flush> flush_{*this};
  iouring::Op<&Writer::on_send> send_{*this};
  msghdr message_{};
  std::array<iovec, parts_max> parts_;
};

}  // namespace head::nbd
