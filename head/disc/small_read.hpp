// A read of the disc's own, to find out whether a tail answers on a connection.
#pragma once

#include "head/nbd/request.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace head::disc {

struct SmallRead final : nbd::Request {
  static constexpr std::uint32_t bytes = 512;

  // `block`: the smallest that may be read.
  SmallRead(iouring::Instant now, std::uint32_t block) : data(std::max(bytes, block)) {
    part = {.iov_base = data.data(), .iov_len = data.size()};
    length = static_cast<std::uint32_t>(data.size());
    memory = {&part, 1};
    arrived = now;
  }
  void on_done(int) noexcept override {}  // The disc is asked first.

  std::vector<std::byte> data;
  iovec part{};
};

}  // namespace head::disc
