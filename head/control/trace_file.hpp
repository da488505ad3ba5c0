// Where a headd that is killed leaves what its tails may still carry out (disc::Traces): a file in
// RUN/ for each headd that runs, locked (flock(2)) for as long as it does. Whoever runs takes over
// what is in the files of those that run no more. RUN/ is memory that a reboot empties: so
// long no tail takes.
#pragma once

#include "head/disc/traces.hpp"
#include "iouring/unique_fd.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace head::control {

class TraceFile {
 public:
  // For each data thread: more changes than it has under way. Beyond, all discs are in doubt after
  // a kill.
  static constexpr std::size_t records_each = 8'192;

  // All of the file's memory is taken at once. Throws std::runtime_error with one sentence.
  TraceFile(const std::filesystem::path& run_dir, unsigned threads,
            std::chrono::milliseconds quarantine);
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;
  ~TraceFile();  // The file stays: what was left unanswered may come after the process.

  // `thread` is less than `threads`. For as long as this lives.
  disc::Traces& of(unsigned thread) { return *traces_[thread]; }
  // Takes over what others have left since: of a headd that handed over, and then ended. One
  // thread.
  void look();
  // And what is in the files of others that still run: of a headd that has handed over and not
  // ended. No document tells what discs have left there that are detached.
  void look_at_running();

 private:
  void keep(std::span<const disc::Trace> found);
  void remove() noexcept;

  const std::filesystem::path run_dir_;
  const std::chrono::milliseconds quarantine_;
  std::filesystem::path path_;
  iouring::UniqueFd file_;  // Locked.
  std::size_t bytes_ = 0;
  void* memory_ = nullptr;
  std::span<const disc::Traces::Record> records_;  // There.
  disc::LeftTraces left_;
  std::optional<disc::Traces> kept_;  // Of others.
  std::vector<std::unique_ptr<disc::Traces>> traces_;
};

}  // namespace head::control
