// The real headctl against the real API server over an agent with fakes.
#include "tests/control_daemon.hpp"
#include "tests/shell.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <poll.h>
#include <sys/socket.h>
#include <thread>

using namespace head;
using nlohmann::json;
using test::Outcome;
using namespace std::chrono_literals;

namespace {

struct Daemon : test::Daemon {
  explicit Daemon(std::size_t most_discs = 1000) : test::Daemon(most_discs) {}

  // As a shell would; the arguments of these tests need no quoting but what they bring.
  Outcome headctl(const std::string& arguments) const {
    return test::shell(
        fmt::format("{} --api {} {}", HEADCTL, (folder.path / "api.sock").native(), arguments));
  }

  std::string file(const std::string& name, std::string_view text) const {
    std::ofstream(folder.path / name) << text;
    return folder.path / name;
  }
};

std::string many_lines(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i)
    lines += fmt::format("disc{} nbd://[fd00::1]/a-long-name-of-an-export-{:0200}\n", i, i);
  return lines;
}

}  // namespace

TEST_CASE("headctl attaches, shows and detaches", "[headctl]") {
  Daemon daemon;
  const Outcome attached = daemon.headctl(
      "attach web1 nbd://[fd00::1]/web1 --lladdr 52:54:00:12:34:56 --grade gold "
      "--wait");
  CAPTURE(attached.err);
  REQUIRE(attached.status == 0);
  CHECK(attached.out.find("web1 is ready") == 0);
  CHECK(daemon.agent->disc("web1")->spec->lladdr.has_value());

  CHECK(daemon.headctl("discs").out.find("web1") != std::string::npos);
  CHECK(daemon.headctl("discs web1").out.find("state") != std::string::npos);
  CHECK(json::parse(daemon.headctl("discs --json").out)["discs"][0]["name"] == "web1");
  CHECK(daemon.headctl("discs web1").out.find("gold") != std::string::npos);
  CHECK(json::parse(daemon.headctl("discs web1 --json").out)["state"] == "ready");
  CHECK(daemon.headctl("neigh").out.find("web1") != std::string::npos);
  CHECK(json::parse(daemon.headctl("neigh --json").out)["source"] == "headd");
  CHECK(json::parse(daemon.headctl("status --json").out)["discs"] == 1);
  CHECK(daemon.headctl("status").out.find("1 ready") != std::string::npos);

  auto* const thread = daemon.threads[daemon.threads[0]->size() == 1 ? 0 : 1];
  thread->stats("web1")->record(stats::Operation::read, 4096, 0, {.whole = 1ms});
  CHECK(daemon.headctl("latency web1").out.find("read") != std::string::npos);
  CHECK(json::parse(daemon.headctl("latency --json").out)["operations"]["read"]["requests"] == 1);

  const std::string picture = daemon.folder.path / "picture.svg";
  const Outcome drawn = daemon.headctl("latency web1 --histogram --svg " + picture);
  CAPTURE(drawn.err);
  CHECK(drawn.out.find("   524 us | ####") == 0);
  CHECK(std::filesystem::file_size(picture) > 100);
  const Outcome map = daemon.headctl("latency web1 --heatmap --seconds 1 --json");
  CHECK(json::parse(map.out)["seconds"].size() == 1);
  CHECK(daemon.headctl("latency --histogram --svg /nonexistent/x.svg").status == 3);
  CHECK(daemon.headctl("latency --histogram --heatmap").status == 2);
  CHECK(daemon.headctl("latency --histogram --operation write").out == "no requests\n");
  CHECK(daemon.headctl("latency --histogram --operation writ").status == 2);
  CHECK(daemon.headctl("neigh --disc web1 --state stale").out.find("web1") != std::string::npos);
  CHECK(daemon.headctl("neigh --disc web1 --failed").out.find("web1") == std::string::npos);
  CHECK(daemon.headctl("neigh --state stall").status == 2);
  CHECK(daemon.headctl("neigh limits").out.find("gc_thresh3") != std::string::npos);
  CHECK(json::parse(daemon.headctl("neigh limits --json --discs 7").out)["needed"]["discs"] == 7);

  CHECK(daemon.headctl("detach web1").out == "web1 is detached\n");
  CHECK(daemon.agent->discs().empty());
}

