// Stacks of threads that run, wait or hang; and what a crash or a hang leaves behind.
#include "head/base/post_mortem.hpp"
#include "head/base/stacks.hpp"
#include "head/base/symbols.hpp"
#include "head/control/crash_reports.hpp"
#include "tests/folder.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <csignal>
#include <fstream>
#include <functional>
#include <semaphore>
#include <sstream>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace head;
using test::Folder;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

std::atomic<pid_t> spinner{0};
alignas(4096) std::array<volatile char, 4096> page;

[[gnu::noinline]] void spin_here_for_the_test() {
  spinner = ::gettid();
  for (volatile bool on = true; on;) {
  }
}

// What a process without a handler of signals does; how it ended, as waitpid(2) tells.
int in_child(const std::function<void()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(STDERR_FILENO);
    for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS})
      std::signal(signal, SIG_DFL);
    act();
    ::_exit(0);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::filesystem::path only_file(const std::filesystem::path& folder) {
  std::filesystem::directory_iterator at(folder);
  REQUIRE(at != std::filesystem::directory_iterator());
  return at->path();
}

// Without end, and not as a loop.
[[gnu::noinline]] int overflow_here_for_the_test(int depth) {
  volatile char some[1024];
  some[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : overflow_here_for_the_test(depth + 1) + some[0];
}

}  // namespace

TEST_CASE("a report says where every thread is, by name", "[base]") {
  const Folder folder;
  const int status = in_child([&] {
    post_mortem::prepare(folder.path, "1.2.3");
    std::thread(spin_here_for_the_test).detach();
    while (spinner == 0) std::this_thread::yield();
    post_mortem::write_stall();
  });
  REQUIRE(status == 0);
  const auto raw = only_file(folder.path);
  CHECK(raw.filename().string().rfind("stall-", 0) == 0);
  const auto told = control::explain_crash(raw);
  REQUIRE(told);
  const std::string text = text_of(only_file(folder.path));
  CAPTURE(text);
  CHECK(text.find("headd 1.2.3 has a data thread that comes to nothing") == 0);
  CHECK(text.find("spin_here_for_the_test() (") != std::string::npos);
  CHECK(text.find("base_post_mortem_test.cpp:") != std::string::npos);
  CHECK(text.find("post_mortem::write_stall") != std::string::npos);
  CHECK(told->find("has all of it") != std::string::npos);

  const auto list = control::crash_reports(folder.path);
  REQUIRE(list.size() == 1);
  CHECK(list[0].text == text);
}

TEST_CASE("a thread that answers no signal is not waited for without end", "[base]") {
  stacks::prepare();
  std::atomic<pid_t> deaf{0};
  std::binary_semaphore over(0);
  std::thread thread([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    deaf = ::gettid();
    over.acquire();
  });
  while (deaf == 0) std::this_thread::yield();
  stacks::Stack stack;
  const auto before = std::chrono::steady_clock::now();
  stacks::take(deaf, stack);
  CHECK(stack.depth == 0);
  CHECK(std::chrono::steady_clock::now() - before < 5s);
  stacks::take(::gettid(), stack);  // Others are asked as before.
  CHECK(stack.depth > 0);
  over.release();
  thread.join();
}

TEST_CASE("whoever dies by a signal leaves a report and dies by that signal", "[base]") {
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS}) {
    CAPTURE(signal);
    const Folder folder;
    const int status = in_child([&] {
      post_mortem::prepare(folder.path, "1");
      if (signal == SIGSEGV) ::mprotect(&page, sizeof page, PROT_READ);
      page[0] = 1;
      std::raise(signal);
    });
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == signal);
    const std::string text = text_of(only_file(folder.path));
    CHECK(text.find("headd 1 crashed\nbuild id ") == 0);
    CHECK(text.find(signal == SIGSEGV ? "signal SIGSEGV for address 0x" : "from process ") !=
          std::string::npos);
    CHECK(text.find("\nmaps:\n") != std::string::npos);
  }
}

