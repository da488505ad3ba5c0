// Many discs, each at an address of its own, all of one tail: nothing but loopback, in a network
// namespace that this process makes for itself and what it starts.
#pragma once

#include "tools/bench/headd.hpp"
#include "tools/bench/process.hpp"

#include <filesystem>
#include <string>

namespace bench {

inline constexpr unsigned short crowd_port = 10809;

// The kernel takes every address of fd00:d15c::/64 for local there (AnyIP): as many addresses as
// there are discs, none added one by one. Needs root. Raises the limit of open files, too.
void enter_crowd(const std::filesystem::path& scratch);

// The tail of them all: nbdkit's null disc, once it listens. To be made in there.
Process crowd_tail(const Scratch& scratch);

std::string crowd_address(unsigned disc);

// Attaches discs d0, d1 ... and waits until they are ready. `list`: a file it may write.
void attach_crowd(const Headd& headd, unsigned discs, const std::filesystem::path& list);

}  // namespace bench
