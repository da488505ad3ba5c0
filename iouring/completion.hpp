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

// What the kernel said, unchanged: `res` is a byte count or a descriptor, or -errno.
struct Result {
  int res = 0;
  // recv_pooled only: what arrived. Lent until the handler returns, then the pool has it back.
  std::span<const std::byte> bytes;
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

  Handler handler_;
  bool pending_ = false;
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
