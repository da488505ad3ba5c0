// head-bench's command line. The only thing here that knows how benchmarks and options are spelled.
#pragma once

#include <filesystem>
#include <functional>
#include <stdexcept>

namespace bench {

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What is to be done, --help and --version included; `bin` is where headd and headctl are unless it
// says otherwise. Throws UsageError, with one sentence.
std::function<void()> parse_command_line(int argc, const char* const* argv,
                                         const std::filesystem::path& bin);

}  // namespace bench
