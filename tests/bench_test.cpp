// The real head-bench's command line; what it measures is nothing for a test.
#include "tests/shell.hpp"

#include <algorithm>

using head::test::shell;

namespace {

const std::string bench = HEAD_BENCH;

}  // namespace

TEST_CASE("head-bench explains itself", "[bench]") {
  const auto help = shell(bench + " --help");
  CHECK(help.status == 0);
  for (const char* word :
       {"nbd", "discs", "scrape", "load", "neigh", "chaos", "--rounds", "Exit status"})
    CHECK(help.out.find(word) != std::string::npos);
  CHECK(shell(bench + " load --help").out.find("--stall-ms") != std::string::npos);
  CHECK(shell(bench + " --version").status == 0);
}

TEST_CASE("head-bench refuses a wrong command line with one sentence", "[bench]") {
  const auto arguments =
      GENERATE("", "frobnicate", "--frobnicate", "nbd --seconds x", "nbd --tail foo", "nbd more",
               "load", "load /nonexistent", "discs --counts 0", "chaos --only sunshine",
               "scrape --discs 0", "--rounds 0 neigh");
  CAPTURE(arguments);
  const auto refused = shell(bench + " " + arguments);
  CHECK(refused.status == 2);
  CHECK(refused.out.empty());
  CHECK(refused.err.find("head-bench: ") == 0);
  CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == 1);
}

TEST_CASE("head-bench says what it is short of", "[bench]") {
  const auto failed = shell(bench + " --bin /nonexistent --rounds 1 --no-spin nbd --seconds 0.1");
  CHECK(failed.status == 1);
  CHECK(failed.err.find("head-bench: ") != std::string::npos);
}
