// The fuzzer is the tail, from its first byte or from the first reply on: the first byte of the
// input says which. Whatever it says, every request comes back exactly once: answered, or
// unanswered when the connection is over.
#include "head/nbd/connection.hpp"
#include "tests/sim/script_tail.hpp"

#include <array>
#include <deque>

using namespace head;
using nbd::Command;

namespace {

struct Asked final : nbd::Request {
  void on_done(int) noexcept override {}
  std::array<std::byte, 4096> bytes;
  std::array<nbd::Extent, 4> room;
  iovec part{};
  int returns = 0;
};

struct Head final : nbd::Connection::Owner {
  explicit Head(sim::SimIo& io) : connection(io, *this, options) {
    constexpr std::array commands{Command::read,  Command::write,        Command::flush,
                                  Command::trim,  Command::write_zeroes, Command::block_status,
                                  Command::cache, Command::read};
    for (const Command command : commands) {
      Asked& request = asked.emplace_back();
      request.command = command;
      request.offset = 4096;
      request.length = command == Command::flush ? 0 : 4096;
      request.part = {.iov_base = request.bytes.data(), .iov_len = request.bytes.size()};
      request.memory = {&request.part, 1};
      request.extents = request.room;
    }
  }

  void on_open() noexcept override {
    opened = true;
    const nbd::ExportInfo& info = connection.info();
    for (Asked& request : asked) {
      if (request.command == Command::block_status && !info.base_allocation) continue;
      ++sent;
      connection.submit(request);
    }
  }
  void on_answer(nbd::Request& request, int) noexcept override { returned(request); }
  void on_closed(const std::string&, nbd::RequestQueue unanswered) noexcept override {
    while (nbd::Request* request = unanswered.pop()) returned(*request);
  }
  bool interface_was_away(iouring::Instant) const noexcept override { return false; }
  void on_packets_lost(iouring::Instant) noexcept override {}
  void on_parked(iouring::Instant, iouring::Duration) noexcept override {}
  void returned(nbd::Request& request) {
    --sent;
    if (++static_cast<Asked&>(request).returns != 1) __builtin_trap();
  }

  nbd::ConnectionOptions options;
  std::deque<Asked> asked;
  nbd::Connection connection;
  bool opened = false;
  int sent = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  sim::Bytes script;
  if ((data[0] & 1) != 0) script = sim::greeting((data[0] & 2) != 0);
  const auto rest = std::as_bytes(std::span(data, size)).subspan(1);
  script.insert(script.end(), rest.begin(), rest.end());
  sim::SimIo io(data[0], {.partial = 0.2, .stall = 0.1},
                [&] { return std::make_unique<sim::ScriptTail>(script); });
  Head head(io);
  head.connection.open({}, {}, "x");
  for (int steps = 0; steps < 20'000 && io.step(); ++steps) {
  }
  if ((data[0] & 1) != 0 && !head.opened) __builtin_trap();
  head.connection.fail("the input is over");
  for (int steps = 0; head.connection.state() != nbd::Connection::State::closed; ++steps)
    if (steps == 20'000 || !io.step()) __builtin_trap();
  if (head.sent != 0 || io.sockets_open() != 0) __builtin_trap();
  return 0;
}
