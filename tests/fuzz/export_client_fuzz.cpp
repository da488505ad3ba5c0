// The fuzzer is a guest: handshake and requests. Whatever it sends, nothing reaches the volume that
// breaks a volume's contract, and nothing of the session is left when it is over.
#include "head/export/session.hpp"
#include "tests/memory_volume.hpp"
#include "tests/sim/sim_io.hpp"

#include <memory>

using namespace head;

namespace {

void require(bool condition) {
  if (!condition) __builtin_trap();
}

class Guest final : public sim::Peer {
 public:
  explicit Guest(std::span<const std::byte> script) : script_(script) {}

  // Everything at once, as soon as it is spoken to; what it hears is of no interest to it.
  bool on_bytes(sim::Bytes& from_us, sim::Bytes& to_us) override {
    from_us.clear();
    to_us.insert(to_us.end(), script_.begin(), script_.end());
    script_ = {};
    return true;
  }

 private:
  std::span<const std::byte> script_;
};

struct Ending final : exports::Session::Owner {
  unsigned gone = 0;
  unsigned times = 0;
  void on_guest_gone(exports::Session&) noexcept override { ++gone; }
  void on_session_over(exports::Session&) noexcept override { ++times; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const auto script = std::as_bytes(std::span(data, size)).subspan(1);
  sim::SimIo io(data[0], {.partial = 0.2, .reset = 0, .refuse = 0, .stall = 0.1},
                [] { return nullptr; });
  exports::PayloadPool pool(io, 0);
  tests::MemoryVolume volume(64 << 10);
  if ((data[0] & 1) != 0) volume.described.flags |= nbd::transmission_flag::read_only;
  volume.known = (data[0] & 2) == 0;
  stats::DiscStats stats;
  stats::StallLog log;
  stats::Stalls stalls(std::chrono::milliseconds(20), log);
  Ending ending;
  {
    exports::PayloadPool::Account memory(pool);
    exports::Session session(exports::Service{.io = io,
                                              .name = "disk",
                                              .volume = volume,
                                              .stats = stats,
                                              .stalls = stalls,
                                              .memory = memory},
                             ending, io.connected(std::make_unique<Guest>(script)));
    session.start();
    for (unsigned steps = 0; steps < 20'000 && !session.over(); ++steps) {
      const bool moved = io.step();
      if (!volume.waiting.empty()) {
        volume.answer(io.pick(volume.waiting.size()), io.chance(0.1) ? EIO : 0);
      } else if (!moved && !volume.known) {
        volume.known = true;
        session.on_info();
      } else if (!moved) {
        break;
      }
    }
    session.end();
    while (!volume.waiting.empty()) volume.answer(0);
    while (io.step()) {
    }
    require(session.over() && ending.gone == 1 && ending.times == 1);
  }
  require(volume.complaints.empty());
  require(pool.whole());
  require(stats.in_flight == 0);
  require(io.sockets_open() == 0);
  return 0;
}
