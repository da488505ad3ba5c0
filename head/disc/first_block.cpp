#include "head/disc/first_block.hpp"

#include <algorithm>

namespace head::disc {

Checksum checksum_of(std::span<const std::byte> bytes, Checksum before) noexcept {
  Checksum sum = before;
  for (const std::byte byte : bytes)
    sum = (sum ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  return sum;
}

void FirstBlock::learn(const nbd::ExportInfo& tail) noexcept {
  if (length_ != 0) return;
  const std::uint64_t most =
      std::min<std::uint64_t>(tail.size, std::max(bytes_most, tail.block_minimum));
  length_ = static_cast<std::uint32_t>(most - most % tail.block_minimum);
}

void FirstBlock::inherit(std::uint32_t length, Checksum sum) noexcept {
  awaits_ = false;
  ++version_;  // A look that is under way is of a time before.
  known_.reset();
  if (length == 0 || (length_ != 0 && length_ != length)) return;
  length_ = length;
  known_ = sum;
}

bool FirstBlock::readable(const nbd::ExportInfo& tail) const noexcept {
  return length_ != 0 && length_ <= tail.size && length_ <= tail.payload_maximum &&
         length_ % tail.block_minimum == 0;
}

bool FirstBlock::concerns(const nbd::Request& request) const noexcept {
  return changes(request.command) && request.offset < length_;
}

void FirstBlock::sent(const nbd::Request& request) noexcept {
  if (!concerns(request)) return;
  known_.reset();
  touched_ = true;
  if (request.command == nbd::Command::write && request.offset == 0 && request.length >= length_)
    doubted_ = false;
  ++version_;
  ++under_way_;
}

void FirstBlock::returned(const nbd::Request& request, iouring::Instant ghosts) noexcept {
  if (!concerns(request)) return;
  --under_way_;
  ghosts_until_ = std::max(ghosts_until_, ghosts);
}

void FirstBlock::take_stock(std::uint64_t version, Checksum found) noexcept {
  if (version == version_ && under_way_ == 0) known_ = found;
}

FirstBlock::Verdict FirstBlock::judge(std::uint64_t version,
                                      std::optional<Checksum> found) const noexcept {
  if (!known_ || !found || version != version_) return Verdict::not_compared;
  return *known_ == *found ? Verdict::same : Verdict::another;
}

}  // namespace head::disc
