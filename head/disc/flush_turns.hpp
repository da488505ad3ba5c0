// One FLUSH is with the tail at a time, where nothing here repairs what one that fails has dropped.
// A tail tells such an error once: a FLUSH that it carries out behind the one that fails is
// answered well, and may be answered first. Those that are asked while one is with the tail share
// the next one. Pure.
#pragma once

#include "head/nbd/request.hpp"

#include <utility>

namespace head::disc {

class FlushTurns {
 public:
  // May one go?
  bool free() const noexcept { return with_tail_ == nullptr; }
  // It may not yet.
  void wait(nbd::Request& flush) noexcept { waiting_.push(flush); }
  // It goes, for all that wait.
  void begin(const nbd::Request& flush) noexcept {
    with_tail_ = &flush;
    while (nbd::Request* other = waiting_.pop()) sharing_.push(*other);
  }
  // It is answered: so are these. None where it is not the one that was sent.
  nbd::RequestQueue end(const nbd::Request& flush) noexcept {
    if (&flush != with_tail_) return {};
    with_tail_ = nullptr;
    return std::exchange(sharing_, {});
  }
  // Its connection is lost; those that shared it wait again, before the others.
  void lose(const nbd::Request& flush) noexcept {
    if (&flush != with_tail_) return;
    with_tail_ = nullptr;
    while (nbd::Request* other = waiting_.pop()) sharing_.push(*other);
    waiting_ = std::exchange(sharing_, {});
  }
  // One that is to go now, for the others. Null: none waits, or one is with the tail.
  nbd::Request* next() noexcept { return free() ? waiting_.pop() : nullptr; }

  // False: it is not here.
  bool remove(nbd::Request& flush) noexcept {
    return waiting_.remove(flush) || sharing_.remove(flush);
  }
  // Any that is here; null when there is none.
  nbd::Request* pop() noexcept {
    nbd::Request* const one = sharing_.pop();
    return one != nullptr ? one : waiting_.pop();
  }

 private:
  const nbd::Request* with_tail_ = nullptr;
  nbd::RequestQueue sharing_;  // Its answer.
  nbd::RequestQueue waiting_;  // For the next one.
};

}  // namespace head::disc
