// The fuzzer is a guest: handshake and requests. Whatever it sends, nothing reaches the volume that
// breaks a volume's contract, and nothing of the session is left when it is over.
#include "head/export/session.hpp"
#include "tests/fuzz/messages.hpp"
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

// ---- What guests say ----------------------------------------------------------------------------

namespace wire = nbd::wire;
using fuzz::one_of;
using head::be16, head::be32, head::be64;
using nbd::Command;
using sim::operator<<;

// The client's flags, which come first, go with nothing.
std::size_t length_of(std::span<const std::byte> rest) {
  if (rest.size() >= sizeof(wire::OptionRequest) && wire::load<be64>(rest) == wire::option_magic)
    return sizeof(wire::OptionRequest) + std::size_t{wire::load<wire::OptionRequest>(rest).length};
  if (rest.size() < sizeof(wire::Request) || wire::load<be32>(rest) != wire::request_magic)
    return 0;
  const auto request = wire::load<wire::Request>(rest);
  const bool write = request.type == static_cast<std::uint16_t>(Command::write);
  return sizeof request + (write ? std::size_t{request.length} : 0);
}

sim::Bytes option(std::mt19937_64& random) {
  const auto number = one_of(random, wire::Option::structured_reply, wire::Option::go,
                             wire::Option::set_meta_context, wire::Option::list_meta_context,
                             wire::Option::info, wire::Option::list, wire::Option::export_name,
                             wire::Option::starttls, static_cast<wire::Option>(random() % 14));
  const std::string_view name = one_of(random, std::string_view("disk"), std::string_view(""));
  const be32 name_length = static_cast<std::uint32_t>(name.size());
  sim::Bytes body;
  if (number == wire::Option::go || number == wire::Option::info) {
    const auto wishes = static_cast<std::uint16_t>(random() % 4);
    body << name_length << name << be16(wishes);
    for (std::uint16_t i = 0; i < wishes; ++i) body << be16(i);
  } else if (number == wire::Option::set_meta_context ||
             number == wire::Option::list_meta_context) {
    const auto query = one_of(random, std::string_view("base:allocation"),
                              std::string_view("base:"), std::string_view("x-y:z"));
    body << name_length << name << be32(1u) << be32(static_cast<std::uint32_t>(query.size()))
         << query;
  } else if (number == wire::Option::export_name) {
    body << name;
  }
  wire::OptionRequest request;
  request.option = static_cast<std::uint32_t>(number);
  request.length = static_cast<std::uint32_t>(body.size());
  sim::Bytes all;
  all << request;
  all.insert(all.end(), body.begin(), body.end());
  return all;
}

sim::Bytes said(std::mt19937_64& random) {
  if (random() % 4 == 0) return option(random);
  wire::Request request;
  request.type = static_cast<std::uint16_t>(random() % 9);
  request.flags =
      random() % 3 == 0 ? static_cast<std::uint16_t>(1u << random() % 6) : std::uint16_t{0};
  request.cookie = random() % 8;
  request.offset = std::uint64_t{random() % 130 * 512};  // The disc has 128 times as much.
  request.length = one_of(random, 0u, 1u, 512u, 700u, 4096u, 64u << 10);
  const bool write = request.type == static_cast<std::uint16_t>(Command::write);
  if (write) request.length = one_of(random, 1u, 512u, 700u);
  if (request.type == static_cast<std::uint16_t>(Command::flush)) {
    request.offset = std::uint64_t{0};
    request.length = 0u;
  }
  sim::Bytes all;
  all << request;
  if (write) all.insert(all.end(), std::uint32_t{request.length}, std::byte{'w'});
  return all;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return fuzz::mutate(data, size, max_size, seed, {.length = length_of, .make = said});
}

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
