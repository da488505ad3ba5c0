#include "head/control/config.hpp"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

using namespace head;
using namespace std::chrono_literals;
using control::Config;
using control::parse_config;

namespace {

control::ConfigError error_of(std::string_view text) {
  const auto config = parse_config(text);
  return config ? control::ConfigError{} : config.error();
}

}  // namespace

TEST_CASE("route mode is chosen for all storage networks, or for some",
          "[control][config][routes]") {
  CHECK(parse_config("")->neighbours.mode == head::neigh::Mode::neighbours);
  const auto config = parse_config(
      "[neighbours]\nmode = \"routes\"\nroute_prefixes = [\"fd00:1::/32\"]\nlease_s = 60\n"
      "[tails]\none = \"52:54:00:12:34:56\"\ntwo = \"52:54:00:12:34:57 fe80::2\"\n");
  REQUIRE(config);
  CHECK(config->neighbours.mode == head::neigh::Mode::routes);
  CHECK(config->neighbours.route_prefixes.size() == 1);
  CHECK(config->neighbours.lease == 60s);
  CHECK(config->tails.size() == 2);
  REQUIRE(config->next_hops.size() == 1);
  CHECK(config->next_hops.begin()->first == config->tails.at("two"));
  for (const char* wrong :
       {"neighbours.mode = \"both\"", "neighbours.mode = 1", "neighbours.lease_s = 9",
        "neighbours.route_prefixes = [\"fd00::1/32\"]", "tails.a = \"52:54:00:12:34:56 fd00::2\"",
        "tails.a = \"52:54:00:12:34:56  fe80::2\"", "tails.a = \"52:54:00:12:34:56 \"",
        "tails.a = \"fe80::2\"",
        "tails.a = \"52:54:00:12:34:56 fe80::2\"\ntails.b = \"52:54:00:12:34:57 fe80::2\"",
        "tails.a = \"52:54:00:12:34:56 fe80::2\"\ntails.b = \"52:54:00:12:34:56 fe80::3\""}) {
    CAPTURE(wrong);
    CHECK(!parse_config(wrong));
  }
}

TEST_CASE("an empty file means the defaults", "[control]") {
  const auto config = parse_config("");
  REQUIRE(config);
  CHECK(config->paths.state_dir == "/var/lib/head");
  CHECK(config->paths.run_dir == "/run/head");
  CHECK(config->stall.threshold == 20ms);
  CHECK(config->exports.mode == 0660);
  CHECK(config->neighbours.enabled);
  CHECK(control::data_threads(*config) >= 1);
}

TEST_CASE("metrics listen where it is said, on the loopback, or nowhere", "[control]") {
  const auto listen = [](const std::string& value) {
    const auto config = parse_config("[metrics]\nlisten = " + value);
    REQUIRE(config);
    return config->metrics.listen ? to_string(*config->metrics.listen) : "nowhere";
  };
  CHECK(to_string(*parse_config("")->metrics.listen) == "[::1]:9847");
  CHECK(listen("\"[2001:db8::1]:80\"") == "[2001:db8::1]:80");
  CHECK(listen("\"127.0.0.1:65535\"") == "127.0.0.1:65535");
  CHECK(listen("\"off\"") == "nowhere");
  CHECK(listen("\"\"") == "nowhere");
  for (const char* wrong :
       {"\"localhost:9847\"", "\"[::1]\"", "\"::1:9847\"", "\"[::1]:0\"", "\"[127.0.0.1]:1\"",
        "\"127.0.0.1:65536\"", "\"127.0.0.1:1x\"", "\":9847\"", "\"[::1:9847\"", "9847", "false",
        "\"[::1]:-1\"", "\"[::1\\u0000]:1\"", "\"[fe80::1%lo]:1\""}) {
    const auto error = error_of(std::string("[metrics]\nlisten = ") + wrong);
    CAPTURE(wrong);
    CHECK(error.key == "metrics.listen");
    CHECK(error.sentence.find("line 2: metrics.listen must be an address and a port, ") == 0);
  }
}

TEST_CASE("every section is taken", "[control]") {
  const auto config = parse_config(R"(
[paths]
state_dir = "/srv/state"
run_dir = "/srv/run"
[data]
threads = 3
memory_mib = 128
discs_max = 10
[discs]
durability = "writethrough"
identity = "first-block"
quarantine_ms = 30000
replay_memory_mib = 128
[export]
socket_mode = "0600"
socket_group = "kvm"
[api]
socket_mode = "666"
[neighbours]
enabled = false
table_netns = "/proc/1/ns/net"
table_max = 4096
resolve_per_second = 50
recheck_s = 5
[stall]
threshold_ms = 50
[tcp]
keepalive_idle_s = 9
user_timeout_ms = 5000
[log]
level = "debug"
)");
  REQUIRE(config);
  CHECK(config->paths.state_dir == "/srv/state");
  CHECK(config->paths.run_dir == "/srv/run");
  CHECK(control::data_threads(*config) == 3);
  CHECK(config->data.memory_mib == 128);
  CHECK(config->data.discs_max == 10);
  CHECK(config->exports.mode == 0600);
  CHECK(config->exports.group == "kvm");
  CHECK(config->api.mode == 0666);
  CHECK_FALSE(config->neighbours.enabled);
  CHECK(config->neighbours.table_netns == "/proc/1/ns/net");
  CHECK(config->neighbours.table_max == 4096);
  CHECK(config->neighbours.resolve_per_second == 50);
  CHECK(config->neighbours.recheck == 5s);
  CHECK(config->discs.durability == nbd::Durability::writethrough);
  CHECK(config->discs.identity == disc::Identity::first_block);
  CHECK(config->discs.quarantine == 30s);
  CHECK(config->discs.replay_memory_mib == 128);
  CHECK(config->stall.threshold == 50ms);
  CHECK(config->tcp.keepalive_idle == 9s);
  CHECK(config->tcp.user_timeout == 5s);
  CHECK(config->log_level == log::Level::debug);
}

