// Reading the configuration again: what takes effect, what waits, and that a mistake changes
// nothing.
#include "head/control/reload.hpp"
#include "tests/control_fakes.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <thread>

using namespace head;
using namespace head::control;
using namespace std::chrono_literals;
using Names = std::vector<std::string>;

namespace {

Config configured(const std::string& text) {
  const auto config = parse_config(text);
  REQUIRE(config);
  return *config;
}

}  // namespace

TEST_CASE("every key of the configuration is known to a reload", "[control]") {
  for (const ConfigKey& key : config_keys()) {
    const auto known = settings_known();
    INFO(key.name);
    CHECK(std::any_of(known.begin(), known.end(), [&](std::string_view name) {
      return key.name == name ||
             (key.name.size() > name.size() && key.name.substr(0, name.size()) == name &&
              key.name[name.size()] == '.');
    }));
  }
}

TEST_CASE("what can change does, and the rest is named", "[control]") {
  const Config running;
  const Change same = change(running, running);
  CHECK(same.config == running);
  CHECK(same.told.applied.empty());
  CHECK(same.told.at_next_start.empty());

  const Config wanted = configured(R"(
[paths]
run_dir = "/run/elsewhere"
[data]
threads = 7
discs_max = 5
[stall]
threshold_ms = 50
[tcp]
user_timeout_ms = 500
[neighbours]
table_max = 2048
[log]
level = "debug"
)");
  const Change made = change(running, wanted);
  CHECK(made.told.applied == Names{"data.discs_max", "stall.threshold_ms", "tcp", "log.level"});
  CHECK(made.told.at_next_start == Names{"paths", "data.threads", "neighbours"});
  CHECK(made.config.stall == wanted.stall);
  CHECK(made.config.tcp == wanted.tcp);
  CHECK(made.config.data.threads == running.data.threads);
  CHECK(made.config.paths == running.paths);

  // The rest is still to come, however often it is read.
  const Change again = change(made.config, wanted);
  CHECK(again.told.applied.empty());
  CHECK(again.told.at_next_start == made.told.at_next_start);
}

TEST_CASE("a reload reaches the data threads and the agent", "[control]") {
  test::Head head;
  Result<Config, std::string> file = configured("[stall]\nthreshold_ms = 77\n");
  Reloader reloader(*head.agent, Config{}, [&] { return file; });

  const auto told = reloader.reload();
  REQUIRE(told);
  CHECK(told->applied == Names{"stall.threshold_ms"});
  for (const auto* thread : head.threads)
    CHECK(thread->settings().stall_threshold == std::chrono::milliseconds(77));

  file = configured("[stall]\nthreshold_ms = 77\n[data]\ndiscs_max = 1\n");
  REQUIRE(reloader.reload());
  CHECK_FALSE(head.agent->attach(test::a_disc("a")));
  const auto refusal = head.agent->attach(test::a_disc("b"));
  REQUIRE(refusal);
  CHECK(refusal->why == Refusal::Why::too_many);

  file = Failure{std::string("line 1 is not TOML")};
  const auto wrong = reloader.reload();
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error() == "line 1 is not TOML");
  CHECK(head.agent->attach(test::a_disc("b")));  // As before.
  log::set_level(log::Level::info);
}

// Who had grown said so only at the next reconnection.
TEST_CASE("a reload has discs look at what their tails offer", "[control]") {
  test::Head head;
  Reloader reloader(*head.agent, Config{}, [] { return Result<Config, std::string>(Config{}); });
  REQUIRE_FALSE(head.agent->attach(test::a_disc("a")));
  const auto looked = [&] {
    Names all = head.threads[0]->looked();
    const Names others = head.threads[1]->looked();
    all.insert(all.end(), others.begin(), others.end());
    return all;
  };
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (head.agent->disc("a")->state != State::ready && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(1ms);
  CHECK(looked().empty());
  REQUIRE(reloader.reload());
  CHECK(looked() == Names{"a"});
}

TEST_CASE("a data thread that comes to nothing is noticed", "[control]") {
  test::Head head;
  CHECK(head.agent->data_threads_answer());
  CHECK(head.agent->data_threads_answer());
  head.threads[1]->hold();
  CHECK(head.agent->data_threads_answer());  // It was asked only now.
  CHECK_FALSE(head.agent->data_threads_answer());
  CHECK_FALSE(head.agent->data_threads_answer());
  head.threads[1]->release();
  CHECK(head.agent->data_threads_answer());
}
