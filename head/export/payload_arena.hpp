// The memory itself behind a payload pool: one arena of fixed size, never grown, and touched only
// as far as it is used. Leases never overlap. Who may have how much is the pool's business.
//
//   a lease:  | cell 640 B: its owner's object, its list | 64 KiB | 64 KiB | … | 4 KiB | …
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <sys/uio.h>
#include <vector>

namespace head::exports {

class PayloadArena {
 public:
  static constexpr std::size_t page_size = 64 << 10;
  static constexpr std::size_t block_size = 4 << 10;
  static constexpr std::size_t cell_size = 640;  // 102 of them to a page.
  static constexpr std::size_t inline_parts = 16;
  // What of a cell is the holder's; the rest is the list of parts.
  static constexpr std::size_t cell_room = cell_size - inline_parts * sizeof(iovec);

  // One request's memory. The sizes of the parts add up to the payload.
  struct Lease {
    std::byte* cell = nullptr;  // cell_room bytes, aligned as for any object.
    std::span<iovec> parts;
    std::uint32_t payload = 0;
  };

  // Throws std::system_error when the address space is not to be had.
  explicit PayloadArena(std::size_t bytes);
  PayloadArena(const PayloadArena&) = delete;
  PayloadArena& operator=(const PayloadArena&) = delete;
  ~PayloadArena();

  std::size_t size() const noexcept { return pages_.size() * page_size; }
  // In whole pages: what any lease can be made of.
  std::size_t free() const noexcept { return free_pages_.size() * page_size; }
  // True when nothing is leased.
  bool whole() const noexcept { return free_pages_.size() == pages_.size(); }

  bool fits(std::uint32_t payload) const noexcept;
  Lease lease(std::uint32_t payload) noexcept;  // What fits.
  void give_back(const Lease& lease) noexcept;

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
};

}  // namespace head::exports
