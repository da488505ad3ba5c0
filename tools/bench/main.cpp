// head-bench: benchmarks of Headstart beside its peers.
#include "tools/bench/command_line.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    const auto here = std::filesystem::canonical("/proc/self/exe").parent_path();
    bench::parse_command_line(argc, argv, here)();
    return EXIT_SUCCESS;
  } catch (const bench::UsageError& error) {
    std::fprintf(stderr, "head-bench: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "head-bench: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
