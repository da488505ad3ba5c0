// Memory for the requests of all guests of one data thread: one arena of fixed size, never grown,
// and touched only as far as it is used.
//
//   a request's lease:  | cell 640 B: its owner's object, its list | 64 KiB | 64 KiB | … | 4 KiB |
//   …
//
// Who finds no memory waits, in order. A large request is never overtaken by small ones of the
// same account; between accounts (a disc each) turns are taken; and no account may hold more than
// its share, so that a disc whose tail is away does not take the others' memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <sys/uio.h>
#include <vector>

namespace head::exports {

class PayloadPool {
 public:
  static constexpr std::size_t page_size = 64 << 10;
  static constexpr std::size_t block_size = 4 << 10;
  static constexpr std::size_t cell_size = 640;  // 102 of them to a page.
  static constexpr std::size_t inline_parts = 16;
  // What of a cell is the holder's; the rest is the list of parts.
  static constexpr std::size_t cell_room = cell_size - inline_parts * sizeof(iovec);
  static constexpr std::size_t payload_max = 32 << 20;
  // The largest payload, its list and its cell fit in any pool, however small it was asked to be.
  static constexpr std::size_t smallest = payload_max + 4 * page_size;

  // One request's memory. The sizes of the parts add up to the payload.
  struct Lease {
    std::byte* cell = nullptr;  // cell_room bytes, aligned as for any object.
    std::span<iovec> parts;
    std::uint32_t payload = 0;
  };

  class Account;

  // Somebody who waits for memory; waits for one lease at a time.
  class Waiter {
   public:
    virtual void on_memory(const Lease& lease) noexcept = 0;

   protected:
    ~Waiter() = default;

   private:
    friend class PayloadPool;
    friend class Account;
    Waiter* next_ = nullptr;
    std::uint32_t payload_ = 0;
  };

  // Throws std::system_error when the address space is not to be had.
  explicit PayloadPool(std::size_t bytes);
  PayloadPool(const PayloadPool&) = delete;
  PayloadPool& operator=(const PayloadPool&) = delete;
  ~PayloadPool();

  std::size_t size() const noexcept { return pages_.size() * page_size; }
  // True when nothing is leased.
  bool whole() const noexcept { return free_pages_.size() == pages_.size(); }

 private:
  enum class Kind : std::uint8_t { page, blocks, cells };
  static constexpr std::uint32_t none = ~0u;

  // A page that is cut up is in its kind's list while it has pieces left.
  struct Page {
    std::array<std::uint64_t, 2> free{};  // One bit a piece.
    std::uint32_t previous = none;
    std::uint32_t next = none;
    std::uint8_t pieces_free = 0;
    Kind kind = Kind::page;
  };
  struct Pieces {
    Kind kind;
    std::uint32_t size;
    std::uint8_t per_page;
    std::uint32_t first = none;  // Pages with pieces left.
    std::size_t free = 0;        // Pieces in all of them.
  };
  struct Plan {
    std::size_t pages = 0;
    std::size_t blocks = 0;
    bool list = false;  // The parts need a page of their own for their list.
    std::size_t parts() const noexcept { return pages + blocks; }
  };

  static Plan plan(std::uint32_t payload) noexcept;
  bool fits(const Plan& plan) const noexcept;
  Lease lease(std::uint32_t payload) noexcept;
  void give_back(const Lease& lease) noexcept;
  void serve() noexcept;

  std::byte* take_page() noexcept;
  void return_page(std::byte* memory) noexcept;
  std::byte* take_piece(Pieces& pieces) noexcept;
  void return_piece(Pieces& pieces, std::byte* memory) noexcept;
  void link(Pieces& pieces, std::uint32_t index) noexcept;
  void unlink(Pieces& pieces, std::uint32_t index) noexcept;
  std::uint32_t index_of(const std::byte* memory) const noexcept;

  std::byte* arena_ = nullptr;
  std::vector<Page> pages_;
  std::vector<std::uint32_t> free_pages_;
  Pieces blocks_{.kind = Kind::blocks, .size = block_size, .per_page = page_size / block_size};
  Pieces cells_{.kind = Kind::cells, .size = cell_size, .per_page = page_size / cell_size};

  // Accounts whose first waiter keeps to its share and waits for the pool.
  Account* first_ = nullptr;
  Account* last_ = nullptr;
  bool serving_ = false;
};

// What one disc may hold of a pool.
class PayloadPool::Account {
 public:
  // A quarter of the pool; one request alone may be larger.
  explicit Account(PayloadPool& pool) noexcept;
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;
  ~Account();  // Nothing may be held, nobody may wait.

  // `payload` at most payload_max. False: wait().
  bool take(std::uint32_t payload, Lease& lease) noexcept;
  // on_memory() comes once, later, from inside somebody's give_back().
  void wait(Waiter& waiter, std::uint32_t payload) noexcept;
  void give_up(Waiter& waiter) noexcept;  // Nothing to do when it does not wait.
  void give_back(const Lease& lease) noexcept;

 private:
  friend class PayloadPool;

  bool keeps_to_share(std::uint32_t payload) const noexcept;
  void queue() noexcept;  // At the pool, when there is a waiter that keeps to its share.

  PayloadPool& pool_;
  const std::size_t share_;
  std::size_t held_ = 0;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  Account* next_ = nullptr;
  bool queued_ = false;
};

}  // namespace head::exports
