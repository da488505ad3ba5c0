#include "head/export/payload_pool.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cerrno>
#include <string>
#include <sys/mman.h>
#include <system_error>
#include <utility>

namespace head::exports {

PayloadPool::PayloadPool(std::size_t bytes)
    : pages_((std::max(bytes, smallest) + page_size - 1) / page_size) {
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

PayloadPool::~PayloadPool() {
  assert(whole() && first_ == nullptr);
  ::munmap(arena_, size());
}

PayloadPool::Plan PayloadPool::plan(std::uint32_t payload) noexcept {
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

bool PayloadPool::fits(const Plan& plan) const noexcept {
  std::size_t pages = plan.pages + (plan.list ? 1 : 0);
  if (plan.blocks > blocks_.free) ++pages;
  if (cells_.free == 0) ++pages;
  return pages <= free_pages_.size();
}

PayloadPool::Lease PayloadPool::lease(std::uint32_t payload) noexcept {
  const Plan plan = PayloadPool::plan(payload);
  assert(fits(plan));
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

void PayloadPool::give_back(const Lease& lease) noexcept {
  const Plan plan = PayloadPool::plan(lease.payload);
  for (std::size_t i = 0; i < plan.parts(); ++i) {
    auto* memory = static_cast<std::byte*>(lease.parts[i].iov_base);
    i < plan.pages ? return_page(memory) : return_piece(blocks_, memory);
  }
  if (plan.list) return_page(reinterpret_cast<std::byte*>(lease.parts.data()));
  return_piece(cells_, lease.cell);
}

// Takes turns between the accounts, as far as the memory goes. Whoever is served may give memory
// back at once; the loop sees it.
void PayloadPool::serve() noexcept {
  if (serving_) return;
  serving_ = true;
  while (first_ != nullptr) {
    Account& account = *first_;
    Waiter* waiter = account.first_;
    const bool due = waiter != nullptr && account.keeps_to_share(waiter->payload_);
    if (due && !fits(plan(waiter->payload_))) break;

    first_ = account.next_;
    if (first_ == nullptr) last_ = nullptr;
    account.next_ = nullptr;
    account.queued_ = false;
    if (!due) continue;

    account.first_ = waiter->next_;
    if (account.first_ == nullptr) account.last_ = nullptr;
    waiter->next_ = nullptr;
    account.held_ += waiter->payload_ + cell_size;
    const Lease granted = lease(waiter->payload_);
    account.queue();  // Behind the others.
    waiter->on_memory(granted);
  }
  serving_ = false;
}

std::byte* PayloadPool::take_page() noexcept {
  assert(!free_pages_.empty());
  const std::uint32_t index = free_pages_.back();
  free_pages_.pop_back();
  return arena_ + std::size_t{index} * page_size;
}

void PayloadPool::return_page(std::byte* memory) noexcept {
  free_pages_.push_back(index_of(memory));
}

std::byte* PayloadPool::take_piece(Pieces& pieces) noexcept {
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

void PayloadPool::return_piece(Pieces& pieces, std::byte* memory) noexcept {
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

void PayloadPool::link(Pieces& pieces, std::uint32_t index) noexcept {
  pages_[index].previous = none;
  pages_[index].next = pieces.first;
  if (pieces.first != none) pages_[pieces.first].previous = index;
  pieces.first = index;
}

void PayloadPool::unlink(Pieces& pieces, std::uint32_t index) noexcept {
  const Page& page = pages_[index];
  (page.previous == none ? pieces.first : pages_[page.previous].next) = page.next;
  if (page.next != none) pages_[page.next].previous = page.previous;
}

std::uint32_t PayloadPool::index_of(const std::byte* memory) const noexcept {
  return static_cast<std::uint32_t>(static_cast<std::size_t>(memory - arena_) / page_size);
}

PayloadPool::Account::Account(PayloadPool& pool) noexcept : pool_(pool), share_(pool.size() / 4) {}

PayloadPool::Account::~Account() {
  assert(held_ == 0 && first_ == nullptr);
  if (!queued_) return;  // A waiter may have given up since.
  Account* before = nullptr;
  for (Account* at = pool_.first_; at != this; at = at->next_) before = at;
  (before == nullptr ? pool_.first_ : before->next_) = next_;
  if (pool_.last_ == this) pool_.last_ = before;
}

bool PayloadPool::Account::keeps_to_share(std::uint32_t payload) const noexcept {
  return held_ == 0 || held_ + payload + cell_size <= share_;
}

bool PayloadPool::Account::take(std::uint32_t payload, Lease& lease) noexcept {
  assert(payload <= payload_max);
  if (first_ != nullptr || pool_.first_ != nullptr || !keeps_to_share(payload) ||
      !pool_.fits(plan(payload)))
    return false;
  held_ += payload + cell_size;
  lease = pool_.lease(payload);
  return true;
}

void PayloadPool::Account::wait(Waiter& waiter, std::uint32_t payload) noexcept {
  waiter.payload_ = payload;
  waiter.next_ = nullptr;
  (first_ == nullptr ? first_ : last_->next_) = &waiter;
  last_ = &waiter;
  queue();
}

void PayloadPool::Account::give_up(Waiter& waiter) noexcept {
  Waiter* before = nullptr;
  for (Waiter* at = first_; at != nullptr; before = std::exchange(at, at->next_)) {
    if (at != &waiter) continue;
    (before == nullptr ? first_ : before->next_) = at->next_;
    if (last_ == at) last_ = before;
    at->next_ = nullptr;
    break;
  }
  queue();        // Who is first now may keep to the share where the other did not,
  pool_.serve();  // or fit where the other did not.
}

void PayloadPool::Account::give_back(const Lease& lease) noexcept {
  assert(held_ >= lease.payload + cell_size);
  held_ -= lease.payload + cell_size;
  pool_.give_back(lease);
  queue();
  pool_.serve();
}

void PayloadPool::Account::queue() noexcept {
  if (queued_ || first_ == nullptr || !keeps_to_share(first_->payload_)) return;
  queued_ = true;
  next_ = nullptr;
  (pool_.first_ == nullptr ? pool_.first_ : pool_.last_->next_) = this;
  pool_.last_ = this;
}

}  // namespace head::exports
