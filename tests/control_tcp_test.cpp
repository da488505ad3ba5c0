// The API on TCP: what reads, for those who name this machine by an address; and that its clients
// are nobody's burden on the Unix socket.
#include "head/control/listen_address.hpp"
#include "tests/control_daemon.hpp"

#include <nlohmann/json.hpp>

#include <arpa/inet.h>
#include <chrono>
#include <netinet/in.h>
#include <string>
#include <vector>

using namespace head;
using nlohmann::json;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using control::ListenAddress;
using test::Heard;

namespace {

ListenAddress loopback() {
  ListenAddress address = *control::parse_listen_address("[::1]:1");
  address.port = 0;
  return address;
}

struct Daemon : test::Daemon {
  Daemon() {
    server.reset();
    server = serve(folder.path, loopback());
    REQUIRE(server->tcp());
  }
  std::unique_ptr<control::ApiServer> serve(const std::filesystem::path& run_dir,
                                            const ListenAddress& tcp) const {
    return std::make_unique<control::ApiServer>(
        *agent, control::Api::Options{.run_dir = run_dir, .version = "test"},
        iouring::UnixAccess{.mode = 0600}, tcp);
  }
  iouring::UniqueFd dial() const {
    iouring::UniqueFd fd(iouring::adopt, ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(server->tcp()->port);
    REQUIRE(::connect(fd.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return fd;
  }
  Heard say(std::string_view bytes) const { return raw(dial(), bytes); }
  Heard get(std::string_view path, std::string_view host = "localhost") const {
    return say(fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", path, host));
  }
};

std::string type_of(const Heard& heard) {
  return json::parse(heard.text).value("type", "");
}

}  // namespace

TEST_CASE("a host is plain when nobody can make it lead elsewhere", "[control]") {
  for (const char* host : {"localhost", "LocalHost:9847", "127.0.0.1", "127.0.0.1:9847", "[::1]",
                           "[::1]:9847", "10.1.2.3", "[2001:db8::1]:80"}) {
    CAPTURE(host);
    CHECK(control::is_plain_host(host));
  }
  for (const char* host :
       {"", "evil.example", "evil.example:9847", "localhost.evil.example", "127.0.0.1.evil.example",
        "[localhost]", "::1", "[::1", "[::1]x", "localhost:", "localhost:0", "localhost:1:2",
        "127.1", "0x7f.0.0.1", "2130706433", "[127.0.0.1]", "localhost ", "a@localhost"}) {
    CAPTURE(host);
    CHECK_FALSE(control::is_plain_host(host));
  }
  CHECK_FALSE(control::is_plain_host(std::string_view("127.0.0.1\0.example", 18)));
}

TEST_CASE("what reads is answered on TCP", "[control]") {
  const Daemon daemon;
  REQUIRE(daemon.ask("PUT", "/v1/discs/a?wait=10", R"({"uri": "nbd://[fd00::1]/a"})").status ==
          200);
  CHECK_THAT(daemon.get("/metrics").text, Contains("head_discs{state=\"ready\"} 1"));
  CHECK(json::parse(daemon.get("/v1/discs/a", "[::1]:9847").text)["state"] == "ready");
  CHECK(json::parse(daemon.get("/v1/status", "127.0.0.1").text)["problems"] == json::array());
  for (const char* path : {"/v1/discs", "/v1/neighbours", "/v1/latency", "/v1/stalls"})
    CHECK(daemon.get(path).status == 200);
  CHECK(daemon.get("/v1/nothing").status == 404);
  CHECK(type_of(daemon.get("/v1/status?wait=1")) == "");
}

TEST_CASE("nothing is changed on TCP", "[control]") {
  const Daemon daemon;
  const std::string head = "Host: localhost\r\nContent-Length: 9999999\r\n\r\n";
  for (const char* asked : {"PUT /v1/discs/a", "POST /v1/import", "DELETE /v1/discs/a",
                            "PATCH /v1/discs/a", "OPTIONS /v1/discs", "POST /metrics"}) {
    CAPTURE(asked);
    // Its body is not waited for.
    const Heard heard = daemon.say(fmt::format("{} HTTP/1.1\r\n{}", asked, head));
    CHECK(heard.status == 405);
    CHECK(type_of(heard) == "urn:headstart:method-not-allowed");
    CHECK_THAT(heard.raw, Contains("Connection: close"));
  }
  CHECK(daemon.agent->discs().empty());
}

TEST_CASE("pages of other sites learn nothing on TCP", "[control]") {
  const Daemon daemon;
  for (const char* path : {"/", "/metrics", "/v1/status", "/v1/discs/nobody", "/nothing"}) {
    CAPTURE(path);
    const Heard heard = daemon.say(fmt::format(
        "GET {} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", path));
    CHECK_THAT(heard.raw, !Contains("Access-Control"));
    CHECK_THAT(heard.raw, Contains("Cross-Origin-Resource-Policy: same-origin"));
    CHECK_THAT(heard.raw, Contains("X-Content-Type-Options: nosniff"));
    const Heard rebound = daemon.get(path, "evil.example:9847");
    CHECK(rebound.status == 421);
    CHECK_THAT(rebound.raw, Contains("421 Misdirected Request"));
    CHECK(type_of(rebound) == "urn:headstart:wrong-host");
    CHECK_THAT(rebound.text, Contains("localhost"));
  }
  CHECK(daemon.say("GET /metrics HTTP/1.1\r\n\r\n").status == 421);
  CHECK(
      daemon.say("GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n").status ==
      421);
}

TEST_CASE("the status page runs nothing but its own script, and no other page frames it",
          "[control]") {
  const Daemon daemon;
  const Heard page = daemon.get("/");
  CHECK(page.status == 200);
  CHECK_THAT(page.raw, Contains("Content-Type: text/html; charset=utf-8"));
  const auto at = page.raw.find("script-src 'nonce-");
  REQUIRE(at != std::string::npos);
  const std::string nonce = page.raw.substr(at + 18, 32);
  CHECK(nonce.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK_THAT(page.raw, Contains("default-src 'none'; ") && Contains("frame-ancestors 'none'"));
  CHECK_THAT(page.raw, !Contains("unsafe"));
  CHECK_THAT(page.text, Contains("<script nonce=\"" + nonce + "\">") &&
                            Contains("<style nonce=\"" + nonce + "\">"));
  for (const char* place : {"@NONCE@", "@SCRIPT@", "http://", "https://", " style=", " onclick="}) {
    CAPTURE(place);
    CHECK_THAT(page.text, !Contains(std::string(place)));
  }
  CHECK_THAT(daemon.get("/").text, !Contains(nonce));
}

TEST_CASE("nobody waits on TCP", "[control]") {
  const Daemon daemon;
  daemon.neighbours->at_once(false);
  REQUIRE(daemon.ask("PUT", "/v1/discs/a", R"({"uri": "nbd://[fd00::1]/a"})").status == 202);
  const auto began = std::chrono::steady_clock::now();
  CHECK(json::parse(daemon.get("/v1/discs/a?wait=30").text)["state"] == "resolving");
  CHECK(std::chrono::steady_clock::now() - began < 15s);
}

TEST_CASE("slow clients on TCP do not keep those of the Unix socket waiting", "[control]") {
  const Daemon daemon;
  std::vector<iouring::UniqueFd> slow;
  for (int i = 0; i < 40; ++i) {
    slow.push_back(daemon.dial());
    test::send_all(slow.back().fd(), "GET /metrics HT");
  }
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) CHECK(daemon.ask("GET", "/v1/status").status == 200);
  CHECK(std::chrono::steady_clock::now() - began < 900ms);  // Without anybody making way.
}

TEST_CASE("a second scraper is served though the first ones are silent", "[control]") {
  const Daemon daemon;
  std::vector<iouring::UniqueFd> silent;
  for (int i = 0; i < 4; ++i) silent.push_back(daemon.dial());
  CHECK(daemon.get("/metrics").status == 200);
}

TEST_CASE("an address that is taken is told of, and the rest is served", "[control]") {
  const Daemon daemon;
  const test::Folder folder;
  const auto second = daemon.serve(folder.path, *daemon.server->tcp());
  CHECK_FALSE(second->tcp());
  // It is served, but not on TCP.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  second->path().native().copy(address.sun_path, sizeof address.sun_path - 1);
  const iouring::UniqueFd fd(iouring::adopt, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(fd.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const json status =
      json::parse(test::Daemon::raw(fd, "GET /v1/status HTTP/1.1\r\nHost: h\r\n\r\n").text);
  REQUIRE(status["problems"].size() == 1);
  const auto problem = status["problems"][0].get<std::string>();
  CHECK_THAT(problem, Contains(to_string(*daemon.server->tcp())) && Contains("[metrics] listen"));
}
