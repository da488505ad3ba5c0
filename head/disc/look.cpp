#include "head/disc/look.hpp"

namespace head::disc {

void Look::read() noexcept {
  part = {.iov_base = block.data(), .iov_len = block.size()};
  command = nbd::Command::read;
  length = static_cast<std::uint32_t>(block.size());
  memory = {&part, 1};
}

bool Proof::ask_next() {
  if (questions_.empty()) return false;
  asked_ = questions_.back();
  questions_.pop_back();
  bytes_.resize(asked_.write.length);
  part_ = {.iov_base = bytes_.data(), .iov_len = bytes_.size()};
  command = nbd::Command::read;
  offset = asked_.write.offset;
  length = asked_.write.length;
  memory = {&part_, 1};
  forget_attempts();
  return true;
}

}  // namespace head::disc
