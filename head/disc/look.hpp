// A look at the first block of a disc: a READ, perhaps behind a FLUSH. The disc asks it of its tail
// for itself.
#pragma once

#include "head/disc/first_block.hpp"
#include "head/nbd/request.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace head::disc {

struct Look final : nbd::Request {
  Look(iouring::Instant now, const FirstBlock& of) : version(of.version()), block(of.length()) {
    arrived = now;
  }
  void on_done(int) noexcept override {}  // The disc is asked first.
  void read() noexcept {
    part = {.iov_base = block.data(), .iov_len = block.size()};
    command = nbd::Command::read;
    length = static_cast<std::uint32_t>(block.size());
    memory = {&part, 1};
  }

  std::uint64_t version;
  std::vector<std::byte> block;
  iovec part{};
};

}  // namespace head::disc
