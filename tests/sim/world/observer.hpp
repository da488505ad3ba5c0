// What a tail tells the world of what it does, so that the checkers know what is in the way of
// requests and which errors are true.
#pragma once

#include "head/nbd/wire.hpp"

#include <cstdint>

namespace world {

class Observer {
 public:
  // Requests wait because of the tail: a worker takes long, the process is stopped or away.
  virtual void on_trouble(bool begins) = 0;
  virtual void on_refusal(const head::nbd::RequestHeader& refused) = 0;
  // headd has the answer to that: until then it sends others beside it.
  virtual void on_refusal_heard(const head::nbd::RequestHeader& refused) = 0;
  // It has failed to make stable what it had acknowledged, says so once, and forgets that it had
  // to.
  // Of others than whoever asked? Which loss it is, to name it by; none is 0.
  virtual std::uint64_t on_data_lost(bool of_others) = 0;
  // headd has that answer; guests that it has answered before may not have heard yet.
  virtual void on_loss_heard() = 0;
  // Or never will, as the connection is over.
  virtual void on_loss_kept(std::uint64_t loss) = 0;
  // For people who look at one history.
  enum class Fate : std::uint8_t { done, torn, dropped };
  virtual void on_fate(const head::nbd::RequestHeader& header, Fate fate) = 0;
  // A client broke the protocol.
  virtual void on_complaint(const char* what) = 0;

 protected:
  ~Observer() = default;
};

}  // namespace world
