#include "iouring/receive_pool.hpp"

#include <cerrno>
#include <sys/mman.h>
#include <system_error>

namespace iouring {
namespace {

void* map(std::size_t size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(), "memory for receive buffers");
  return memory;
}

}  // namespace

ReceivePool::ReceivePool(io_uring& ring, unsigned count, std::size_t size, bool shared_ring)
    : ring_(ring), count_(count), size_(size) {
  memory_ = static_cast<std::byte*>(map(count * size));
  if (shared_ring) {
    shared_size_ = count * sizeof(io_uring_buf);
    shared_ = static_cast<io_uring_buf_ring*>(map(shared_size_));
    io_uring_buf_reg reg{};
    reg.ring_addr = reinterpret_cast<std::uint64_t>(shared_);
    reg.ring_entries = count;
    reg.bgid = group;
    if (io_uring_register_buf_ring(&ring_, &reg, 0) < 0) {
      munmap(shared_, shared_size_);
      shared_ = nullptr;
    } else {
      io_uring_buf_ring_init(shared_);
    }
  }
  for (unsigned id = 0; shared_ != nullptr && id < count; ++id)
    give_back(static_cast<std::uint16_t>(id));
}

ReceivePool::~ReceivePool() {
  if (shared_ != nullptr) {
    io_uring_unregister_buf_ring(&ring_, group);
    munmap(shared_, shared_size_);
  }
  munmap(memory_, count_ * size_);
}

void ReceivePool::give_back(std::uint16_t id) noexcept {
  io_uring_buf_ring_add(shared_, memory_ + id * size_, static_cast<unsigned>(size_), id,
                        io_uring_buf_ring_mask(count_), 0);
  io_uring_buf_ring_advance(shared_, 1);
}

}  // namespace iouring