TEST_CASE("headctl holds, fails and resumes discs", "[headctl]") {
  Daemon daemon;
  REQUIRE(daemon.headctl("attach a nbd://[fd00::1]/a --grace 30 --wait").status == 0);
  CHECK(daemon.agent->disc("a")->spec->grace == 30s);
  CHECK(daemon.headctl("hold a").out.find("a is held") == 0);
  CHECK(daemon.agent->disc("a")->spec->order == disc::Order::hold);
  CHECK(daemon.headctl("fail a").out.find("EIO") != std::string::npos);
  CHECK(daemon.agent->disc("a")->spec->order == disc::Order::fail);
  CHECK(json::parse(daemon.headctl("resume a --json").out)[0]["name"] == "a");
  CHECK(daemon.agent->disc("a")->spec->order == disc::Order::serve);
  CHECK(daemon.headctl("discs a").out.find("guests wait 30 s") != std::string::npos);
  const Outcome missing = daemon.headctl("hold b");
  CHECK(missing.status == 4);
  CHECK(missing.err.find("there is no disc b") != std::string::npos);
  CHECK(daemon.headctl("attach b nbd://[fd00::1]/b --grace -1").status == 2);
}

TEST_CASE("headctl shows what the keeper is not permitted to do", "[headctl]") {
  Daemon daemon;
  for (const char* command : {"status", "neigh"}) {
    CAPTURE(command);
    daemon.neighbours->permit(true);
    CHECK(daemon.headctl(command).out.find("problem") == std::string::npos);
    daemon.neighbours->permit(false);
    CHECK(daemon.headctl(command).out.find(neigh::not_permitted) != std::string::npos);
  }
}

TEST_CASE("headctl imports a list and names what is wrong with it", "[headctl]") {
  Daemon daemon;
  std::string lines;
  for (int i = 0; i < 500; ++i) lines += fmt::format("d{} nbd://[fd00::1]/d{}\n", i, i);
  const Outcome imported = daemon.headctl("import --wait " + daemon.file("list", lines));
  CAPTURE(imported.err);
  CHECK(imported.status == 0);
  CHECK(imported.out == "500 discs, 500 ready\n");
  CHECK(daemon.agent->discs().size() == 500);

  const std::string bad = daemon.file("bad", "new nbd://[fd00::1]/\n\nworse nbd://nowhere/\n");
  const Outcome refused = daemon.headctl("import " + bad);
  CHECK(refused.status == 3);
  CHECK(refused.err.find(bad + ":3: disc worse: ") != std::string::npos);

  for (const char* text : {"a\n", "worse nbd://nowhere/\n"}) {
    const std::string piped = daemon.file("piped", text);
    const Outcome outcome = daemon.headctl("import - <" + piped);
    CAPTURE(outcome.err);
    CHECK(outcome.err.find("headctl: standard input:1: ") == 0);
  }

  const std::string taken = daemon.file("taken", "\nnew nbd://[fd00::1]/\nd7 nbd://[fd00::2]/\n");
  const Outcome conflict = daemon.headctl("import " + taken);
  CHECK(conflict.status == 5);
  CHECK(conflict.err.find(taken + ":3: disc d7 ") != std::string::npos);
  CHECK(daemon.agent->discs().size() == 500);
}

TEST_CASE("headctl does not wait for ever for an import of which nothing becomes ready",
          "[headctl]") {
  Daemon daemon;
  daemon.neighbours->at_once(false);
  const std::string list = daemon.file("list", "a nbd://[fd00::1]/a\nb nbd://[fd00::1]/b\n");
  const Outcome imported = daemon.headctl("import --wait --timeout 1 " + list);
  CAPTURE(imported.err);
  CHECK(imported.status == 13);
  CHECK(imported.out == "2 discs, 2 resolving\n");
  CHECK(imported.err.find("no other disc of the list became ready within 1 s") !=
        std::string::npos);
}

TEST_CASE("headctl imports a list that is too large for one request", "[headctl]") {
  constexpr int count = 40'000;
  Daemon daemon(count);
  const std::string lines = many_lines(count);
  REQUIRE(lines.size() > control::import_body_max);
  const Outcome imported = daemon.headctl("import --json --wait " + daemon.file("list", lines));
  CAPTURE(imported.err);
  REQUIRE(imported.status == 0);
  const json answer = json::parse(imported.out);
  CHECK(answer["total"] == count);
  CHECK(answer["by_state"]["ready"] == count);
  CHECK(daemon.agent->status().discs == count);
  CHECK(daemon.store->discs().size() == count);
}