TEST_CASE("an unknown key is named with its line, and the one that was meant", "[control]") {
  const auto error = error_of("[data]\nthreads = 2\nmemory_mb = 4\n");
  CHECK(error.line == 3);
  CHECK(error.key == "data.memory_mb");
  CHECK(error.sentence == "line 3: there is no key data.memory_mb; did you mean data.memory_mib?");

  CHECK(error_of("threads = 2\n").sentence ==
        "line 1: there is no key threads; did you mean data.threads?");
  CHECK(error_of("[dat]\nthreads = 2\n").sentence.find("line 1: there is no key dat") == 0);
  CHECK(error_of("[weather]\nsunny = true\n").sentence == "line 1: there is no key weather");
  CHECK(error_of("[data.threads.more]\nx = 1\n").key == "data.threads");
}

TEST_CASE("the first mistake of several is told", "[control]") {
  CHECK(error_of("[tcp]\nb = 1\n[data]\na = 1\n").line == 2);
  CHECK(error_of("[log]\nlevel = 1\n[api]\na = 1\n").line == 2);
}

TEST_CASE("a value outside its rule is named with the rule", "[control]") {
  CHECK(error_of("[data]\nthreads = 0\n").sentence ==
        "line 2: data.threads must be a whole number from 1 to 64");
  const auto* text = GENERATE(
      "data.threads = 65", "data.threads = \"2\"", "data.threads = 1.5", "data.threads = -1",
      "data.threads = 9223372036854775807", "data = 7", "data = []", "paths.run_dir = \"run\"",
      "paths.run_dir = \"\"", "paths.run_dir = \"/a\\u0000b\"", "export.socket_mode = 0o660",
      "export.socket_mode = \"0668\"", "export.socket_mode = \"1777\"", "export.socket_mode = \"\"",
      "neighbours.enabled = 1", "neighbours.table_max = 0", "stall.threshold_ms = 0",
      "log.level = \"loud\"", "log.level = 1979-05-27", "tcp.user_timeout_ms = [1]",
      "data.memory_mib = {a = 1}");
  CAPTURE(text);
  const auto error = error_of(text);
  CHECK(error.line == 1);
  CHECK(error.sentence.find("line 1: ") == 0);
}

TEST_CASE("what is not TOML is refused with its line", "[control]") {
  CHECK(error_of("[data]\nthreads = = 2\n").line == 2);
  CHECK(error_of("[data]\nthreads = 2\nthreads = 3\n").line == 3);
  CHECK(error_of("a = 1\n\xff\xfe").line >= 1);
}

TEST_CASE("a file cannot lead the parser deep", "[control]") {
  std::string dots = "a";
  for (int i = 0; i < 100'000; ++i) dots += ".a";
  CHECK(error_of(dots + " = 1").line == 1);
  CHECK_FALSE(parse_config("a = " + std::string(900, '[')));
  CHECK_FALSE(parse_config(std::string(control::config_size_max + 1, '\n')));
  std::string lines = "a = ";
  for (int i = 0; i < 10'000; ++i) lines += "[\n";
  CHECK_FALSE(parse_config(lines));
}

TEST_CASE("a missing file is an error only when it was asked for", "[control]") {
  CHECK(control::load_config("/nonexistent/head.toml", false));
  const auto config = control::load_config("/nonexistent/head.toml", true);
  REQUIRE_FALSE(config);
  CHECK(config.error().sentence.find("/nonexistent/head.toml") != std::string::npos);
  CHECK(config.error().sentence.find("--config") != std::string::npos);
  CHECK_FALSE(control::load_config("/", true));
}

TEST_CASE("keys are listed once each, with a rule", "[control]") {
  std::set<std::string_view> names;
  for (const auto& key : control::config_keys()) {
    CHECK(names.insert(key.name).second);
    CHECK_FALSE(key.rule.empty());
  }
  CHECK(names.count("stall.threshold_ms") == 1);
}

TEST_CASE("the example has every key in order, with its rule and its default", "[control]") {
  std::ifstream file(std::filesystem::path(HEAD_SOURCE_DIR) / "head/control/head.toml.example");
  REQUIRE(file);
  std::string as_it_is, uncommented, section, comment;
  std::vector<std::pair<std::string, std::string>> keys;  // With the comment before it.
  for (std::string line; std::getline(file, line);) {
    as_it_is += line + "\n";
    if (line.size() > 1 && line[0] == '#' && line[1] != ' ') line.erase(0, 1);
    uncommented += line + "\n";
    const auto equals = line.find(" = ");
    if (line.empty())
      comment.clear();
    else if (line[0] == '[')
      section = line.substr(1, line.size() - 2);
    else if (line[0] == '#')
      comment += line + "\n";
    else
      keys.emplace_back(section + "." + line.substr(0, equals), std::exchange(comment, ""));
  }
  std::size_t at = 0;
  for (const auto& key : control::config_keys()) {
    REQUIRE(at < keys.size());
    CHECK(keys[at].first == key.name);
    CAPTURE(key.name, keys[at].second);
    CHECK(keys[at].second.find("Must be: " + std::string(key.rule) + "\n") != std::string::npos);
    ++at;
  }
  CHECK(at == keys.size());
  CHECK(error_of(uncommented).sentence == "");
  const auto config = parse_config(as_it_is);
  REQUIRE(config);
  CHECK(*config == Config{});
}
