#include "head/disc/reshape.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace head::disc {

using nbd::Command;

void Reshape::advance() {
  const auto piece = next_piece(whole_, done_, tail_, most_);
  if (!piece) return finish();
  piece_ = *piece;
  if (widens(whole_.command)) return send_widened();
  if (!piece_.partial) return send_middle();
  const bool wait = changes(whole_.command) &&
                    !owner_.may_change(*this, around(piece_.range, tail_.block_minimum));
  if (!wait) return read_block();
  step_ = Step::waiting;  // The owner calls again.
}

void Reshape::finish() {
  const int doubt = std::exchange(doubted_, 0);
  if (doubt == 0) return owner_.on_reshaped(*this, 0);
  if (overtaken_ || !whole_.may_repeat()) return owner_.on_reshaped(*this, doubt);
  done_ = 0;
  advance();
}

void Reshape::go_on_in_halves() {
  most_ = half_of(*this, tail_);
  advance();
}

void Reshape::send_middle() {
  step_ = Step::middle;
  command = whole_.command;
  flags = whole_.flags;
  offset = piece_.range.offset;
  length = static_cast<std::uint32_t>(piece_.range.length);
  slice(piece_.range);
  owner_.send_piece(*this);
}

void Reshape::send_widened() {
  step_ = Step::middle;
  command = whole_.command;
  flags = whole_.flags;
  const Range wide = around(piece_.range, tail_.block_minimum);
  offset = wide.offset;
  length = static_cast<std::uint32_t>(wide.length);
  extents = whole_.extents;
  owner_.send_piece(*this);
}

void Reshape::start_block_anew() noexcept {
  if (step_ == Step::writing_block) prepare_to_read_block();
}

void Reshape::read_block() {
  prepare_to_read_block();
  owner_.send_piece(*this);
}

void Reshape::prepare_to_read_block() {
  step_ = Step::reading_block;
  precedes_change = changes(whole_.command);
  const Range block = around(piece_.range, tail_.block_minimum);
  block_.resize(block.length);
  block_part_ = {.iov_base = block_.data(), .iov_len = block_.size()};
  command = Command::read;
  flags = 0;
  offset = block.offset;
  length = static_cast<std::uint32_t>(block.length);
  memory = {&block_part_, 1};
}

void Reshape::write_block() {
  step_ = Step::writing_block;
  precedes_change = false;
  copy_part(true);
  command = Command::write;
  flags = whole_.flags & nbd::command_flag::fua;
  owner_.send_piece(*this);
}

void Reshape::on_done(int error) noexcept {
  whole_.away += std::exchange(away, {});
  whole_.wire += std::exchange(wire, {});
  if (error != 0) return owner_.on_reshaped(*this, error);
  // Whose guest is gone must not come over what others have written since.
  if (whole_.unwanted) return owner_.on_reshaped(*this, ECANCELED);
  if (step_ == Step::reading_block) {
    if (whole_.command != Command::read) return write_block();
    copy_part(false);
  }
  if (whole_.command == Command::block_status) finish_widened();
  done_ = piece_.range.end() - whole_.offset;
  advance();
}

// The extents begin at a whole block; the guest's question did not.
void Reshape::finish_widened() noexcept {
  std::uint64_t lead = whole_.offset - offset;
  std::uint64_t room = whole_.length;
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < extents_filled; ++i) {
    const nbd::Extent extent = whole_.extents[i];
    const std::uint64_t skipped = std::min<std::uint64_t>(lead, extent.length);
    lead -= skipped;
    const std::uint64_t size = std::min(extent.length - skipped, room);
    room -= size;
    if (size != 0)
      whole_.extents[kept++] = {.length = static_cast<std::uint32_t>(size), .flags = extent.flags};
  }
  // A tail whose one extent ended before the guest's first byte has said nothing about it: data.
  if (kept == 0) whole_.extents[kept++] = {.length = whole_.length, .flags = 0};
  whole_.extents_filled = kept;
}

// The part of the guest's memory that a range of its request is about.
void Reshape::slice(Range range) {
  parts_.clear();
  std::uint64_t skip = range.offset - whole_.offset;
  std::uint64_t left = range.length;
  for (const iovec& part : whole_.memory) {
    if (skip >= part.iov_len) {
      skip -= part.iov_len;
      continue;
    }
    if (left == 0) break;
    const std::size_t size = std::min<std::uint64_t>(part.iov_len - skip, left);
    parts_.push_back({.iov_base = static_cast<std::byte*>(part.iov_base) + skip, .iov_len = size});
    skip = 0;
    left -= size;
  }
  memory = parts_;
}

void Reshape::copy_part(bool into_block) {
  std::byte* at = block_.data() + piece_.range.offset % tail_.block_minimum;
  if (whole_.command == Command::write_zeroes) {
    std::memset(at, 0, piece_.range.length);
    return;
  }
  slice(piece_.range);
  memory = {&block_part_, 1};
  for (const iovec& part : parts_) {
    if (into_block)
      std::memcpy(at, part.iov_base, part.iov_len);
    else
      std::memcpy(part.iov_base, at, part.iov_len);
    at += part.iov_len;
  }
}

}  // namespace head::disc
