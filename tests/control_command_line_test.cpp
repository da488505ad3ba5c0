#include "head/control/command_line.hpp"
#include "tests/control_fakes.hpp"

#include <fstream>

using namespace head;
using control::parse_command_line;
using namespace std::chrono_literals;

namespace {

auto parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "headd");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

control::Ending ending_of(std::vector<const char*> arguments) {
  const auto result = parse(std::move(arguments));
  REQUIRE_FALSE(result);
  return result.error();
}

}  // namespace

TEST_CASE("flags lie over the file", "[control]") {
  const test::Folder folder;
  const std::string file = folder.path / "head.toml";
  std::ofstream(file)
      << "[paths]\nstate_dir = \"/a\"\nrun_dir = \"/b\"\n[stall]\nthreshold_ms = 7\n";
  const auto invocation =
      parse({"--config", file.c_str(), "--run-dir", "/c/", "--no-neigh", "--table-netns",
             "/proc/1/ns/net", "--log-level", "debug", "--leave"});
  REQUIRE(invocation);
  CHECK(invocation->config.paths.state_dir == "/a");
  CHECK(invocation->config.paths.run_dir == "/c/");
  CHECK(invocation->config.stall.threshold == 7ms);
  CHECK_FALSE(invocation->config.neighbours.enabled);
  CHECK(invocation->config.neighbours.leave);
  CHECK(invocation->config.neighbours.table_netns == "/proc/1/ns/net");
  CHECK(invocation->config.log_level == log::Level::debug);
  CHECK_FALSE(invocation->check_only);
  CHECK(parse({"--config", file.c_str(), "--check-config"})->check_only);
}

TEST_CASE("a relative directory is meant from where headd was started", "[control]") {
  const auto invocation = parse({"--config", "/dev/null", "--run-dir", "x"});
  REQUIRE(invocation);
  CHECK(invocation->config.paths.run_dir == std::filesystem::current_path() / "x");
}

TEST_CASE("what is wrong ends headd with one line and a status of its kind", "[control]") {
  const test::Folder folder;
  const std::string file = folder.path / "bad.toml";
  std::ofstream(file) << "# nothing\nsurprise = 1\n";
  const auto wrong = ending_of({"--config", file.c_str()});
  CHECK(wrong.status == control::exit_invalid);
  CHECK(wrong.sentence == file + ": line 2: there is no key surprise");
  CHECK(ending_of({"--config", "/nowhere/head.toml"}).status == control::exit_invalid);
  CHECK(ending_of({"--surprise"}).status == control::exit_usage);
  CHECK(ending_of({"--config", "/dev/null", "--log-level", "x"}).status == control::exit_usage);
}

TEST_CASE("headd explains itself", "[control]") {
  const auto help = ending_of({"--help"});
  CHECK(help.status == 0);
  for (const char* flag : {"--config", "--state-dir", "--run-dir", "--no-neigh", "--table-netns",
                           "--check-config", "Exit status"})
    CHECK(help.text.find(flag) != std::string::npos);
  CHECK(ending_of({"--version"}).status == 0);
}
