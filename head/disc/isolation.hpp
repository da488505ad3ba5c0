// Requests that may be why a tail ends its connections: each was in flight when several in a row
// ended. They are asked one at a time, each alone on its connection, after a read that the tail has
// answered there; so that whichever ends that one as well is known, and the others are not to
// blame.
//
//   idle ── a suspect, and a connection ──► clearing ── nothing is in flight ──► asking
//    ▲ ▲                                                                           │
//    │ └──────────────── the connection has ended ◄── alone ◄── the read is answered
//    └──────────────── it is answered, or takes long ◄┘
#pragma once

#include "head/disc/small_read.hpp"
#include "head/nbd/request.hpp"

#include <chrono>
#include <memory>

namespace head::disc {

struct Isolation {
  // A tail that is started again may end two, and none of the requests is to blame.
  static constexpr std::uint8_t deaths_before = 3;
  // For a connection of its own.
  static constexpr std::chrono::seconds opening_most{2};
  // For requests to end that the connection has already.
  static constexpr std::chrono::seconds clearing_most{1};
  // Then others go on beside it, where they have no connection of their own.
  static constexpr std::chrono::seconds alone_most{5};
  // After a connection has ended by it.
  static constexpr std::chrono::seconds apart{1};

  enum class Step : std::uint8_t { idle, clearing, asking, alone };

  static bool is_suspect(const nbd::Request& request) noexcept {
    return request.deaths >= deaths_before;
  }
  // The tail has ended its connection. `only`: nothing else was in flight. True: it is to blame,
  // beyond doubt.
  bool lost(nbd::Request& request, bool only, unsigned attempts) const noexcept {
    const bool counts = request.deaths < deaths_before || (&request == alone && only);
    if (counts && request.deaths < UINT8_MAX) ++request.deaths;
    return attempts != 0 && request.deaths >= deaths_before + attempts;
  }
  void end() noexcept {
    step = Step::idle;
    alone = nullptr;
  }

  Step step = Step::idle;
  nbd::RequestQueue suspects, condemned;
  nbd::Request* alone = nullptr;  // Is in flight, in step alone.
  std::unique_ptr<SmallRead> question;
  iouring::Instant since{};  // In this step.
  iouring::Instant not_before{};
};

}  // namespace head::disc
