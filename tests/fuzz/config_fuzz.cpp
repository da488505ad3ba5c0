// head.toml, whatever is in it: a configuration or one sentence, never a crash.
#include "head/control/config.hpp"

#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const auto config =
      head::control::parse_config(std::string_view(reinterpret_cast<const char*>(data), size));
  if (config) {
    const unsigned threads = head::control::data_threads(*config);
    if (threads < 1 || threads > 64) std::abort();
  } else {
    const auto& error = config.error();
    if (error.sentence.empty() || error.sentence.find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
