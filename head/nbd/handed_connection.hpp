// A connection to a tail as one headd hands it to the next, which goes on with it: its socket, and
// what was agreed on it. Nothing is under way on it: no request is unanswered, no byte of one or of
// an answer is half sent or half received.
#pragma once

#include "head/nbd/export_info.hpp"
#include "iouring/unique_fd.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

namespace head::nbd {

// Where a connection leads, and how.
struct Destination {
  std::array<std::uint8_t, 16> address{};
  std::uint16_t port = 0;
  std::string interface {};
  std::string export_name{};

  bool operator==(const Destination&) const = default;
};

struct HandedConnection {
  iouring::UniqueFd socket{};
  std::uint64_t cookie = 0;  // The socket's (SO_COOKIE): the kernel's name for it.
  Destination to{};
  ExportInfo info{};
  std::uint32_t context = 0;  // The id of base:allocation.
  std::string note{};         // Of the handshake, for people.
  bool acknowledges_at_once = false;
  std::chrono::microseconds round_trip{};  // The least that was seen; 0: not known.
  std::uint64_t sent = 0;                  // Bytes, since it was opened.
  std::uint32_t generation = 0;            // Of cookies of requests: those up to it were used.
};

}  // namespace head::nbd
