// One in-flight kernel operation. Its owner embeds it, so submitting allocates nothing, and the
// member list of the owner is the list of what can be in flight.
//
// Whose memory is it? From submit until the handler runs, every buffer named in the operation
// belongs to the kernel, whatever was cancelled meanwhile. An owner therefore drains before it
// frees: it shuts its socket down (or cancels), waits until nothing is pending, gives buffers
// back, closes the socket, and dies last. ~Completion asserts it.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

namespace iouring {

struct TcpHealth;

// What the kernel said, unchanged: `res` is a byte count or a descriptor, or -errno.
struct Result {
  int res = 0;
  // recv_pooled only: what arrived. Lent until the handler returns, then the pool has it back.
  std::span<const std::byte> bytes{};
  // recv and recv_pooled: the socket is known to hold more (IORING_CQE_F_SOCK_NONEMPTY).
  bool more_waiting = false;
};

class Completion {
 public:
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  bool pending() const noexcept { return pending_; }

 protected:
  using Handler = void (*)(Completion&, Result) noexcept;

  explicit Completion(Handler handler) noexcept : handler_(handler) {}
  ~Completion() { assert(!pending_); }

 private:
  friend class Io;
  friend class Ring;
  friend class CompletionList;

  Handler handler_;
  bool pending_ = false;

  // What a Ring needs to start a pooled receive again when its pool was empty.
  bool pooled_ = false;
  bool direct_ = false;
  int socket_ = -1;
  std::uint32_t at_most_ = 0;
  int deferred_ = 0;  // What it ends with, where that is known already.
  // Where a Ring puts what it finds out of a socket once it has a descriptor for it.
  TcpHealth* health_ = nullptr;
  Completion* next_ = nullptr;  // In the loop's list of completions to run or to start again.
};

// Completions in order, linked through themselves; a loop's to-do lists.
class CompletionList {
 public:
  bool empty() const noexcept { return head_ == nullptr; }

  void push(Completion& completion) noexcept {
    completion.next_ = nullptr;
    (head_ == nullptr ? head_ : tail_->next_) = &completion;
    tail_ = &completion;
  }

  // Null when empty.
  Completion* pop() noexcept {
    Completion* first = head_;
    if (first != nullptr) head_ = first->next_;
    return first;
  }

 private:
  Completion* head_ = nullptr;
  Completion* tail_ = nullptr;
};

// A completion that calls a member function of its owner:
//
//   Op<&Connection::on_recv> recv_{*this};
template <auto Method>
class Op;

template <class Owner, void (Owner::*Method)(Result) noexcept>
class Op<Method> final : public Completion {
 public:
  explicit Op(Owner& owner) noexcept : Completion(&Op::dispatch), owner_(owner) {}

 private:
  static void dispatch(Completion& self, Result result) noexcept {
    (static_cast<Op&>(self).owner_.*Method)(result);
  }

  Owner& owner_;
};

}  // namespace iouring
