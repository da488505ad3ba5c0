// What the API answers, over an agent with a fake keeper and fake data threads.
#include "head/control/api_json.hpp"
#include "netlink/format.hpp"
#include "tests/control_daemon.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

using namespace head;
using nlohmann::json;
using namespace std::chrono_literals;

namespace {

// What a client heard, with its body understood.
struct Reply : test::Heard {
  explicit Reply(test::Heard heard)
      : Heard(std::move(heard)), body(json::parse(text, nullptr, false)) {}
  json body;
};

struct Daemon : test::Daemon {
  using test::Daemon::Daemon;
  Reply ask(std::string_view method, std::string_view path, std::string_view body = "") const {
    return Reply(test::Daemon::ask(method, path, body));
  }
  Reply put(const std::string& name, const json& body, std::string_view query = "") const {
    return ask("PUT", fmt::format("/v1/discs/{}{}", name, query), body.dump());
  }
};

const json plain = {{"uri", "nbd://[fd00::1]/a"}};

std::string type_of(const Reply& reply) {
  return reply.body.value("type", "");
}

}  // namespace

TEST_CASE("a disc is attached, listed, shown and detached over the socket", "[control]") {
  Daemon daemon;
  const Reply attached = daemon.put("a", plain, "?wait=10");
  CHECK(attached.status == 200);
  CHECK(attached.body["state"] == "ready");
  CHECK(attached.body["uri"] == "nbd://[fd00::1]/a");
  CHECK(attached.body["socket"] == (daemon.folder.path / "discs/a/nbd.sock").native());

  CHECK(daemon.ask("GET", "/v1/discs").body["discs"].size() == 1);
  CHECK(daemon.ask("GET", "/v1/discs/a").body["name"] == "a");
  CHECK(daemon.ask("GET", "/v1/status").body["by_state"]["ready"] == 1);
  CHECK(daemon.ask("GET", "/v1/neighbours").body["entries"][0]["discs"] == json{"a"});
  CHECK_FALSE(daemon.ask("GET", "/v1/neighbours?entries=false").body.contains("entries"));
  json entry = daemon.ask("GET", "/v1/neighbours").body["entries"][0];
  for (const char* kernel : {"marks", "owner", "state", "confirmed_s", "updated_s", "used_s"})
    CHECK(entry.erase(kernel) == 1);
  entry.erase("lladdr");
  CHECK(daemon.ask("GET", "/v1/neighbours?kernel=false").body["entries"][0] == entry);

  const Reply detached = daemon.ask("DELETE", "/v1/discs/a?wait=10");
  CHECK(detached.status == 200);
  CHECK(detached.body["state"] == "gone");
  CHECK(daemon.ask("GET", "/v1/discs").body["discs"].empty());
}

// It was stored as a disc that had failed, with status 202.
TEST_CASE("a disc that no entry can ever be kept for is not attached", "[control]") {
  Daemon daemon;
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  daemon.neighbours->refuse_address(*netlink::parse_ip6("fd00::1"));
  const Reply refused = daemon.put("b", plain);
  CHECK(refused.status == 422);
  CHECK(type_of(refused) == "urn:headstart:bad-disc");
  CHECK(refused.body["detail"] == "it cannot be there");
  CHECK(daemon.put("a", plain).status < 300);  // What is attached stays.
  CHECK(daemon.ask("GET", "/v1/discs").body["discs"].size() == 1);
}

