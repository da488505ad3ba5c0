// What one headd hands to the next, whatever is in it: discs that say the same again, in the same
// bytes if they are of this version, or a sentence.
#include "head/control/handover.hpp"

#include <algorithm>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto [discs, problem] = head::control::parse_document(bytes);
  if (problem.empty()) {
    const auto again = head::control::to_document(discs);
    const auto read = head::control::parse_document(again);
    if (!read.problem.empty() || head::control::to_document(read.discs) != again) std::abort();
    const bool old = data[11] != head::control::handover_version;
    if (!old && !std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) std::abort();
  } else if (!discs.empty() || problem.find('\n') != std::string::npos) {
    std::abort();
  }
  return 0;
}
