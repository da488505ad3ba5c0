#include "head/control/handover.hpp"
#include "head/control/loop_thread.hpp"
#include "iouring/io.hpp"
#include "iouring/ring.hpp"
#include "tests/folder.hpp"
#include "tests/skip.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

using namespace head;
using namespace std::chrono_literals;

namespace {

struct Seen {
  std::atomic<int> wakes{0};
  std::atomic<bool> gone{false};
  std::atomic<bool> gone_in_wake{false};
};

// A loop that never waits, and whose wake() takes its time.
class SlowToWake final : public iouring::Loop {
 public:
  explicit SlowToWake(Seen& seen) : seen_(seen) {}
  ~SlowToWake() override { seen_.gone = true; }

  void run_once() override { std::this_thread::yield(); }
  void wake() noexcept override {
    Seen& seen = seen_;
    ++seen.wakes;
    for (int i = 0; i < 50 && !seen.gone; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (seen.gone) seen.gone_in_wake = true;
  }

  iouring::Socket open_tcp(const iouring::TcpOptions&, const std::string&) override { return {}; }
  iouring::Socket adopt(iouring::UniqueFd) override { return {}; }
  void connect(iouring::Completion&, iouring::Socket, const sockaddr_in6&) override {}
  void accept(iouring::Completion&, iouring::Socket) override {}
  void recv(iouring::Completion&, iouring::Socket, const msghdr&) override {}
  void recv_pooled(iouring::Completion&, iouring::Socket, std::size_t, bool) override {}
  void send(iouring::Completion&, iouring::Socket, std::span<const std::byte>) override {}
  void send(iouring::Completion&, iouring::Socket, const msghdr&) override {}
  void await_hangup(iouring::Completion&, iouring::Socket) override {}
  void await_departure(iouring::Completion&, iouring::Socket) override {}
  void take_departure(iouring::Completion&, iouring::Socket, iouring::Departure&) override {}
  void cancel(iouring::Completion&) noexcept override {}
  void shutdown(iouring::Socket) noexcept override {}
  void close(iouring::Socket, bool) noexcept override {}
  void quick_ack(iouring::Socket) noexcept override {}
  void look_at(iouring::Completion&, iouring::Socket, iouring::TcpHealth&) override {}
  void duplicate(iouring::Completion&, iouring::Socket) override {}
  void defer(iouring::Completion&) override {}
  void arm(iouring::Timer&, iouring::Instant) override {}
  void disarm(iouring::Timer&) noexcept override {}
  iouring::Instant now() const noexcept override { return {}; }

 private:
  Seen& seen_;
};

// The real data thread on a real ring; nothing where there is none.
std::unique_ptr<control::LoopThread> make_thread(
    const std::filesystem::path& run_dir,
    std::shared_ptr<control::Inheritance> inheritance = nullptr) {
  control::LoopThreadOptions options;
  options.make_loop = [] { return std::make_unique<iouring::Ring>(iouring::Ring::Options{}); };
  options.look = [](const auto&) {};
  options.run_dir = run_dir;
  options.payload_memory = 1 << 20;
  options.inheritance = std::move(inheritance);
  try {
    return std::make_unique<control::LoopThread>(std::move(options));
  } catch (const std::system_error& error) {
    tests::skip(std::string("no io_uring here: ") + error.what());
    return nullptr;
  }
}

}  // namespace

// The thread could see that it was to end, and destroy its loop, before whoever had told it so had
// woken that loop.
TEST_CASE("a data thread's loop lives until it has been woken for the last time", "[control]") {
  Seen seen;
  {
    control::LoopThread thread({.make_loop = [&] { return std::make_unique<SlowToWake>(seen); },
                                .look = [](const auto&) {},
                                .run_dir = {},
                                .access = {},
                                .settings = {}});
  }
  CHECK(seen.wakes == 1);
  CHECK(seen.gone);
  CHECK(!seen.gone_in_wake);
}

// The second caller's `done` was dropped while the first one's disc was still draining.
TEST_CASE("everybody who detaches a disc is told when it is gone", "[control]") {
  const test::Folder folder;
  const auto thread = make_thread(folder.path);
  if (!thread) return;
  const catalogue::DiscSpec spec = {.name = "a", .uri = *nbd::parse_uri("nbd://[::1]:1/")};
  const auto socket = folder.path / "discs" / "a" / "nbd.sock";

  std::promise<std::string> attached;
  std::promise<bool> first, second, third;
  thread->attach(spec, {.stats = std::make_shared<stats::DiscStats>()}, [&](std::string problem) {
    // From the data thread itself: it obeys all of them before anything can drain.
    for (auto* const gone : {&first, &second, &third})
      thread->detach("a", [&, gone] { gone->set_value(!std::filesystem::exists(socket)); });
    attached.set_value(std::move(problem));
  });
  CHECK(attached.get_future().get().empty());
  for (auto* const gone : {&first, &second, &third}) {
    auto told = gone->get_future();
    REQUIRE(told.wait_for(10s) == std::future_status::ready);
    CHECK(told.get());
  }
  std::promise<void> nobody;
  thread->detach("a", [&] { nobody.set_value(); });
  CHECK(nobody.get_future().wait_for(10s) == std::future_status::ready);
}

namespace {

std::vector<exports::HandedDisc> hand_over(control::LoopThread& thread) {
  std::promise<std::vector<exports::HandedDisc>> handed;
  thread.hand_over(100, [&](auto discs) { handed.set_value(std::move(discs)); });
  return handed.get_future().get();
}

}  // namespace

// It came back, though nobody has such a disc.
// It was `ready`, and nobody could connect to it any more.
TEST_CASE("a disc without a listener is told of, and gets one as soon as it can", "[control]") {
  const test::Folder folder;
  const auto thread = make_thread(folder.path);
  if (!thread) return;
  const catalogue::DiscSpec spec = {.name = "a", .uri = *nbd::parse_uri("nbd://[::1]:1/")};
  std::promise<void> attached, handed;
  thread->attach(spec, {.stats = std::make_shared<stats::DiscStats>()},
                 [&](const std::string&) { attached.set_value(); });
  attached.get_future().get();
  thread->hand_over(100, [&](auto) { handed.set_value(); });
  handed.get_future().get();
  const auto path = folder.path / "discs/a/nbd.sock";
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);  // In its way.
  thread->take_back();
  const auto until = std::chrono::steady_clock::now() + 10s;
  const auto await_deaf = [&](bool yes) {
    while (thread->without_listener().empty() == yes && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(5ms);
    return thread->without_listener().empty() != yes;
  };
  REQUIRE(await_deaf(true));
  CHECK(thread->without_listener().at("a").find("in the way") != std::string::npos);
  std::filesystem::remove(path);
  CHECK(await_deaf(false));
  CHECK(std::filesystem::is_socket(path));
}

std::vector<exports::HandedDisc> hand_over_without_descriptors(control::LoopThread& thread) {
  rlimit files{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
  const rlimit none{.rlim_cur = 3, .rlim_max = files.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  auto discs = hand_over(thread);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0);
  return discs;
}

// Its listener was dropped: an upgrade that had failed left a disc that nobody could connect to.
TEST_CASE("a listener that no descriptor can be made of is taken back", "[control][handover]") {
  const test::Folder folder;
  const auto inheritance = std::make_shared<control::Inheritance>();
  const auto thread = make_thread(folder.path, inheritance);
  if (!thread) return;
  std::promise<void> attached, taken;
  thread->attach({.name = "a", .uri = *nbd::parse_uri("nbd://[::1]:1/")},
                 {.stats = std::make_shared<stats::DiscStats>()},
                 [&](const std::string&) { attached.set_value(); });
  attached.get_future().get();
  auto discs = hand_over_without_descriptors(*thread);
  REQUIRE(discs.size() == 1);
  CHECK(!discs[0].listener);
  CHECK(control::count_staying(discs) == 1);

  const auto path = folder.path / "discs/a/nbd.sock";
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);  // So that none can be opened anew.
  inheritance->arrive(std::move(discs));
  thread->take_back();
  thread->ask([&] { taken.set_value(); });
  taken.get_future().get();
  CHECK(thread->without_listener().empty());
}

TEST_CASE("a listener that stays is closed when its disc is detached meanwhile",
          "[control][handover]") {
  const test::Folder folder;
  const auto inheritance = std::make_shared<control::Inheritance>();
  const auto thread = make_thread(folder.path, inheritance);
  if (!thread) return;
  std::promise<void> attached, gone;
  thread->attach({.name = "a", .uri = *nbd::parse_uri("nbd://[::1]:1/")},
                 {.stats = std::make_shared<stats::DiscStats>()},
                 [&](const std::string&) { attached.set_value(); });
  attached.get_future().get();
  const std::string path = folder.path / "discs/a/nbd.sock";
  const auto is_open = [&path] {
    std::ifstream sockets("/proc/net/unix");
    const std::string all(std::istreambuf_iterator<char>(sockets), {});
    return all.find(path) != std::string::npos;
  };
  CHECK(is_open());
  auto discs = hand_over_without_descriptors(*thread);
  REQUIRE(control::count_staying(discs) == 1);
  inheritance->arrive(std::move(discs));
  thread->detach("a", [&] { gone.set_value(); });
  gone.get_future().get();
  for (int i = 0; i < 500 && is_open(); ++i) std::this_thread::sleep_for(10ms);
  CHECK_FALSE(is_open());
}

TEST_CASE("a disc that is detached between a handover and its end is not taken back",
          "[control][handover]") {
  const test::Folder folder;
  const auto thread = make_thread(folder.path);
  if (!thread) return;
  for (const char* name : {"a", "b"}) {
    std::promise<void> attached;
    thread->attach({.name = name, .uri = *nbd::parse_uri("nbd://[::1]:1/")},
                   {.stats = std::make_shared<stats::DiscStats>()},
                   [&](const std::string&) { attached.set_value(); });
    attached.get_future().get();
  }
  CHECK(hand_over(*thread).size() == 2);
  std::promise<void> gone;
  thread->detach("a", [&] { gone.set_value(); });
  gone.get_future().get();
  thread->take_back();
  const auto discs = hand_over(*thread);
  REQUIRE(discs.size() == 1);
  CHECK(discs[0].name == "b");
}

TEST_CASE("a handover that begins before the last one has ended comes after it",
          "[control][handover]") {
  const test::Folder folder;
  const auto thread = make_thread(folder.path);
  if (!thread) return;
  std::promise<void> attached;
  thread->attach({.name = "a", .uri = *nbd::parse_uri("nbd://[::1]:1/")},
                 {.stats = std::make_shared<stats::DiscStats>()},
                 [&](const std::string&) { attached.set_value(); });
  attached.get_future().get();
  std::promise<std::size_t> first;
  thread->hand_over(100, [&](auto discs) {
    thread->take_back();
    first.set_value(discs.size());
  });
  CHECK(hand_over(*thread).size() == 1);
  CHECK(first.get_future().get() == 1);
}
