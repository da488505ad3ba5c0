#include "head/nbd/writer.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace head::nbd {
namespace {

std::size_t size_of(std::span<const iovec> parts) noexcept {
  std::size_t size = 0;
  for (const iovec& part : parts) size += part.iov_len;
  return size;
}

}  // namespace

void Writer::queue(Item& item) noexcept {
  if (idle()) last_progress_ = io_.now();
  item.next_ = nullptr;
  (head_ == nullptr ? head_ : tail_->next_) = &item;
  tail_ = &item;
  // Sent once the handlers of this round have queued all they have.
  if (!stopped_ && !halted_ && !pending()) io_.defer(flush_);
}

std::vector<std::byte> Writer::unsent() const {
  assert(halted_ && !pending());
  std::vector<std::byte> bytes;
  std::size_t gone = sent_;
  const auto add = [&](const void* base, std::size_t size) {
    const auto* from = static_cast<const std::byte*>(base);
    const std::size_t skipped = std::min(gone, size);
    gone -= skipped;
    bytes.insert(bytes.end(), from + skipped, from + size);
  };
  for (const Item* item = head_; item != nullptr; item = item->next_) {
    add(item->header_.data(), item->header_size_);
    for (const iovec& part : item->body_) add(part.iov_base, part.iov_len);
  }
  return bytes;
}

void Writer::clear() noexcept {
  assert(stopped_ && !pending());
  head_ = tail_ = nullptr;
  sent_ = timed_most_ = 0;
  timed_ = false;
}

void Writer::on_flush(iouring::Result) noexcept {
  if (stopped_ || halted_) return owner_.on_writer_drained();
  send_more();
}

void Writer::send_more() noexcept {
  if (head_ == nullptr) return;
  const std::size_t count = gather();
  if (timed_most_ != 0) timed_ = to_be_timed(count);
  if (count == 1 && !timed_)
    return io_.send(send_, socket_,
                    {static_cast<const std::byte*>(parts_[0].iov_base), parts_[0].iov_len});
  message_ = {};
  message_.msg_iov = parts_.data();
  message_.msg_iovlen = count;
  if (timed_) {
    iouring::ask_for_departure(message_);
    owner_.on_timed_send();
  }
  io_.send(send_, socket_, message_);
}

bool Writer::to_be_timed(std::size_t count) noexcept {
  return size_of(std::span(parts_).first(count)) <= std::exchange(timed_most_, 0);
}

// As much of the queue as one send takes, without what is gone of the first item.
std::size_t Writer::gather() noexcept {
  std::size_t count = 0;
  std::size_t gone = sent_;
  const auto add = [&](void* base, std::size_t size) {
    if (gone >= size) {
      gone -= size;
      return;
    }
    parts_[count++] = {.iov_base = static_cast<std::byte*>(base) + gone, .iov_len = size - gone};
    gone = 0;
  };
  for (Item* item = head_; item != nullptr && count < parts_max; item = item->next_) {
    add(item->header_.data(), item->header_size_);
    for (const iovec& part : item->body_) {
      if (count == parts_max) break;
      add(part.iov_base, part.iov_len);
    }
  }
  return count;
}

void Writer::on_send(iouring::Result result) noexcept {
  if (stopped_ || (halted_ && result.res == -ECANCELED)) return owner_.on_writer_drained();
  if (result.res <= 0) {
    stopped_ = true;
    return owner_.on_send_failed(result.res < 0 ? -result.res : EPIPE);
  }
  last_progress_ = io_.now();
  if (std::exchange(timed_, false)) owner_.on_timed_sent();
  sent_ += static_cast<std::size_t>(result.res);
  while (head_ != nullptr && !stopped_) {
    Item& first = *head_;
    const std::size_t size = first.header_size_ + size_of(first.body_);
    if (sent_ < size) break;
    sent_ -= size;
    gone_ += size;
    head_ = first.next_;
    owner_.on_sent(first);
  }
  // A handler may have queued something, and a flush may come for it: that one does as well.
  if (halted_ && !stopped_) return owner_.on_writer_drained();
  if (!stopped_ && !pending()) send_more();
}

}  // namespace head::nbd
