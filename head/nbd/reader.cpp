#include "head/nbd/reader.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

namespace head::nbd {
namespace {

constexpr std::size_t header_alone = 64;

}  // namespace

void Reader::expect_header(std::size_t size) noexcept {
  assert(size >= 1 && size <= header_max);
  want_ = Want::header;
  header_size_ = size;
  left_ = size;
}

void Reader::expect_payload(std::span<const iovec> memory, std::size_t skip,
                            std::size_t size) noexcept {
  assert(size >= 1);
  want_ = Want::payload;
  memory_ = memory;
  skip_ = 0;
  left_ = size;
  large_ = size > copied_max;
  advance(skip);
}

void Reader::expect_nothing(std::uint64_t size) noexcept {
  want_ = Want::nothing;
  left_ = size;
}

void Reader::start(iouring::Socket socket) noexcept {
  assert(!pending());
  socket_ = socket;
  stopped_ = paused_ = halted_ = drained_ = large_ = false;
  kept_.clear();
  kept_from_ = 0;
  last_progress_ = io_.now();
  receive();
}

void Reader::start_with(iouring::Socket socket, std::vector<std::byte> bytes) noexcept {
  assert(!pending());
  socket_ = socket;
  stopped_ = halted_ = drained_ = large_ = false;
  paused_ = true;
  kept_ = std::move(bytes);
  kept_from_ = 0;
  came_at_ = io_.now();
}

void Reader::halt() noexcept {
  halted_ = paused_ = true;
  interrupt();
}

Reader::Came Reader::came() const {
  assert(halted_ && !pending());
  Came came;
  // A header that is whole was given to its handler, which has not said what comes next.
  const std::size_t part = left_ == 0 ? 0 : header_size_ - left_;
  if (want_ == Want::header)
    came.bytes.assign(header_.begin(), header_.begin() + static_cast<std::ptrdiff_t>(part));
  else
    came.left = left_;
  came.bytes.insert(came.bytes.end(), kept_.begin() + static_cast<std::ptrdiff_t>(kept_from_),
                    kept_.end());
  return came;
}

void Reader::stop() noexcept {
  stopped_ = true;
  kept_.clear();
}

void Reader::resume() noexcept {
  if (halted_ || !std::exchange(paused_, false) || stopped_) return;
  last_progress_ = io_.now();
  std::vector<std::byte> kept = std::exchange(kept_, {});
  const std::size_t from = std::exchange(kept_from_, 0);
  const Bytes rest = consume(Bytes(kept).subspan(from));
  if (stopped_) return;
  if (!paused_) return receive();
  kept_from_ = kept.size() - rest.size();
  kept_ = std::move(kept);
}

void Reader::on_recv(iouring::Result result) noexcept {
  if (stopped_ || (halted_ && result.res == -ECANCELED)) return owner_.on_reader_drained();
  if (result.res <= 0) {
    stopped_ = true;
    return owner_.on_end(-result.res);
  }
  progress_before_ = std::exchange(last_progress_, io_.now());
  came_at_ = last_progress_;
  if (quick_ack_) io_.quick_ack(socket_);
  drained_ = !result.more_waiting;

  if (result.bytes.empty()) {  // Received where it belongs.
    advance(static_cast<std::size_t>(result.res));
    left_ -= static_cast<std::uint64_t>(result.res);
    if (left_ == 0 && !halted_) {
      owner_.on_payload();
      consume({});
    }
  } else if (halted_) {
    kept_.insert(kept_.end(), result.bytes.begin(), result.bytes.end());
  } else if (const Bytes rest = consume(result.bytes); paused_ && !stopped_) {
    kept_.assign(rest.begin(), rest.end());
  }
  if (halted_) return owner_.on_reader_drained();
  if (!stopped_ && !paused_) receive();
}

// What is left of them: none, unless it was paused meanwhile.
Reader::Bytes Reader::consume(Bytes bytes) noexcept {
  // Even without bytes: nothing may be wanted of nothing.
  while (!stopped_ && !paused_ && (!bytes.empty() || left_ == 0)) {
    std::size_t taken = 0;
    switch (want_) {
      case Want::header:
        taken = take_header(bytes);
        break;
      case Want::payload:
        taken = take_payload(bytes);
        break;
      case Want::nothing:
        taken = take_nothing(bytes);
        break;
    }
    bytes = bytes.subspan(taken);
  }
  return bytes;
}

std::size_t Reader::take_header(Bytes bytes) noexcept {
  const std::size_t had = header_size_ - left_;
  const std::size_t taken = std::min<std::size_t>(left_, bytes.size());
  left_ -= taken;
  if (had == 0 && left_ == 0) {  // Whole, where it lies: the usual case.
    owner_.on_header(bytes.first(taken));
    return taken;
  }
  std::copy_n(bytes.begin(), taken, header_.begin() + static_cast<std::ptrdiff_t>(had));
  if (left_ == 0) owner_.on_header(Bytes(header_).first(header_size_));
  return taken;
}

std::size_t Reader::take_payload(Bytes bytes) noexcept {
  const std::size_t taken = std::min<std::uint64_t>(left_, bytes.size());
  for (std::size_t copied = 0; copied < taken;) {
    const iovec& part = memory_.front();
    const std::size_t size = std::min(part.iov_len - skip_, taken - copied);
    std::memcpy(static_cast<std::byte*>(part.iov_base) + skip_, bytes.data() + copied, size);
    advance(size);
    copied += size;
  }
  left_ -= taken;
  if (left_ == 0) owner_.on_payload();
  return taken;
}

std::size_t Reader::take_nothing(Bytes bytes) noexcept {
  const std::size_t taken = std::min<std::uint64_t>(left_, bytes.size());
  left_ -= taken;
  if (left_ == 0) owner_.on_payload();
  return taken;
}

// Moves the place in `memory_` on.
void Reader::advance(std::size_t size) noexcept {
  skip_ += size;
  while (!memory_.empty() && skip_ >= memory_.front().iov_len) {
    skip_ -= memory_.front().iov_len;
    memory_ = memory_.subspan(1);
  }
}

void Reader::receive() noexcept {
  if (within_header()) owner_.on_part_of_header();
  if (want_ == Want::payload && left_ > copied_max) return receive_payload();
  // After a large payload the next is likely large as well: all but its first bytes shall land
  // where they belong. A header in parts (a structured reply's, say) still comes in one go.
  std::size_t at_most =
      large_ && want_ == Want::header ? std::max<std::size_t>(left_, header_alone) : 0;
  if (most_ != 0) at_most = at_most == 0 ? most_ : std::min(at_most, most_);
  io_.recv_pooled(recv_, socket_, at_most, drained_);
}

void Reader::receive_payload() noexcept {
  std::uint64_t room = left_;
  std::size_t skip = skip_;
  std::size_t count = 0;
  for (const iovec& part : memory_) {
    if (count == parts_.size() || room == 0) break;
    const std::size_t size = std::min<std::uint64_t>(part.iov_len - skip, room);
    parts_[count++] = {.iov_base = static_cast<std::byte*>(part.iov_base) + skip, .iov_len = size};
    skip = 0;
    room -= size;
  }
  message_ = {};
  message_.msg_iov = parts_.data();
  message_.msg_iovlen = count;
  io_.recv(recv_, socket_, message_);
}

}  // namespace head::nbd
