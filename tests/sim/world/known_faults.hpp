// What today's headd does not survive: each with the profile that shows it. When one of them is
// mended, its row goes, and its profile joins `any` (profiles.cpp).
#pragma once

#include "tests/check/violation.hpp"

#include <array>
#include <string_view>

namespace world {

struct KnownFault {
  std::string_view profile;
  check::Rule rule;
  std::string_view sentence;
};

inline constexpr std::array known_faults{
    KnownFault{"suspected", check::Rule::stale,
               "A write that hung for longer than headd waits is carried out after later ones."},
    KnownFault{"silent", check::Rule::stale, "The same, after the link was down for long."},
    KnownFault{"moved", check::Rule::stale, "The same, after headctl move."},
    KnownFault{"upgraded", check::Rule::stale, "The same, after an upgrade."},
    KnownFault{"ordered", check::Rule::stale, "The same, after headctl fail."},
    KnownFault{"lied-to", check::Rule::stale, "The same, after the tail broke the protocol."},
    KnownFault{"killed", check::Rule::stale, "The same, after headd was killed."},
    KnownFault{"closed-early", check::Rule::stale,
               "The same, of a tail that closes connections before its workers have ended."},
    KnownFault{"realigned", check::Rule::stale,
               "A change of a part of a block that is asked again brings back its neighbours."},
    KnownFault{"crowded", check::Rule::dropped,
               "An upgrade repeats the header of a request that waits for memory."},
    KnownFault{"failed-flush", check::Rule::stale,
               "The error of a FLUSH of headd's own is dropped, and the log with it."},
    KnownFault{"failed-flush", check::Rule::swallowed,
               "The error of a FLUSH reaches one guest only."},
    KnownFault{"unknown-flush", check::Rule::stale,
               "EINVAL in answer to FLUSH lets the log go although FLUSH was answered before."},
    KnownFault{"private", check::Rule::stale,
               "Writes that belong to a connection are gone after an upgrade, without a word."},
    KnownFault{"two-heads-cut", check::Rule::stale,
               "A head that was cut off replays what its gone guest wrote, over newer data."},
    KnownFault{"two-heads-crash", check::Rule::stale, "The same, after a crash of the tail."},
    KnownFault{"away-at-start", check::Rule::stuck,
               "Handshakes wait for a tail that is away, though the disc was known."},
    KnownFault{"short-lived", check::Rule::stuck,
               "A replay makes no progress where connections die sooner than it takes."},
    KnownFault{"changed-at-upgrade", check::Rule::stuck,
               "The next headd believes a tail that is smaller, or read-only, for a moment."},
    KnownFault{"held-by-upgrade", check::Rule::stuck,
               "The next headd compares the first block with what another headd wrote since."},
    KnownFault{"guest-ends", check::Rule::stale,
               "What a gone guest had asked is carried out after what another wrote since."},
    KnownFault{"upgraded-in-vain", check::Rule::stale,
               "A disc that was handed over in vain replays over what was written since."},
};

}  // namespace world