TEST_CASE("a disc's order and grace time can be changed", "[control]") {
  Daemon daemon;
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  CHECK_FALSE(daemon.ask("GET", "/v1/discs/a").body.contains("waits_for"));
  const auto patch = [&](const std::string& name, const std::string& body) {
    return daemon.ask("PATCH", "/v1/discs/" + name, body);
  };
  const Reply held = patch("a", R"({"order": "hold", "grace_s": 7})");
  CHECK(held.status == 200);
  CHECK(held.body["order"] == "hold");
  CHECK(held.body["grace_s"] == 7);
  auto* const thread = daemon.threads[daemon.threads[0]->size() == 1 ? 0 : 1];
  thread->stats("a")->enter(stats::DiscState::held, iouring::Instant{1s});
  const json shown = daemon.ask("GET", "/v1/discs/a").body;
  CHECK(shown["state"] == "held");
  CHECK(shown["waits_for"] == "`headctl resume`");
  CHECK(shown["waits_s"] > 0);

  CHECK(patch("b", R"({"order": "hold"})").status == 404);
  for (const char* body : {"{}", "[]", R"({"order": "halt"})", R"({"grace_s": -1})",
                           R"({"uri": "nbd://[fd00::2]/a"})", R"({"order": "hold", "x": 1})"}) {
    CAPTURE(body);
    const Reply refused = patch("a", body);
    CHECK(refused.status == 422);
    CHECK(type_of(refused) == "urn:headstart:bad-disc");
  }
  CHECK(daemon.ask("GET", "/v1/discs/a").body["grace_s"] == 7);
}

// `headctl resume` of a disc that was held because it had shrunk said that it goes on.
TEST_CASE("a disc that its tail keeps from going on looks again, and is refused", "[control]") {
  Daemon daemon;
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  auto* const thread = daemon.threads[daemon.threads[0]->size() == 1 ? 0 : 1];
  const auto stats = thread->stats("a");
  stats->set_problem("it has shrunk");
  stats->enter(stats::DiscState::held, iouring::Instant{1s});
  const auto patch = [&](const std::string& body) {
    return daemon.ask("PATCH", "/v1/discs/a", body);
  };
  SECTION("where that does not help") {
    const Reply refused = patch(R"({"order": "serve"})");
    CHECK(refused.status == 409);
    CHECK(type_of(refused) == "urn:headstart:disc-held");
    CHECK(refused.body.value("detail", "").find("it has shrunk") != std::string::npos);
  }
  SECTION("where it does") {
    const std::jthread tail([&] {
      while (thread->relocated().empty()) std::this_thread::sleep_for(1ms);
      stats->enter(stats::DiscState::ready, iouring::Instant{2s});
      daemon.agent->bell().ring();
    });
    CHECK(patch(R"({"order": "serve"})").status == 200);
  }
  SECTION("as it is attached again") {
    CHECK(daemon.put("a", plain).status == 200);
  }
  CHECK(thread->relocated() == std::vector<std::string>{"a"});
}

TEST_CASE("a disc that is ready says what its guests believe, and cannot reach", "[control]") {
  Daemon daemon;
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  auto* const thread = daemon.threads[daemon.threads[0]->size() == 1 ? 0 : 1];
  const auto stats = thread->stats("a");
  json disc = daemon.ask("GET", "/v1/discs/a").body;
  CHECK(disc["guest_sizes"] == json::array());
  CHECK(!disc.contains("problem"));
  stats->set_guest_sizes(std::array<std::uint64_t, 2>{1024, 2048});
  stats->set_note("its last byte cannot be reached");
  disc = daemon.ask("GET", "/v1/discs/a").body;
  CHECK(disc["guest_sizes"] == json({1024, 2048}));
  CHECK(disc["problem"] == "its last byte cannot be reached");
}

TEST_CASE("a disc that is served looks at its tail when it is told to", "[control]") {
  Daemon daemon;
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  auto* const thread = daemon.threads[daemon.threads[0]->size() == 1 ? 0 : 1];
  CHECK(daemon.ask("PATCH", "/v1/discs/a", R"({"order": "serve"})").status == 200);
  CHECK(daemon.ask("PATCH", "/v1/discs/a", R"({"look": false})").status == 422);
  CHECK(thread->looked().empty());
  CHECK(daemon.ask("PATCH", "/v1/discs/a", R"({"look": true})").status == 200);
  CHECK(thread->looked() == std::vector<std::string>{"a"});
  CHECK(daemon.put("a", plain).status == 200);  // Attached again.
  CHECK(thread->looked() == std::vector<std::string>{"a", "a"});
  CHECK(thread->relocated().empty());
}

TEST_CASE("a slow attach is accepted and can be waited for", "[control]") {
  Daemon daemon;
  daemon.neighbours->at_once(false);
  const Reply accepted = daemon.put("a", plain);
  CHECK(accepted.status == 202);
  CHECK(accepted.body["state"] == "resolving");

  std::jthread later([&] {
    daemon.eventually([&] { return daemon.neighbours->kept() == 1; });
    daemon.neighbours->answer("a", test::binding(neigh::BindingState::held));
  });
  CHECK(daemon.ask("GET", "/v1/discs/a?wait=10").body["state"] == "ready");
}

TEST_CASE("a wait that takes too long tells how things stand", "[control]") {
  Daemon daemon;
  daemon.neighbours->at_once(false);
  CHECK(daemon.put("a", plain, "?wait=1").status == 202);
  CHECK(daemon.ask("GET", "/v1/discs/a").body["state"] == "resolving");
}

TEST_CASE("those who wait are answered when the server ends", "[control]") {
  Daemon daemon;
  daemon.neighbours->at_once(false);
  REQUIRE(daemon.put("a", plain).status == 202);
  const auto fd = daemon.connect();
  test::send_all(fd.fd(), "GET /v1/discs/a?wait=60 HTTP/1.1\r\n\r\n");
  // Served next: so the wait is under way, or about to be.
  REQUIRE(daemon.ask("GET", "/v1/status").status == 200);
  daemon.server.reset();
  const auto reply = test::read_reply(fd.fd());
  if (reply) CHECK(Reply(*reply).body["state"] == "resolving");
}

TEST_CASE("an import is accepted and its progress told", "[control]") {
  Daemon daemon;
  json discs = json::array();
  for (int i = 0; i < 50; ++i)
    discs.push_back({{"name", fmt::format("d{}", i)}, {"uri", "nbd://[fd00::1]/a"}});
  const Reply accepted = daemon.ask("POST", "/v1/import", json{{"discs", discs}}.dump());
  REQUIRE(accepted.status == 202);
  CHECK(accepted.body["total"] == 50);
  const Reply done =
      daemon.ask("GET", fmt::format("/v1/imports/{}?wait=10", accepted.body["id"].dump()));
  CHECK(done.body["settled"] == true);
  CHECK(done.body["by_state"]["ready"] == 50);
  CHECK(type_of(daemon.ask("GET", "/v1/imports/77")) == "urn:headstart:no-such-import");
  CHECK(type_of(daemon.ask("GET", "/v1/imports/x")) == "urn:headstart:no-such-import");

  discs.push_back({{"name", "bad"}, {"uri", "http://x"}});
  const Reply refused = daemon.ask("POST", "/v1/import", json{{"discs", discs}}.dump());
  CHECK(refused.status == 422);
  CHECK(refused.body["index"] == 50);
  CHECK(refused.body["detail"].get<std::string>().find("disc bad") == 0);

  const json fresh = {{"name", "e"}, {"uri", "nbd://[fd00::1]/e"}};
  json other = discs[7];
  other["read_only"] = true;
  for (const json& last : {fresh, other}) {
    const Reply reply = daemon.ask("POST", "/v1/import", json{{"discs", {fresh, last}}}.dump());
    CAPTURE(reply.raw);
    CHECK(reply.status >= 400);
    CHECK(reply.body["index"] == 1);
  }
}

TEST_CASE("an import may come in parts, and be checked before", "[control]") {
  Daemon daemon;
  const auto import = [&](std::string_view query, std::initializer_list<const char*> names) {
    json discs = json::array();
    for (const char* name : names) discs.push_back({{"name", name}, {"uri", "nbd://[fd00::1]/"}});
    return daemon.ask("POST", fmt::format("/v1/import{}", query), json{{"discs", discs}}.dump());
  };
  REQUIRE(daemon.put("a", {{"uri", "nbd://[fd00::1]/"}}, "?wait=10").status == 200);

  const Reply checked = import("?check=true", {"a", "b"});
  CHECK(checked.status == 200);
  CHECK(checked.body == json{{"total", 2}, {"unchanged", 1}});
  CHECK(import("?check=true", {"b", "b"}).body["index"] == 1);
  CHECK_FALSE(daemon.agent->disc("b"));

  const auto id = import("", {"a", "b"}).body["id"].get<std::uint64_t>();
  const auto part = fmt::format("?part_of={}", id);
  const Reply second = import(part, {"c", "d"});
  CHECK(second.status == 202);
  CHECK(second.body["id"] == id);
  CHECK(import(part, {"e", "e"}).status == 422);
  const Reply done = daemon.ask("GET", fmt::format("/v1/imports/{}?wait=10", id));
  CHECK(done.body["total"] == 4);
  CHECK(done.body["unchanged"] == 1);
  CHECK(done.body["by_state"]["ready"] == 3);
  CHECK(done.body["settled"] == true);
  CHECK(import("?check=false", {"f"}).status == 202);

  for (const char* none : {"?part_of=77", "?part_of=x", "?part_of=-1"})
    CHECK(type_of(import(none, {"e"})) == "urn:headstart:no-such-import");
  for (const char* unclear : {"?check", "?check=", "?check=1", "?check=True"}) {
    CAPTURE(unclear);
    const Reply reply = import(unclear, {"e"});
    CHECK(type_of(reply) == "urn:headstart:bad-request");
    CHECK(reply.body.value("detail", "").find("check is true or false") == 0);
  }
  CHECK_FALSE(daemon.agent->disc("e"));
}

// A misspelt ?check carried the import out, although it was only to be checked.
TEST_CASE("a query name that is not known is refused, and nothing is done", "[control]") {
  Daemon daemon;
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  const auto refused = [&](std::string_view method, std::string_view path, std::string_view name,
                           std::string_view known, const json& body = nullptr) {
    const Reply reply = daemon.ask(method, path, body.is_null() ? "" : body.dump());
    CAPTURE(reply.raw);
    CHECK(type_of(reply) == "urn:headstart:bad-request");
    CHECK(reply.status == 400);
    CHECK(reply.body.value("detail", "") ==
          fmt::format("the query has \"{}\", but {} takes {}; nothing was done", name,
                      path.substr(0, path.find('?')), known));
  };
  const json list = {{"discs", {{{"name", "b"}, {"uri", "nbd://[fd00::1]/"}}}}};
  refused("POST", "/v1/import?chek=true", "chek", "only part_of and check", list);
  refused("POST", "/v1/import?check=false&wait=1", "wait", "only part_of and check", list);
  refused("PUT", "/v1/discs/b?check=true", "check", "only wait", plain);
  refused("DELETE", "/v1/discs/a?wiat=1", "wiat", "only wait");
  refused("GET", "/v1/discs/a?wait=1&x", "x", "only wait");
  refused("GET", "/v1/imports/1?entries=false", "entries", "only wait");
  refused("GET", "/v1/neighbours?entry=false", "entry", "only entries and kernel");
  refused("GET", "/metrics?discs=a", "discs", "only disc");
  for (const char* path : {"/v1/status", "/v1/discs"})
    refused("GET", fmt::format("{}?wait=1", path), "wait", "none");
  refused("GET", "/v1/latency?wait=1", "wait", "only histogram");
  CHECK(daemon.agent->discs().size() == 1);
  CHECK(daemon.ask("GET", "/v1/discs/a").body["state"] == "ready");
  CHECK(daemon.ask("GET", "/v1/status?").status == 200);
}

TEST_CASE("every refusal has a type, a status and a sentence", "[control]") {
  Daemon daemon(2);
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  json other = plain;
  other["read_only"] = true;
  const std::string deep(100, '[');
  const auto check = [](const Reply& reply, int status, const char* type) {
    CAPTURE(reply.raw);
    CHECK(reply.status == status);
    CHECK(reply.body["status"] == status);
    CHECK(type_of(reply) == std::string("urn:headstart:") + type);
    CHECK_FALSE(reply.body.value("detail", "").empty());
    CHECK(reply.raw.find("application/problem+json") != std::string::npos);
  };
  check(daemon.put("a", other), 409, "disc-exists");
  check(daemon.put("b", {{"uri", "nbd://nowhere"}}), 422, "bad-disc");
  check(daemon.put("b", {{"uri", "nbd://[fd00::1]"}, {"name", "c"}}), 422, "bad-disc");
  check(daemon.put("b", json::array()), 422, "bad-disc");
  check(daemon.put(".b", plain), 422, "bad-disc");
  check(daemon.ask("PUT", "/v1/discs/b", "{"), 400, "bad-json");
  check(daemon.ask("PUT", "/v1/discs/b", "\"\xff\xfe\""), 400, "bad-json");
  check(daemon.ask("PUT", "/v1/discs/b", deep), 400, "bad-json");
  check(daemon.ask("POST", "/v1/import", "{}"), 400, "bad-json");
  check(daemon.ask("GET", "/v1/discs/b"), 404, "no-such-disc");
  check(daemon.ask("GET", "/v1/latency/b"), 404, "no-such-disc");
  check(daemon.ask("DELETE", "/v1/discs/b"), 404, "no-such-disc");
  check(daemon.ask("GET", "/v1/discs/%ff%fe"), 404, "no-such-disc");
  check(daemon.ask("GET", "/index.html"), 404, "no-such-route");
  check(daemon.ask("PUT", "/", "{}"), 405, "method-not-allowed");
  check(daemon.ask("GET", "/v1/discs/"), 404, "no-such-route");
  check(daemon.ask("GET", "/" + std::string(2000, 'a')), 404, "no-such-route");
  check(daemon.ask("DELETE", "/v1/status"), 405, "method-not-allowed");
  check(daemon.ask("POST", "/v1/discs/a", "{}"), 405, "method-not-allowed");
  check(daemon.ask("GET", "/v1/import"), 405, "method-not-allowed");
  REQUIRE(daemon.put("b", plain, "?wait=10").status == 200);
  check(daemon.put("c", plain), 507, "too-many-discs");
  daemon.neighbours->fail_with(EMFILE);
  check(daemon.ask("GET", "/v1/neighbours"), 503, "unavailable");
}

TEST_CASE("latency is told in seconds, for all and for one", "[control]") {
  Daemon daemon;
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  auto* const thread = daemon.threads[daemon.threads[0]->size() == 1 ? 0 : 1];
  thread->stats("a")->record(stats::Operation::read, 4096, 0, {.whole = 1ms});
  thread->stats("a")->record_stall(stats::Cause::neighbour, 1500ms);
  thread->stats("a")->record_slow_opening(stats::Cause::tail, 2500ms);
  thread->stats("a")->interface_back_at_ns = 2'000'000'000;
  thread->stats("a")->record_parked(stats::Instant(1s), 250ms);
  for (const char* path : {"/v1/latency", "/v1/latency/a"}) {
    const json body = daemon.ask("GET", path).body;
    CHECK(body["operations"]["read"]["p99_s"].get<double>() == Approx(0.001).epsilon(0.03));
    CHECK(body["operations"]["read"]["bytes"] == 4096);
    CHECK(body["operations"]["read"]["head_p50_s"].get<double>() == Approx(0.001).epsilon(0.03));
    CHECK(body["operations"]["read"]["head_mean_s"] == body["operations"]["read"]["mean_s"]);
    CHECK(body["operations"]["read"]["wire_p50_s"] == 0.0);
    CHECK(body["operations"]["read"]["tail_p99_s"] == 0.0);
    CHECK_FALSE(body["operations"].contains("write"));
    CHECK(body["stalls"]["neighbour"] == 1);
    CHECK(body["stall_seconds"]["neighbour"].get<double>() == Approx(1.5));
    CHECK(body["slow_openings"]["tail"] == 1);
    CHECK(body["slow_opening_seconds"]["tail"].get<double>() == Approx(2.5));
    CHECK(body["interface_waits"] == 1);
    CHECK(body["interface_wait_seconds"].get<double>() == Approx(0.25));
  }
  const json read = daemon.ask("GET", "/v1/discs/a").body["operations"]["read"];
  CHECK(read["requests"] == 1);
  CHECK(read["seconds"].get<double>() == Approx(0.001));
}

TEST_CASE("a histogram's buckets are told where they are asked for", "[control]") {
  Daemon daemon;
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  auto* const thread = daemon.threads[daemon.threads[0]->size() == 1 ? 0 : 1];
  for (const auto whole : {1ms, 1ms, 30ms})
    thread->stats("a")->record(stats::Operation::write, 4096, 0, {.whole = whole});
  for (const char* path : {"/v1/latency", "/v1/latency/a"}) {
    const json buckets = daemon.ask("GET", fmt::format("{}?histogram=true", path))
                             .body["operations"]["write"]["buckets"];
    REQUIRE(buckets.size() == 2);
    CHECK(buckets[0][0].get<double>() == Approx(0.001).epsilon(0.03));
    CHECK(buckets[0][1] == 2);
    CHECK(buckets[1][0].get<double>() == Approx(0.03).epsilon(0.03));
    CHECK(buckets[1][1] == 1);
    for (const char* query : {"", "?histogram=false"})
      CHECK_FALSE(daemon.ask("GET", fmt::format("{}{}", path, query))
                      .body["operations"]["write"]
                      .contains("buckets"));
  }
  CHECK(daemon.ask("GET", "/v1/latency?histogram=yes").status == 400);
}

TEST_CASE("stalls are told with their causes, and who waits still", "[control]") {
  Daemon daemon;
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  REQUIRE(daemon.put("b", plain, "?wait=10").status == 200);
  for (std::int64_t i = 0; i < 4; ++i) {
    stats::Stall stall{.ended_ns = 1'000'000'000 * (i + 1),
                       .offset = 8192,
                       .whole_ns = 250'000'000,
                       .away_ns = 200'000'000,
                       .wire_ns = 10'000'000,
                       .length = 4096,
                       .operation = stats::Operation::write,
                       .cause = stats::Cause::network};
    stall.set_disc(i == 3 ? "b" : "a");
    daemon.threads[static_cast<std::size_t>(i) % 2]->stalls().record(stall);
  }
  json body = daemon.ask("GET", "/v1/stalls").body;
  REQUIRE(body["stalls"].size() == 4);
  CHECK(body["recorded"] == 4);
  CHECK(body["waiting"].empty());
  CHECK(body["stalls"][0]["ended"] == 4.0);
  CHECK(body["stalls"][0]["disc"] == "b");
  CHECK(body["stalls"][0]["cause"] == "network");
  CHECK(body["stalls"][0]["operation"] == "write");
  CHECK(body["stalls"][0]["seconds"].get<double>() == Approx(0.25));
  CHECK(body["stalls"][0]["head_s"].get<double>() == Approx(0.05));
  CHECK(body["stalls"][0]["wire_s"].get<double>() == Approx(0.01));
  CHECK(body["stalls"][0]["tail_s"].get<double>() == Approx(0.19));
  CHECK_FALSE(body["stalls"][0].contains("errno"));

  CHECK(daemon.ask("GET", "/v1/stalls?disc=a").body["stalls"].size() == 3);
  body = daemon.ask("GET", "/v1/stalls?disc=a&limit=1").body;
  REQUIRE(body["stalls"].size() == 1);
  CHECK(body["stalls"][0]["ended"] == 3.0);
  CHECK(daemon.ask("GET", "/v1/stalls?disc=gone").body["stalls"].empty());
  CHECK(daemon.ask("GET", "/v1/stalls?limit=all").status == 400);

  auto* const thread = daemon.threads[daemon.threads[0]->size() == 1 ? 0 : 1];
  const auto ago = std::chrono::steady_clock::now() - 2s;
  thread->stats("a")->waiting_since_ns = std::chrono::nanoseconds(ago.time_since_epoch()).count();
  body = daemon.ask("GET", "/v1/stalls").body;
  REQUIRE(body["waiting"].size() == 1);
  CHECK(body["waiting_total"] == 1);
  CHECK(body["waiting"][0]["disc"] == "a");
  CHECK(body["waiting"][0]["seconds"].get<double>() >= 2);
}

TEST_CASE("every type of problem is documented", "[control]") {
  std::ifstream file(std::filesystem::path(HEAD_SOURCE_DIR) / "head/control/API.md");
  std::ostringstream text;
  text << file.rdbuf();
  REQUIRE_FALSE(text.str().empty());
  for (auto kind = control::Problem::bad_request;;
       kind = static_cast<control::Problem>(static_cast<int>(kind) + 1)) {
    const auto type = json::parse(control::problem(kind, "").body)["type"].get<std::string>();
    CAPTURE(type);
    CHECK(text.str().find(fmt::format("| `{}` | {}", type, control::http_status(kind))) !=
          std::string::npos);
    if (kind == control::Problem::unavailable) break;
  }
}

TEST_CASE("the metrics add up the discs of a grade and tail, and show those apart that are named",
          "[control]") {
  Daemon daemon;
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  REQUIRE(daemon.put("b", {{"uri", "nbd://[fd00::1]/b"}}, "?wait=10").status == 200);
  REQUIRE(daemon.put("c", {{"uri", "nbd://[fd00::1]/c"}, {"grade", "gold"}}, "?wait=10").status ==
          200);
  CHECK(daemon.ask("GET", "/v1/discs/c").body["grade"] == "gold");
  const Reply all = daemon.ask("GET", "/metrics");
  CHECK(all.status == 200);
  CHECK_THAT(all.raw, Catch::Contains("head_tail_discs{grade=\"standard\","
                                      "tail=\"52:54:00:00:00:01\"} 2"));
  CHECK_THAT(all.raw, Catch::Contains("head_tail_discs{grade=\"gold\","
                                      "tail=\"52:54:00:00:00:01\"} 1"));
  CHECK_THAT(all.raw, Catch::Contains("head_discs{state=\"ready\"} 3"));
  CHECK_THAT(all.raw, !Catch::Contains("disc=\"a\""));
  const Reply one = daemon.ask("GET", "/metrics?disc=a&disc=nobody");
  CHECK_THAT(one.raw, Catch::Contains("head_disc_in_flight{disc=\"a\"} 0"));
  CHECK_THAT(one.raw, !Catch::Contains("nobody"));
  CHECK(type_of(daemon.ask("DELETE", "/metrics")) == "urn:headstart:method-not-allowed");
}

TEST_CASE("the entries of the neighbour table are JSON, whatever is in them", "[control][neigh]") {
  head::neigh::Snapshot snapshot;
  for (unsigned i = 0; i < 64; ++i) {
    const auto flag = [&](unsigned bit) { return (i >> bit & 1) != 0; };
    const netlink::Mac lladdr{2, 0, 0, 0, 0, static_cast<std::uint8_t>(i)};
    head::neigh::EntryStatus entry;
    entry.kernel.key = {.ifindex = flag(0) ? 1 : 4711,
                        .address = {0xfd, static_cast<std::uint8_t>(i)}};
    entry.kernel.state = flag(1) ? netlink::nud::stale : netlink::nud::none;
    entry.kernel.protocol = flag(2) ? netlink::our_protocol : 0;
    entry.kernel.confirmed_ms = i * 1000;
    entry.kernel.used_ms = i * 10;
    entry.kernel.updated_ms = UINT32_MAX - i;
    entry.binding.generation = i * 1'000'000'007ull * 1'000'000'007ull;
    if (flag(3)) entry.kernel.lladdr = entry.binding.lladdr = lladdr;
    if (flag(4)) entry.told = entry.claimed = lladdr;
    entry.pinned = flag(5);
    entry.discs = {"plain", "q\"\\\n", "ü", "\xff"};
    entry.discs.resize(i % 5);
    snapshot.entries.push_back(std::move(entry));
  }
  const json entries = json::parse(head::control::to_body(snapshot))["entries"];
  REQUIRE(entries.size() == 64);
  for (unsigned i = 0; i < 64; ++i) {
    const auto& made = snapshot.entries[i];
    const json& entry = entries[i];
    CAPTURE(i, entry);
    CHECK(entry["address"] == netlink::to_string(made.kernel.key.address));
    CHECK(entry["dev"] == (made.kernel.key.ifindex == 1 ? "lo" : "4711"));
    CHECK(entry["state"] == (made.kernel.state == netlink::nud::stale ? "STALE" : "ABSENT"));
    CHECK(entry["marks"] == netlink::marks(made.kernel));
    CHECK(entry["owner"] == netlink::owner_name(made.kernel));
    CHECK(entry["confirmed_s"].get<double>() == made.kernel.confirmed_ms / 1e3);
    CHECK(entry["used_s"].get<double>() == made.kernel.used_ms / 1e3);
    CHECK(entry["updated_s"].get<double>() == made.kernel.updated_ms / 1e3);
    CHECK(entry["generation"] == made.binding.generation);
    CHECK(entry["pinned"] == made.pinned);
    for (const char* name : {"lladdr", "binding"})
      CHECK(entry.value(name, "") ==
            (made.kernel.lladdr ? netlink::to_string(*made.kernel.lladdr) : ""));
    for (const char* name : {"told", "claimed"})
      CHECK(entry.value(name, "") == (made.told ? netlink::to_string(*made.told) : ""));
    const std::vector<std::string> discs{"plain", "q\"\\\n", "ü", "\uFFFD"};
    CHECK(entry["discs"] == json(std::vector(discs.begin(), discs.begin() + i % 5)));
  }
}
