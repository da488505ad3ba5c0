// What a crash leaves behind: a text in a folder, with the signal, the build, where every thread
// was and the last lines of the log. Written by the dying process itself, with nothing but system
// calls; symbols.hpp makes names of its addresses later, in a process that is well.
#pragma once

#include <filesystem>
#include <string>

namespace head::post_mortem {

// Reports are named crash-SECONDS.raw, or stall-SECONDS.raw, by seconds since 1970; explained, they
// end in .txt.
inline constexpr std::size_t reports_max = 10;

// Once, before there are other threads: from then on SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT and
// SIGSYS leave a report in `folder`, which is made; then they end the process as they would have.
// Without the folder nothing is left behind.
void prepare(const std::filesystem::path& folder, const std::string& version);

// At the start of every other thread: it leaves a report also when its stack overflows.
void guard_thread() noexcept;

// The same of a process that goes on: its threads hang. Where it is; empty when it could not be
// written.
std::filesystem::path write_stall();

}  // namespace head::post_mortem
