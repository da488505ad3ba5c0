// What the API offers to whoever looks for a fault.
#include "head/base/log.hpp"
#include "head/control/doctor.hpp"
#include "head/control/read_only_api.hpp"
#include "head/control/secrets.hpp"
#include "netlink/format.hpp"
#include "tests/control_daemon.hpp"

#include <nlohmann/json.hpp>

using namespace head;
using nlohmann::json;

namespace {

control::DiscCounts counts(const std::string& name, const std::string& uri,
                           bool read_only = false) {
  auto spec = std::make_shared<catalogue::DiscSpec>();
  spec->name = name;
  spec->uri = *nbd::parse_uri(uri);
  spec->read_only = read_only;
  return {spec, nullptr};
}

json ask(const test::Daemon& daemon, std::string_view path) {
  return json::parse(daemon.ask("GET", path).text);
}

}  // namespace

TEST_CASE("the doctor is asked over the API", "[control][doctor]") {
  const test::Daemon daemon;
  const json answer = ask(daemon, "/v1/doctor");
  CHECK(answer["source"] == "headd");
  CHECK(answer["findings"].is_array());
  CHECK(answer["strategies"].size() == 3);
}

TEST_CASE("changes of entries are told from a time on", "[control][doctor]") {
  const test::Daemon daemon;
  netlink::Neighbour entry;
  entry.key = {1, *netlink::parse_ip6("fd00::1")};
  entry.lladdr = netlink::Mac{2, 0, 0, 0, 0, 1};
  entry.state = netlink::nud::stale;
  const std::chrono::system_clock::time_point at{std::chrono::milliseconds(5'000'250)};
  daemon.neighbours->happened({.at = at, .change = {.before = entry, .after = {}}, .disc = "web1"});
  const json all = ask(daemon, "/v1/neighbours/changes")["changes"];
  REQUIRE(all.size() == 1);
  CHECK(all[0]["time"] == 5000.25);
  CHECK(all[0]["event"] == "gone");
  CHECK(all[0]["disc"] == "web1");
  CHECK(all[0]["lladdr"] == "02:00:00:00:00:01");
  CHECK(ask(daemon, "/v1/neighbours/changes?since=5000")["changes"].size() == 1);
  CHECK(ask(daemon, "/v1/neighbours/changes?since=5001")["changes"].empty());
  CHECK(daemon.ask("GET", "/v1/neighbours/changes?since=x").status == 400);
  CHECK(daemon.ask("GET", "/v1/neighbours/changes?since=99999999999999").status == 400);
}

TEST_CASE("the last lines of the log are kept, and no more", "[control][doctor]") {
  const test::Daemon daemon;
  for (std::size_t i = 0; i < log::kept_max + 5; ++i) log::info("line {}", i);
  log::info("{}", std::string(5000, 'x'));
  const json lines = ask(daemon, "/v1/log")["lines"];
  REQUIRE(lines.size() == log::kept_max);
  CHECK(lines.back().get<std::string>().size() < 1100);
  CHECK_THAT(lines[lines.size() - 2].get<std::string>(), Catch::Contains("Z info line 1004"));
}

TEST_CASE("the log and the configuration are not told over TCP", "[control][doctor]") {
  control::HttpRequest request{};
  request.method = "GET";
  request.path = "/v1/log";
  request.host = "localhost";
  REQUIRE(control::objection_on_tcp(request));
  CHECK(control::objection_on_tcp(request)->status == 404);
  request.path = "/v1/config";
  CHECK(control::objection_on_tcp(request));
  request.path = "/v1/doctor";
  CHECK(!control::objection_on_tcp(request));
}

TEST_CASE("two discs that are one export are found", "[control][doctor]") {
  const std::string uri = "nbd://[fd00::1]/a";
  CHECK(control::twins_of({counts("b", uri), counts("a", uri)}, 9) ==
        std::vector<std::string>{"a and b"});
  CHECK(control::twins_of({counts("a", uri), counts("b", "nbd://[fd00::1]/b")}, 9).empty());
  CHECK(control::twins_of({counts("a", uri), counts("b", "nbd://[fd00::1]:1/a")}, 9).empty());
  CHECK(control::twins_of({counts("a", uri, true), counts("b", uri, true)}, 9).empty());
  CHECK(control::twins_of({counts("a", uri), counts("b", uri, true)}, 9).size() == 1);
  CHECK(control::twins_of({counts("a", uri), counts("b", uri), counts("c", uri)}, 1).size() == 1);
}

TEST_CASE("secrets are taken out of text", "[control][doctor]") {
  using control::without_secrets;
  CHECK(without_secrets("[api]\nsocket_mode = \"0660\"\n") == "[api]\nsocket_mode = \"0660\"\n");
  CHECK(without_secrets("password = \"x\" # y") == "password = \"REMOVED\"\n");
  CHECK(without_secrets("  etcd.Auth-Token='abc'") == "  etcd.Auth-Token= \"REMOVED\"\n");
  CHECK(without_secrets("#secret = 5") == "#secret = \"REMOVED\"\n");
  CHECK(without_secrets("[tls_psk]\nuser = 1\n[b]\nuser = 1\n") ==
        "[tls_psk]\nuser = \"REMOVED\"\n[b]\nuser = 1\n");
  CHECK(without_secrets("key_private = \"\"\"\nAAA\nBBB\"\"\"\nb = 1\n") ==
        "key_private = \"REMOVED\"\nb = 1\n");
  CHECK(without_secrets("tokens = [\n 1,\n 2]\nb = 1\n") == "tokens = \"REMOVED\"\nb = 1\n");
  CHECK(without_secrets("a = \"http://me:pw@x/y@z\", \"nbd://[::1]/a\"") ==
        "a = \"http://REMOVED@x/y@z\", \"nbd://[::1]/a\"\n");
}
