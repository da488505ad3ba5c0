// May this request be passed on? One flat list of questions, each with one errno and one message
// for the guest's log. Past it, a request keeps to the volume's contract.
#pragma once

#include "head/export/server_handshake.hpp"
#include "head/nbd/wire.hpp"

#include <cstdint>

namespace head::exports {

struct Verdict {
  int error = 0;                  // 0: pass it on. Else an errno that the protocol has.
  const char* message = nullptr;  // Static; set where `error` is.
};

// What a headd that hands over says for a write that was too long, of whose payload only a part is
// to come still (session_handover.cpp): no guest's request, as nobody is offered all flags.
inline constexpr std::uint16_t too_long_flags = 0xffff;
inline constexpr std::uint64_t too_long_offset = UINT64_MAX;

// `size`: the volume's, now. NBD_CMD_DISC is not a request in this sense.
Verdict validate(const nbd::RequestHeader& request, const Terms& terms,
                 std::uint64_t size) noexcept;

}  // namespace head::exports
