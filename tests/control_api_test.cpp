// The real server on a real Unix socket, over an agent with a fake keeper and fake data threads.
#include "control_fakes.hpp"
#include "head/control/api_server.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <optional>
#include <poll.h>
#include <sstream>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

using namespace head;
using nlohmann::json;
using test::Head;
using namespace std::chrono_literals;

namespace {

struct Reply {
  int status = 0;
  json body;
  std::string raw;
};

iouring::UniqueFd connect_to(const std::filesystem::path& path) {
  iouring::UniqueFd fd(iouring::adopt, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::connect(fd.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // The server has heard enough.
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

// Reads one answer, by its Content-Length; empty when the server closed without one.
std::optional<Reply> read_reply(int fd) {
  Reply reply;
  char piece[4096];
  std::size_t whole = std::string::npos;
  std::size_t header = std::string::npos;
  while (reply.raw.size() < whole) {
    pollfd ready{fd, POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 20'000) == 1);
    const ssize_t got = ::recv(fd, piece, sizeof piece, 0);
    if (got <= 0) break;
    reply.raw.append(piece, static_cast<std::size_t>(got));
    if (header != std::string::npos) continue;
    header = reply.raw.find("\r\n\r\n");
    if (header == std::string::npos) continue;
    const std::size_t at = reply.raw.find("Content-Length: ");
    REQUIRE(at < header);
    whole = header + 4 + std::stoul(reply.raw.substr(at + 16));
  }
  if (reply.raw.size() < whole) return std::nullopt;
  reply.status = std::stoi(reply.raw.substr(9));
  reply.body = json::parse(reply.raw.substr(header + 4), nullptr, false);
  return reply;
}

struct Daemon : Head {
  explicit Daemon(std::size_t most_discs = 100) : Head(2, most_discs) { serve(); }
  void serve() {
    server = std::make_unique<control::ApiServer>(
        *agent, control::Api::Options{.run_dir = folder.path, .version = "test"},
        iouring::UnixAccess{.mode = 0600});
  }

  // Sends these bytes, whatever they are.
  Reply raw(std::string_view bytes) const {
    const auto fd = connect_to(server->path());
    send_all(fd.fd(), bytes);
    auto reply = read_reply(fd.fd());
    REQUIRE(reply);
    return *reply;
  }
  Reply ask(std::string_view method, std::string_view path, std::string_view body = "") const {
    return raw(fmt::format("{} {} HTTP/1.1\r\nHost: head\r\nContent-Length: {}\r\n\r\n{}", method,
                           path, body.size(), body));
  }
  Reply put(const std::string& name, const json& body, std::string_view query = "") const {
    return ask("PUT", fmt::format("/v1/discs/{}{}", name, query), body.dump());
  }

  std::unique_ptr<control::ApiServer> server;
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

  const Reply detached = daemon.ask("DELETE", "/v1/discs/a?wait=10");
  CHECK(detached.status == 200);
  CHECK(detached.body["state"] == "gone");
  CHECK(daemon.ask("GET", "/v1/discs").body["discs"].empty());
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
  const auto fd = connect_to(daemon.server->path());
  send_all(fd.fd(), "GET /v1/discs/a?wait=60 HTTP/1.1\r\n\r\n");
  // Served next: so the wait is under way, or about to be.
  REQUIRE(daemon.ask("GET", "/v1/status").status == 200);
  daemon.server.reset();
  const auto reply = read_reply(fd.fd());
  if (reply) CHECK(reply->body["state"] == "resolving");
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
  refused("GET", "/v1/neighbours?entry=false", "entry", "only entries");
  refused("GET", "/metrics?discs=a", "discs", "only disc");
  for (const char* path : {"/v1/status", "/v1/discs", "/v1/latency", "/v1/latency/a"})
    refused("GET", fmt::format("{}?wait=1", path), "wait", "none");
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
  check(daemon.ask("GET", "/"), 404, "no-such-route");
  check(daemon.ask("GET", "/v1/discs/"), 404, "no-such-route");
  check(daemon.ask("GET", "/" + std::string(2000, 'a')), 404, "no-such-route");
  check(daemon.ask("DELETE", "/v1/status"), 405, "method-not-allowed");
  check(daemon.ask("PATCH", "/v1/discs/a", "{}"), 405, "method-not-allowed");
  check(daemon.ask("GET", "/v1/import"), 405, "method-not-allowed");
  REQUIRE(daemon.put("b", plain, "?wait=10").status == 200);
  check(daemon.put("c", plain), 507, "too-many-discs");
  daemon.neighbours->fail_with(EMFILE);
  check(daemon.ask("GET", "/v1/neighbours"), 503, "unavailable");
}

namespace {

constexpr std::string_view listing = "GET /v1/discs HTTP/1.1\r\n\r\n";

// Whether it was answered; nothing when the connection was closed instead.
bool asks(const iouring::UniqueFd& fd) {
  send_all(fd.fd(), listing);
  const auto reply = read_reply(fd.fd());
  return reply && reply->status == 200;
}

bool was_closed(const iouring::UniqueFd& fd) {
  pollfd ready{fd.fd(), POLLIN, 0};
  char byte = 0;
  return ::poll(&ready, 1, 0) == 1 && ::recv(fd.fd(), &byte, 1, MSG_DONTWAIT) <= 0;
}

}  // namespace

TEST_CASE("a silent client makes way at once", "[control]") {
  Daemon daemon;
  const bool asked = GENERATE(false, true);  // Idle between requests, or silent from the beginning.
  std::vector<iouring::UniqueFd> clients;
  for (unsigned i = 0; i < control::api_threads; ++i) {
    clients.push_back(connect_to(daemon.server->path()));
    if (asked) REQUIRE(asks(clients.back()));
  }
  const auto began = std::chrono::steady_clock::now();
  const auto late = connect_to(daemon.server->path());
  CHECK(asks(late));
  CHECK(std::chrono::steady_clock::now() - began < 3s);  // Silence ends after 5 s by itself.
  const auto closed = std::count_if(clients.begin(), clients.end(),
                                    [](const auto& client) { return was_closed(client); });
  CHECK(closed == 1);
}

// One that made way was still waited for, so that it could finish sending: 5 s for each newcomer.
TEST_CASE("clients that stall within a request make way after a second", "[control]") {
  Daemon daemon;
  std::vector<iouring::UniqueFd> clients;
  for (unsigned i = 0; i < control::api_threads; ++i) {
    clients.push_back(connect_to(daemon.server->path()));
    send_all(clients.back().fd(), i % 2 == 0 ? "GET /v1/discs HT" : "GET /v1/discs HTTP/1.1\r\nA");
  }
  const auto began = std::chrono::steady_clock::now();
  const auto first = connect_to(daemon.server->path());
  CHECK(asks(first));
  // Kept open: the next one needs a thread of its own, or this one's.
  CHECK(asks(connect_to(daemon.server->path())));
  CHECK(std::chrono::steady_clock::now() - began < 3s);
}

TEST_CASE("a client that is answered while another waits is told to end", "[control]") {
  Daemon daemon;
  daemon.neighbours->at_once(false);
  REQUIRE(daemon.put("a", plain).status == 202);
  // All threads are busy for others: waiting with answers, or for a disk.
  const unsigned writers = control::api_threads - control::api_waiters_max;
  daemon.store->fail_when(writers + 1);
  std::vector<iouring::UniqueFd> clients;
  const std::string body = plain.dump();
  for (unsigned i = 0; i < control::api_threads; ++i) {
    clients.push_back(connect_to(daemon.server->path()));
    const auto request =
        i < writers ? fmt::format("PUT /v1/discs/d{} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{}", i,
                                  body.size(), body)
                    : std::string("GET /v1/discs/a?wait=60 HTTP/1.1\r\n\r\n");
    send_all(clients.back().fd(), request);
  }
  const auto late = connect_to(daemon.server->path());
  daemon.neighbours->answer("a", test::binding(neigh::BindingState::held));
  unsigned ended = 0;
  for (unsigned i = writers; i < control::api_threads; ++i) {
    const auto reply = read_reply(clients[i].fd());
    REQUIRE(reply);
    CHECK(reply->status == 200);
    if (reply->raw.find("Connection: close") != std::string::npos) ++ended;
  }
  CHECK(ended >= 1);
  CHECK(asks(late));
  daemon.store->count_one();
}

TEST_CASE("requests that are no requests are refused, and the server goes on", "[control]") {
  Daemon daemon;
  const auto refused = [&](const std::string& bytes, int status) {
    CAPTURE(bytes.substr(0, 100));
    CHECK(daemon.raw(bytes).status == status);
  };
  refused("\r\n\r\n", 400);
  refused("hello\r\n\r\n", 400);
  refused("GET /v1/status\r\n\r\n", 400);
  refused("GET /v1/status HTTP/1.1\r\n" + std::string(100'000, 'a'), 400);
  std::string headers;
  for (int i = 0; i < 10'000; ++i) headers += "a: b\r\n";
  refused("GET /v1/status HTTP/1.1\r\n" + headers + "\r\n", 400);
  refused("GET /" + std::string(9'000, 'a') + " HTTP/1.1\r\n\r\n", 400);
  refused("GET /v1/status HTTP/1.1\r\nRange: bytes=" + std::string(8'000, '1') + "\r\n\r\n", 400);
  refused("PUT /v1/discs/a HTTP/1.1\r\n\r\n", 411);
  refused("PUT /v1/discs/a HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 411);
  refused("PUT /v1/discs/a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 411);
  refused("PUT /v1/discs/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n\r\n", 411);
  refused("GET /v1/status HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411);
  refused("PUT /v1/discs/a HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", 415);
  refused("GET /v1/status HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 400);
  refused("PUT /v1/discs/a HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n{", 413);
  refused("PUT /v1/discs/a HTTP/1.1\r\nContent-Length: 70000\r\n\r\n" + std::string(70'000, ' '),
          413);
  CHECK(daemon.ask("GET", "/v1/status").status == 200);
}

TEST_CASE("a body is JSON, whatever it is called", "[control]") {
  Daemon daemon;
  const std::string body = plain.dump();
  for (const char* type :
       {"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"})
    CHECK(daemon
              .raw(fmt::format("PUT /v1/discs/a?wait=10 HTTP/1.1\r\nContent-Type: {}\r\n"
                               "Content-Length: {}\r\n\r\n{}",
                               type, body.size(), body))
              .status == 200);
}

TEST_CASE("many requests use one connection, also when they come all at once", "[control]") {
  Daemon daemon;
  const auto fd = connect_to(daemon.server->path());
  std::string requests;
  for (int i = 0; i < 20; ++i) requests += "GET /v1/discs/none HTTP/1.1\r\nHost: head\r\n\r\n";
  send_all(fd.fd(), requests + "DELETE /v1/discs/none HTTP/1.1\r\nHost: head\r\n\r\n");
  std::string answers;
  char piece[4096];
  std::size_t count = 0;
  while (count < 21) {
    const ssize_t got = ::recv(fd.fd(), piece, sizeof piece, 0);
    REQUIRE(got > 0);
    answers.append(piece, static_cast<std::size_t>(got));
    count = 0;
    for (std::size_t at = 0; (at = answers.find("HTTP/1.1 404", at)) != std::string::npos; ++at)
      ++count;
  }
  CHECK(count == 21);
}

TEST_CASE("latency is told in seconds, for all and for one", "[control]") {
  Daemon daemon;
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  auto* const thread = daemon.threads[daemon.threads[0]->size() == 1 ? 0 : 1];
  thread->stats("a")->record(stats::Operation::read, 4096, 0, {.whole = 1ms});
  thread->stats("a")->record_stall(stats::Cause::neighbour, 1500ms);
  for (const char* path : {"/v1/latency", "/v1/latency/a"}) {
    const json body = daemon.ask("GET", path).body;
    CHECK(body["operations"]["read"]["p99_s"].get<double>() == Approx(0.001).epsilon(0.03));
    CHECK(body["operations"]["read"]["bytes"] == 4096);
    CHECK(body["operations"]["read"]["head_p50_s"].get<double>() == Approx(0.001).epsilon(0.03));
    CHECK(body["operations"]["read"]["away_p50_s"] == 0.0);
    CHECK_FALSE(body["operations"].contains("write"));
    CHECK(body["stalls"]["neighbour"] == 1);
    CHECK(body["stall_seconds"]["neighbour"].get<double>() == Approx(1.5));
  }
  CHECK(daemon.ask("GET", "/v1/discs/a").body["operations"]["read"]["requests"] == 1);
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

TEST_CASE("the metrics add up the discs of a tail, and show those apart that are named",
          "[control]") {
  Daemon daemon;
  REQUIRE(daemon.put("a", plain, "?wait=10").status == 200);
  REQUIRE(daemon.put("b", {{"uri", "nbd://[fd00::1]/b"}}, "?wait=10").status == 200);
  const Reply all = daemon.ask("GET", "/metrics");
  CHECK(all.status == 200);
  CHECK_THAT(all.raw, Catch::Contains("head_tail_discs{tail=\"52:54:00:00:00:01\"} 2"));
  CHECK_THAT(all.raw, Catch::Contains("head_discs{state=\"ready\"} 2"));
  CHECK_THAT(all.raw, !Catch::Contains("disc=\"a\""));
  const Reply one = daemon.ask("GET", "/metrics?disc=a&disc=nobody");
  CHECK_THAT(one.raw, Catch::Contains("head_disc_in_flight{disc=\"a\"} 0"));
  CHECK_THAT(one.raw, !Catch::Contains("nobody"));
  CHECK(type_of(daemon.ask("DELETE", "/metrics")) == "urn:headstart:method-not-allowed");
}
