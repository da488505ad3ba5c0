// The reports of crashes in the state directory: those of a headd before are explained, told of
// once in the log, and kept, the last few of them.
#pragma once

#include "head/base/result.hpp"

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace head::control {

inline constexpr std::size_t crash_text_max = 256 << 10;

struct CrashReport {
  std::string name;  // "crash-1764000000.txt"
  std::string text;  // Cut at crash_text_max.
};

// The newest first; nothing where there are none. What cannot be read is left out.
std::vector<CrashReport> crash_reports(const std::filesystem::path& folder);

// Makes FILE.txt of FILE.raw, with names for its addresses where they can be found, and removes the
// latter. Gives the lines that are worth the journal: what happened, and where the thread was that
// it happened in. The error is a sentence.
//
// What is not named and does not begin as post_mortem.hpp writes it is refused, as is a FILE.txt
// that is there; then nothing is written or removed.
Result<std::string, std::string> explain_crash(const std::filesystem::path& raw);

// Explains what is new in `folder`, in processes of their own that are in nobody's way, and keeps
// no more reports than post_mortem::reports_max.
class CrashExplainer {
 public:
  explicit CrashExplainer(std::filesystem::path folder);
  // Looks again.
  void look();

 private:
  void work(const std::stop_token& stop) const;

  const std::filesystem::path folder_;
  std::jthread worker_;
};

}  // namespace head::control
