// Values in order, each key once, in blocks of a bounded size: there are hardly more bytes than the
// values have, and one that comes or goes moves no more than a block. Iterators, pointers and
// references hold until the next value comes or goes. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace head::neigh {

// `KeyOf()(value)` is what it is ordered by.
template <class Value, class KeyOf, std::size_t block_max = 64>
class Ordered {
  static_assert(block_max >= 4);
  using Block = std::vector<Value>;
  using Blocks = std::vector<Block>;

  template <class B>
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Value;
    using difference_type = std::ptrdiff_t;
    using reference = std::conditional_t<std::is_const_v<B>, const Value&, Value&>;
    using pointer = std::remove_reference_t<reference>*;

    Iterator() = default;
    Iterator(B* blocks, std::size_t block, std::size_t at) noexcept
        : blocks_(blocks), block_(block), at_(at) {}

    reference operator*() const noexcept { return (*blocks_)[block_][at_]; }
    pointer operator->() const noexcept { return &**this; }
    Iterator& operator++() noexcept {
      if (++at_ == (*blocks_)[block_].size()) {
        ++block_;
        at_ = 0;
      }
      return *this;
    }
    Iterator operator++(int) noexcept {
      const Iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const Iterator&) const = default;

   private:
    friend class Ordered;
    B* blocks_ = nullptr;
    std::size_t block_ = 0, at_ = 0;
  };

 public:
  using iterator = Iterator<Blocks>;
  using const_iterator = Iterator<const Blocks>;

  iterator begin() noexcept { return {&blocks_, 0, 0}; }
  iterator end() noexcept { return {&blocks_, blocks_.size(), 0}; }
  const_iterator begin() const noexcept { return {&blocks_, 0, 0}; }
  const_iterator end() const noexcept { return {&blocks_, blocks_.size(), 0}; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  // The first that is not before `key`.
  template <class Key>
  iterator lower_bound(const Key& key) noexcept {
    const auto [block, at] = bound(key);
    return {&blocks_, block, at};
  }
  template <class Key>
  const_iterator lower_bound(const Key& key) const noexcept {
    const auto [block, at] = bound(key);
    return {&blocks_, block, at};
  }
  template <class Key>
  iterator find(const Key& key) noexcept {
    const iterator found = lower_bound(key);
    return found != end() && !(key < KeyOf()(*found)) ? found : end();
  }
  template <class Key>
  const_iterator find(const Key& key) const noexcept {
    const const_iterator found = lower_bound(key);
    return found != end() && !(key < KeyOf()(*found)) ? found : end();
  }
  template <class Key>
  bool contains(const Key& key) const noexcept {
    return find(key) != end();
  }

  // Where it is now; false when there was one with its key, which stays.
  std::pair<iterator, bool> insert(Value value) {
    auto [block, at] = bound(KeyOf()(value));
    if (block < blocks_.size() && !(KeyOf()(value) < KeyOf()(blocks_[block][at])))
      return {{&blocks_, block, at}, false};
    if (at == 0 && block > 0) at = blocks_[--block].size();
    if (blocks_.empty()) blocks_.emplace_back();
    if (blocks_[block].size() == block_max) std::tie(block, at) = split(block, at);
    Block& into = blocks_[block];
    into.insert(into.begin() + static_cast<std::ptrdiff_t>(at), std::move(value));
    ++size_;
    return {{&blocks_, block, at}, true};
  }

  void erase(iterator where) {
    const std::size_t block = where.block_;
    Block& from = blocks_[block];
    from.erase(from.begin() + static_cast<std::ptrdiff_t>(where.at_));
    --size_;
    if (from.empty()) return drop(block);
    if (block + 1 < blocks_.size()) merge(block);
    if (block > 0) merge(block - 1);
  }
  // False when there was none.
  template <class Key>
  bool erase_key(const Key& key) {
    const iterator found = find(key);
    if (found == end()) return false;
    erase(found);
    return true;
  }

 private:
  template <class Key>
  std::pair<std::size_t, std::size_t> bound(const Key& key) const noexcept {
    const auto before = [&](const Value& value) { return KeyOf()(value) < key; };
    const auto block = std::partition_point(blocks_.begin(), blocks_.end(),
                                            [&](const Block& one) { return before(one.back()); });
    const auto index = static_cast<std::size_t>(block - blocks_.begin());
    if (block == blocks_.end()) return {index, 0};
    const auto at = std::partition_point(block->begin(), block->end(), before);
    return {index, static_cast<std::size_t>(at - block->begin())};
  }

  // Makes room in a full block for one at `at`; where that is then. What comes in order leaves full
  // blocks behind.
  std::pair<std::size_t, std::size_t> split(std::size_t block, std::size_t at) {
    const auto next = blocks_.begin() + static_cast<std::ptrdiff_t>(block + 1);
    if (at == block_max && next == blocks_.end()) {
      blocks_.emplace_back().reserve(block_max);  // It will be full, and leaves no holes growing.
      return {block + 1, 0};
    }
    constexpr std::size_t half = block_max / 2;
    Block& left = *std::prev(blocks_.insert(next, Block()));
    Block right;
    right.reserve(block_max);
    const auto middle = left.begin() + static_cast<std::ptrdiff_t>(half);
    std::move(middle, left.end(), std::back_inserter(right));
    left.erase(middle, left.end());
    blocks_[block + 1] = std::move(right);
    if (at <= half) return {block, at};
    return {block + 1, at - half};
  }
  // A block takes up the next one, where both have much room.
  void merge(std::size_t block) {
    Block& one = blocks_[block];
    Block& next = blocks_[block + 1];
    if (one.size() + next.size() > block_max / 2) return;
    std::move(next.begin(), next.end(), std::back_inserter(one));
    drop(block + 1);
  }
  void drop(std::size_t block) {
    blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(block));
    if (blocks_.empty()) Blocks().swap(blocks_);
  }

  Blocks blocks_;  // None is empty, but for one that is just being filled.
  std::size_t size_ = 0;
};

}  // namespace head::neigh
