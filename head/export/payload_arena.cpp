#include "head/export/payload_arena.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cerrno>
#include <string>
#include <sys/mman.h>
#include <system_error>

namespace head::exports {

PayloadArena::PayloadArena(std::size_t bytes) : pages_((bytes + page_size - 1) / page_size) {
  void* memory = ::mmap(nullptr, size(), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    throw std::system_error(errno, std::generic_category(),
                            "reserving " + std::to_string(size() >> 20) +
                                " MiB for the payloads of requests; lower the memory in head.toml");
  arena_ = static_cast<std::byte*>(memory);
  free_pages_.reserve(pages_.size());
  // The last is taken first: what was used a moment ago is used again.
  for (std::size_t i = pages_.size(); i > 0; --i)
    free_pages_.push_back(static_cast<std::uint32_t>(i - 1));
}

PayloadArena::~PayloadArena() {
  assert(whole());
  ::munmap(arena_, size());
}

PayloadArena::Plan PayloadArena::plan(std::uint32_t payload) noexcept {
  Plan plan;
  plan.pages = payload / page_size;
  plan.blocks = (payload % page_size + block_size - 1) / block_size;
  if (plan.blocks == page_size / block_size) {
    ++plan.pages;
    plan.blocks = 0;
  }
  plan.list = plan.parts() > inline_parts;
  return plan;
}

bool PayloadArena::fits(std::uint32_t payload) const noexcept {
  const Plan plan = PayloadArena::plan(payload);
  std::size_t pages = plan.pages + (plan.list ? 1 : 0);
  if (plan.blocks > blocks_.free) ++pages;
  if (cells_.free == 0) ++pages;
  return pages <= free_pages_.size();
}

PayloadArena::Lease PayloadArena::lease(std::uint32_t payload) noexcept {
  const Plan plan = PayloadArena::plan(payload);
  assert(fits(payload));
  Lease lease{.cell = take_piece(cells_), .parts = {}, .payload = payload};
  void* list = plan.list ? take_page() : lease.cell + cell_room;
  lease.parts = {static_cast<iovec*>(list), plan.parts()};

  std::size_t left = payload;
  for (std::size_t i = 0; i < plan.parts(); ++i) {
    const bool page = i < plan.pages;
    const std::size_t room = page ? page_size : block_size;
    lease.parts[i] = {.iov_base = page ? take_page() : take_piece(blocks_),
                      .iov_len = std::min(room, left)};
    left -= lease.parts[i].iov_len;
  }
  assert(left == 0);
  return lease;
}

void PayloadArena::give_back(const Lease& lease) noexcept {
  const Plan plan = PayloadArena::plan(lease.payload);
  for (std::size_t i = 0; i < plan.parts(); ++i) {
    auto* memory = static_cast<std::byte*>(lease.parts[i].iov_base);
    i < plan.pages ? return_page(memory) : return_piece(blocks_, memory);
  }
  if (plan.list) return_page(reinterpret_cast<std::byte*>(lease.parts.data()));
  return_piece(cells_, lease.cell);
}

std::byte* PayloadArena::take_page() noexcept {
  assert(!free_pages_.empty());
  const std::uint32_t index = free_pages_.back();
  free_pages_.pop_back();
  return arena_ + std::size_t{index} * page_size;
}

void PayloadArena::return_page(std::byte* memory) noexcept {
  free_pages_.push_back(index_of(memory));
}

std::byte* PayloadArena::take_piece(Pieces& pieces) noexcept {
  if (pieces.first == none) {
    const std::uint32_t index = index_of(take_page());
    Page& page = pages_[index];
    page.kind = pieces.kind;
    page.pieces_free = pieces.per_page;
    page.free = {};
    for (std::size_t i = 0; i < pieces.per_page; ++i) page.free[i / 64] |= 1ull << i % 64;
    pieces.free += pieces.per_page;
    link(pieces, index);
  }
  const std::uint32_t index = pieces.first;
  Page& page = pages_[index];
  const std::size_t word = page.free[0] != 0 ? 0 : 1;
  const auto bit = static_cast<std::size_t>(std::countr_zero(page.free[word]));
  page.free[word] &= page.free[word] - 1;
  --pieces.free;
  if (--page.pieces_free == 0) unlink(pieces, index);
  return arena_ + index * page_size + (word * 64 + bit) * pieces.size;
}

void PayloadArena::return_piece(Pieces& pieces, std::byte* memory) noexcept {
  const std::uint32_t index = index_of(memory);
  Page& page = pages_[index];
  const std::size_t piece = static_cast<std::size_t>(memory - arena_) % page_size / pieces.size;
  assert(page.kind == pieces.kind && (page.free[piece / 64] >> piece % 64 & 1) == 0);
  page.free[piece / 64] |= 1ull << piece % 64;
  ++pieces.free;
  if (page.pieces_free++ == 0) link(pieces, index);
  if (page.pieces_free < pieces.per_page) return;

  unlink(pieces, index);
  pieces.free -= pieces.per_page;
  page.kind = Kind::page;
  free_pages_.push_back(index);
}

void PayloadArena::link(Pieces& pieces, std::uint32_t index) noexcept {
  pages_[index].previous = none;
  pages_[index].next = pieces.first;
  if (pieces.first != none) pages_[pieces.first].previous = index;
  pieces.first = index;
}

void PayloadArena::unlink(Pieces& pieces, std::uint32_t index) noexcept {
  const Page& page = pages_[index];
  (page.previous == none ? pieces.first : pages_[page.previous].next) = page.next;
  if (page.next != none) pages_[page.next].previous = page.previous;
}

std::uint32_t PayloadArena::index_of(const std::byte* memory) const noexcept {
  return static_cast<std::uint32_t>(static_cast<std::size_t>(memory - arena_) / page_size);
}

}  // namespace head::exports
