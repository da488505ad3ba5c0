#include "head/control/loop_thread.hpp"
#include "iouring/io.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

using namespace head;

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
  void cancel(iouring::Completion&) noexcept override {}
  void shutdown(iouring::Socket) noexcept override {}
  void close(iouring::Socket, bool) noexcept override {}
  void quick_ack(iouring::Socket) noexcept override {}
  void defer(iouring::Completion&) override {}
  void arm(iouring::Timer&, iouring::Instant) override {}
  void disarm(iouring::Timer&) noexcept override {}
  iouring::Instant now() const noexcept override { return {}; }

 private:
  Seen& seen_;
};

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
                                .connection = {}});
  }
  CHECK(seen.wakes == 1);
  CHECK(seen.gone);
  CHECK(!seen.gone_in_wake);
}
