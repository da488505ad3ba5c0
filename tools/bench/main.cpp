// head-bench: benchmarks of Headstart beside its peers.
#include "tools/bench/bench.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <exception>

int main(int argc, char* argv[]) {
  std::signal(SIGPIPE, SIG_IGN);
  bench::Common common;
  common.bin = std::filesystem::canonical("/proc/self/exe").parent_path();

  CLI::App app("Benchmarks of Headstart beside its peers, in turns within one run.", "head-bench");
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--bin", common.bin, "Folder of headd and headctl")->capture_default_str();
  app.add_option("--rounds", common.rounds, "Rounds; figures are their medians")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  app.add_flag("--json", common.json, "Results as JSON");
  app.add_flag("--spin,!--no-spin", common.spin, "A SCHED_IDLE spinner per processor");
  bench::add_nbd(app, common);
  bench::add_discs(app, common);
  bench::add_load(app, common);
  bench::add_neigh(app, common);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    fmt::print(stderr, "head-bench: {}\n", error.what());
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