TEST_CASE("headctl finds what is wrong far down before it attaches anything", "[headctl]") {
  constexpr int count = 12'000;
  Daemon daemon(count);
  const std::string lines = many_lines(count - 1);
  const auto refused = [&](const std::string& last, int status, const std::string& why) {
    const std::string bad = daemon.file("bad", lines + last);
    const Outcome outcome = daemon.headctl("import " + bad);
    CAPTURE(outcome.err);
    CHECK(outcome.status == status);
    CHECK(outcome.err.find(bad + why) != std::string::npos);
    CHECK(outcome.err.find("; nothing was attached\n") != std::string::npos);
    CHECK(outcome.err.find(".;") == std::string::npos);
    CHECK(daemon.agent->discs().empty());
  };
  refused("worse nbd://nowhere/\n", 3, ":12000: disc worse: ");
  refused("disc0 nbd://[fd00::1]/\n", 3, ":12000: its name is in the list before");
  refused("one nbd://[fd00::1]/\nmore nbd://[fd00::1]/\n", 7, ": with these 12001 discs ");

  const std::string list = daemon.file("list", lines);
  CHECK(daemon.headctl("import --wait " + list).out == "11999 discs, 11999 ready\n");
  CHECK(daemon.headctl("import " + list).out == "11999 discs, 11999 attached before\n");
}

namespace {

// A headd that gives these answers, one to each request of its one client, and ends at "".
class Canned {
 public:
  Canned(const std::string& path, std::vector<std::string> answers)
      : listener_(iouring::unix_listener(path, {.mode = 0600}, 1)),
        thread_([this, answers = std::move(answers)] { serve(answers); }) {}

