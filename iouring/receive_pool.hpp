// The buffers that pooled receives of one ring land in. A receive takes one only when bytes have
// come, and gives it back when its handler returns, so ten thousand idle sockets need none.
//
// The kernel picks buffers from a ring that it shares with us (5.19). Where it cannot, there is one
// buffer, for receives that are made when the socket is known to be readable.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace iouring {

class ReceivePool {
 public:
  static constexpr std::uint16_t group = 1;

  // `count` is a power of two, at most 32,768. Throws std::system_error without memory.
  ReceivePool(io_uring& ring, unsigned count, std::size_t size, bool shared_ring);
  ~ReceivePool();
  ReceivePool(const ReceivePool&) = delete;
  ReceivePool& operator=(const ReceivePool&) = delete;

  bool shared() const noexcept { return shared_ != nullptr; }
  std::size_t buffer_size() const noexcept { return size_; }
  // Where there is no ring.
  std::span<std::byte> scratch() noexcept { return {memory_, size_}; }
  std::span<const std::byte> bytes(std::uint16_t id, std::size_t length) const noexcept {
    return {memory_ + id * size_, length};
  }
  void give_back(std::uint16_t id) noexcept;

 private:
  io_uring& ring_;
  unsigned count_;
  std::size_t size_;
  std::byte* memory_ = nullptr;
  io_uring_buf_ring* shared_ = nullptr;
  std::size_t shared_size_ = 0;
};

}  // namespace iouring