// Only the first thread had a stack for that: the others died without a word.
TEST_CASE("a thread whose stack overflows leaves a report", "[base]") {
  const Folder folder;
  const int status = in_child([&] {
    post_mortem::prepare(folder.path, "1");
    std::thread([] {
      post_mortem::guard_thread();
      std::exit(overflow_here_for_the_test(0));
    }).join();
  });
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGSEGV);
  const auto raw = only_file(folder.path);
  CHECK(text_of(raw).find("signal SIGSEGV for address 0x") != std::string::npos);
  CHECK(text_of(raw).find("\nmaps:\n") != std::string::npos);
  REQUIRE(control::explain_crash(raw));
  CHECK(text_of(only_file(folder.path)).find("overflow_here_for_the_test") != std::string::npos);
}

// `headd --explain-crash FILE` removed whatever it was given, and wrote over FILE.txt.
TEST_CASE("what is no report of headd's is not explained, and stays as it is", "[base]") {
  const Folder folder;
  const auto content = [](const fs::path& path) {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string good = "headd 1 crashed\nbuild id 00\nprocess 7\n";
  std::string name = "crash-1.raw", text = good, txt;
  SECTION("for its name") {
    name = GENERATE(as<std::string>(), "passwd", "crash-1.txt", "crash-.raw", "crash-1x.raw",
                    "crash-1", "xcrash-1.raw");
  }
  SECTION("for what it holds") {
    text = GENERATE(as<std::string>(), "", "root:x:0:0::/root:/bin/sh\n", "headd",
                    "headd 1 crashed\nroot:x:0:0\n");
  }
  SECTION("as it is explained already") {
    txt = "somebody's";
  }
  const auto raw = folder.path / name;
  std::ofstream(raw) << text;
  if (!txt.empty()) std::ofstream(folder.path / "crash-1.txt") << txt;
  CHECK_FALSE(control::explain_crash(raw));
  CHECK(content(raw) == text);
  CHECK(content(folder.path / "crash-1.txt") == (name == "crash-1.txt" ? text : txt));
}

TEST_CASE("a report is no link, and no pipe", "[base]") {
  const Folder folder;
  const auto raw = folder.path / "crash-1.raw";
  std::ofstream(folder.path / "mine") << "headd 1 crashed\nbuild id 00\n";
  SECTION("a link") {
    fs::create_symlink(folder.path / "mine", raw);
  }
  SECTION("a pipe") {
    REQUIRE(::mkfifo(raw.c_str(), 0600) == 0);
  }
  SECTION("a folder") {
    fs::create_directory(raw);
  }
  CHECK_FALSE(control::explain_crash(raw));
  CHECK(fs::exists(fs::symlink_status(raw)));
  CHECK(fs::exists(folder.path / "mine"));
  CHECK_FALSE(fs::exists(folder.path / "crash-1.txt"));
}

TEST_CASE("a report that is cut off, or of another build, is said to be that", "[base]") {
  const auto cut = symbols::explain("headd 1 crashed\nbuild id 00\n");
  REQUIRE_FALSE(cut);
  CHECK(cut.error().find("cut off") != std::string::npos);
  const auto other = symbols::explain(
      "headd 1 crashed\nbuild id 0123\n\nthread 1 a:\n  0x1\n\nmaps:\n"
      "00400000-00401000 r-xp 00000000 00:00 1 /nonexistent\n");
  CHECK_FALSE(other);

  // It is kept as it is, and why there are no names.
  const Folder folder;
  std::ofstream(folder.path / "crash-7.raw") << "headd 1 crashed\nbuild id 00\n";
  REQUIRE(control::explain_crash(folder.path / "crash-7.raw"));
  CHECK(text_of(only_file(folder.path)).find("no names for the addresses") != std::string::npos);
  CHECK_FALSE(control::explain_crash(folder.path / "crash-8.raw"));
}
