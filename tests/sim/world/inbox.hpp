// What a peer has read and not made sense of yet. A program reads what its kernel has, so that a
// message may be larger than the window.
#pragma once

#include "tests/sim/world/network.hpp"

namespace world {

class Inbox {
 public:
  // Everything that is there: what is kept, and what has arrived since.
  std::span<const std::byte> bytes(Stream& stream) {
    const auto arrived = stream.incoming();
    if (kept_.empty()) return arrived;
    kept_.insert(kept_.end(), arrived.begin(), arrived.end());
    stream.take_incoming(arrived.size());
    return std::span(kept_).subspan(taken_);
  }
  void take(Stream& stream, std::size_t size) {
    if (kept_.empty()) return stream.take_incoming(size);
    taken_ += size;
    if (taken_ == kept_.size()) clear();
  }
  // No whole message is there: what is large is read away, so that more can come.
  void keep(Stream& stream, std::size_t window = Stream::window) {
    const auto arrived = stream.incoming();
    if (!kept_.empty() || arrived.empty() || arrived.size() < window / 4) return;
    kept_.assign(arrived.begin(), arrived.end());
    stream.take_incoming(arrived.size());
  }
  void clear() {
    kept_.clear();
    taken_ = 0;
  }

 private:
  Bytes kept_;
  std::size_t taken_ = 0;
};

}  // namespace world
