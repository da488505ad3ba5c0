// What somebody asks of a disc, from the guest's side to the tail: one object all the way, owned by
// whoever asked, answered exactly once.
#pragma once

#include "head/nbd/writer.hpp"
#include "iouring/timer.hpp"

#include <cerrno>
#include <cstdint>
#include <span>
#include <sys/uio.h>

namespace head::nbd {

// Command types and flags as the protocol numbers them (doc/proto.md, "Request types" and
// "Command flags").
enum class Command : std::uint16_t {
  read = 0,
  write = 1,
  disconnect = 2,
  flush = 3,
  trim = 4,
  cache = 5,
  write_zeroes = 6,
  block_status = 7,
};

namespace command_flag {
enum : std::uint16_t {
  fua = 1 << 0,
  no_hole = 1 << 1,
  df = 1 << 2,
  req_one = 1 << 3,
  fast_zero = 1 << 4,
};
}  // namespace command_flag

// One extent of base:allocation ("Metadata querying" in the specification).
struct Extent {
  std::uint32_t length = 0;
  std::uint32_t flags = 0;  // 1: hole, 2: reads as zero.
};

class Request {
 public:
  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  Command command = Command::read;
  std::uint16_t flags = 0;  // command_flag; what carries it out may add DF.
  std::uint64_t offset = 0;
  std::uint32_t length = 0;  // Bytes; 0 for flush.
  // read: filled completely when the answer is success. write: what to write. The sizes add up to
  // `length`; the list and the memory stay put until on_done(). Not used by other commands.
  std::span<const iovec> memory;
  // block_status: where extents go, and how many of them the answer filled (at least one).
  std::span<Extent> extents;
  std::uint32_t extents_filled = 0;

  // Whoever asked has lost interest: what is lost on the way need not be sent again.
  bool unwanted : 1 = false;

  // A READ of what is to be changed and written back: it waits for whatever the change waits for.
  bool precedes_change : 1 = false;
  // Until its guest is told: how often it was asked again because a sync had failed beside it.
  std::uint8_t repeats : 2 = 0;
  // Since it was answered last. How often it was on a connection that was given up because it was
  // silent, and how often because this request itself took too long; how often on one that was
  // silent, and answered when it was asked (suspicion.hpp); how often the tail ended a connection
  // with it in flight (isolation.hpp).
  std::uint8_t doubts : 4 = 0, overdues : 4 = 0;
  std::uint8_t excuses = 0, deaths = 0;

  // The journey: when the guest asked; when it left the head for the tail (again, after a replay);
  // how long it was away, from there until its reply was whole; and of that, what the way there and
  // back takes at least.
  iouring::Instant arrived{};
  iouring::Instant sent{};
  iouring::Duration away{};
  iouring::Duration wire{};
  // Of its answer: for how long nothing had moved on the connection before it came.
  iouring::Duration silence{};
  iouring::Instant first_sent{};  // Since it was answered last.

  // So often is it asked again because of that. Then it fails as well.
  static constexpr std::uint8_t repeats_max = 3;
  // May it be, once more? That counts.
  bool may_repeat() noexcept {
    if (unwanted || repeats == repeats_max) return false;
    repeats = (repeats + 1) & repeats_max;
    return true;
  }
  // It is answered: the next time is another story.
  void forget_attempts() noexcept {
    doubts = overdues = 0;
    excuses = deaths = 0;
    first_sent = {};
  }

  // Exactly once per submit(), never from inside submit(). `error` is an errno, 0 for success. The
  // request may be submitted again, or destroyed, inside.
  virtual void on_done(int error) noexcept = 0;

 protected:
  ~Request() = default;

 private:
  friend class RequestQueue;
  friend class Connection;

  // The request as a connection sends it.
  struct Outgoing final : Writer::Item {
    explicit Outgoing(Request& sent) noexcept : request(sent) {}
    Request& request;
  };

  Outgoing outgoing_{*this};
  Request* queued_next_ = nullptr;  // In the one queue that it is in.
  // On the one connection that it is on:
  std::uint32_t slot_ = 0;
  std::uint64_t end_ = 0;     // Behind its last byte, in all that is sent there.
  iouring::Instant moved_{};  // When its bytes, or others before them, last left or arrived there.
};

// Does its success say that something is stable?
constexpr bool is_sync(const Request& request) noexcept {
  return request.command == Command::flush || (request.flags & command_flag::fua) != 0;
}

// Has a FLUSH failed? Most tails carry out FUA as the change and a FLUSH of everything: then the
// error may be that one's, unless it says that the change itself was refused.
constexpr bool may_have_failed_to_flush(const Request& answered, int error) noexcept {
  if (error == 0 || error == ESHUTDOWN || !is_sync(answered)) return false;
  const bool refused = error == EPERM || error == EOVERFLOW || error == ENOTSUP;
  return answered.command == Command::flush || !refused;
}

// Requests in order, linked through themselves.
class RequestQueue {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  std::uint32_t size() const noexcept { return size_; }
  Request* front() const noexcept { return head_; }

  void push(Request& request) noexcept {
    request.queued_next_ = nullptr;
    (head_ == nullptr ? head_ : tail_->queued_next_) = &request;
    tail_ = &request;
    ++size_;
  }

  // Puts it before all others.
  void push_front(Request& request) noexcept {
    request.queued_next_ = head_;
    if (head_ == nullptr) tail_ = &request;
    head_ = &request;
    ++size_;
  }

  // Null when empty.
  Request* pop() noexcept {
    Request* first = head_;
    if (first == nullptr) return nullptr;
    head_ = first->queued_next_;
    first->queued_next_ = nullptr;
    --size_;
    return first;
  }

  template <class Function>
  void for_each(Function function) const {
    for (Request* at = head_; at != nullptr; at = at->queued_next_) function(*at);
  }

  // False when it is not in this queue. Takes as long as the queue is.
  bool remove(Request& request) noexcept {
    Request* before = nullptr;
    Request* at = head_;
    for (; at != nullptr && at != &request; at = at->queued_next_) before = at;
    if (at == nullptr) return false;
    (before == nullptr ? head_ : before->queued_next_) = request.queued_next_;
    if (tail_ == &request) tail_ = before;
    request.queued_next_ = nullptr;
    --size_;
    return true;
  }

 private:
  Request* head_ = nullptr;
  Request* tail_ = nullptr;
  std::uint32_t size_ = 0;
};

}  // namespace head::nbd