 private:
  void serve(const std::vector<std::string>& answers) {
    pollfd ready{listener_.fd(), POLLIN, 0};
    if (::poll(&ready, 1, 60'000) != 1) return;
    const iouring::UniqueFd client(iouring::adopt, ::accept(listener_.fd(), nullptr, nullptr));
    for (const std::string& answer : answers) {
      if (!read_request(client.fd()) || answer.empty()) return;
      const std::string bytes = fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n\r\n{}",
                                            answer.substr(0, 3), answer.size() - 4, &answer[4]);
      ::send(client.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
  }

  static bool read_request(int fd) {
    std::string request;
    char piece[4096];
    std::size_t whole = std::string::npos;
    while (request.size() < whole) {
      pollfd ready{fd, POLLIN, 0};
      if (::poll(&ready, 1, 60'000) != 1) return false;
      const ssize_t got = ::recv(fd, piece, sizeof piece, 0);
      if (got <= 0) return false;
      request.append(piece, static_cast<std::size_t>(got));
      const std::size_t header = request.find("\r\n\r\n");
      if (header == std::string::npos) continue;
      const std::size_t length = request.find("Content-Length: ");
      whole = header + 4 + (length < header ? std::stoul(request.substr(length + 16)) : 0);
    }
    return true;
  }

  const iouring::UniqueFd listener_;
  const std::jthread thread_;
};

}  // namespace

// Only what headd refused said what had become of the list.
TEST_CASE("headctl says what is attached when an import breaks off", "[headctl]") {
  Daemon daemon;
  daemon.server.reset();
  const auto import = [&](int discs, std::vector<std::string> answers) {
    const std::string list = daemon.file("list", many_lines(discs));
    const Canned headd((daemon.folder.path / "api.sock").native(), std::move(answers));
    return daemon.headctl("import " + list);
  };
  const auto check = [](const Outcome& outcome, int status, const std::string& end) {
    CAPTURE(outcome.err);
    CHECK(outcome.status == status);
    REQUIRE(outcome.err.size() > end.size());
    CHECK(outcome.err.substr(outcome.err.size() - end.size() - 1) == end + "\n");
  };
  const std::string again = "; import the list again once that is mended";
  const std::string gone = R"(404 {"type": "urn:headstart:no-such-import", "detail": "too late"})";

  check(daemon.headctl("import " + daemon.file("list", many_lines(2))), 6,
        "; nothing was attached");
  check(import(2, {""}), 6, "; the first 2 discs may be attached" + again);
  check(import(2, {gone}), 4, "list: too late; nothing was attached");

  // In two parts, both of which are checked before.
  const std::string checked = R"(200 {"total": 0, "unchanged": 0})";
  const std::string status = R"(200 {"discs": 0, "discs_max": 20000})";
  const std::string taken = R"(202 {"id": 7, "unchanged": 0, "by_state": {}})";
  check(import(10'001, {checked, ""}), 6, "; nothing was attached");
  check(import(10'001, {checked, checked, ""}), 6, "; nothing was attached");
  check(import(10'001, {checked, checked, status, ""}), 6,
        "; the first 10000 discs may be attached" + again);
  check(import(10'001, {checked, checked, status, taken, ""}), 6,
        "; the 10000 discs before are attached, the next 1 may be" + again);
  check(import(10'001, {checked, checked, status, taken, gone}), 4,
        "list: too late; the 10000 discs before are attached" + again);
}

TEST_CASE("headctl fails with a status of its kind and one line", "[headctl]") {
  Daemon daemon;
  REQUIRE(daemon.headctl("attach a nbd://[fd00::1]/ --wait").status == 0);
  daemon.threads[0]->fail_with("cannot bind");
  daemon.threads[1]->fail_with("cannot bind");
  const auto check = [&](const std::string& arguments, int status) {
    const Outcome outcome = daemon.headctl(arguments);
    CAPTURE(arguments, outcome.out, outcome.err);
    CHECK(outcome.status == status);
    if (status == 8) return;
    CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
    CHECK(outcome.err.find("headctl: ") == 0);
  };
  check("", 2);
  check("frobnicate", 2);
  check("attach a", 2);
  check("attach ../up nbd://[fd00::1]/", 3);
  check("attach '?wait=1' nbd://[fd00::1]/", 3);
  check("attach '' nbd://[fd00::1]/", 3);
  check("attach b nbds://[fd00::1]/", 3);
  check("attach b nbd://[fd00::1]/ --connections 99", 3);
  check("attach b nbd://[fd00::1]/ --grade Gold", 3);
  check("attach b \"$(printf 'nbd://[fd00::1]/\\377')\"", 3);
  check("import /nonexistent", 3);
  check("detach nobody", 4);
  check("discs nobody", 4);
  check("latency nobody", 4);
  check("attach a nbd://[fd00::2]/", 5);
  check("--api /nonexistent/api.sock discs", 6);
  check("attach b nbd://[fd00::1]/ --wait", 8);
  CHECK(daemon.headctl("frobnicate").err ==
        "headctl: there is no command or option frobnicate; see headctl --help\n");
  daemon.neighbours->fail_with(EMFILE);
  check("neigh", 7);
}

TEST_CASE("headctl neigh reads the kernel where there is no headd", "[headctl]") {
  Daemon daemon;
  daemon.server.reset();
  const Outcome outcome = daemon.headctl("neigh --json");
  CAPTURE(outcome.err);
  CHECK(outcome.status == 0);
  const json answer = json::parse(outcome.out);
  CHECK(answer["source"] == "kernel");
  CHECK(answer["table"]["limits"]["gc_thresh3"].get<int>() > 0);
  CHECK(daemon.headctl("neigh").out.find("ADDRESS") == 0);
}

TEST_CASE("headctl's commands can be inside commands", "[headctl]") {
  Daemon daemon;
  CHECK(daemon.headctl("neigh limits --json").out.find("needed") != std::string::npos);
  CHECK(daemon.headctl("neigh --json").out.find("needed") == std::string::npos);
  CHECK(daemon.headctl("neigh limits --help").out.find("--discs") != std::string::npos);
  CHECK(daemon.headctl("neigh limits --bad").err ==
        "headctl: The following argument was not expected: --bad; see headctl neigh limits "
        "--help\n");
  CHECK(daemon.headctl("limits").status == 2);
}

TEST_CASE("headctl explains itself", "[headctl]") {
  Daemon daemon;
  const Outcome help = daemon.headctl("--help");
  CHECK(help.status == 0);
  for (const char* word :
       {"attach", "detach", "import", "discs", "neigh", "latency", "status", "Exit status"})
    CHECK(help.out.find(word) != std::string::npos);
  CHECK(daemon.headctl("import --help").out.find("TOML") != std::string::npos);
}
