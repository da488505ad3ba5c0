// What one headd hands to the next, whatever is in it: discs that say the same again, or a
// sentence.
#include "head/control/handover.hpp"

#include <algorithm>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto [discs, problem] = head::control::parse_document(bytes);
  if (problem.empty()) {
    const auto again = head::control::to_document(discs);
    if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) std::abort();
  } else if (!discs.empty() || problem.find('\n') != std::string::npos) {
    std::abort();
  }
  return 0;
}
