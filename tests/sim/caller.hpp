// A guest of an export in the simulated world: no options but GO, simple replies. It asks all that
// it has to ask at once, and takes the answers as fast as it is told to.
#pragma once

#include "head/nbd/wire.hpp"
#include "tests/sim/sim_io.hpp"

#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

namespace sim {

struct Asking {
  head::nbd::Command command = head::nbd::Command::read;
  unsigned requests = 1;
  std::uint32_t length = 4096;
  bool goodbye = false;       // NBD_CMD_DISC behind them.
  std::size_t held_back = 0;  // Of the last bytes: never said.
};

class Caller final : public Peer {
 public:
  static constexpr std::size_t greeting = 18 + 20 + 12 + 20;  // What it hears before any answer.

  explicit Caller(Asking asking = {}) : asking_(asking) {}

  bool on_bytes(Bytes& from_us, Bytes& to_us) override {
    heard += from_us.size();
    takes -= std::min(takes, from_us.size());
    from_us.clear();
    if (heard >= 18 && !std::exchange(greeted_, true)) negotiate(to_us);
    if (heard >= greeting && !std::exchange(asked_, true)) ask(to_us);
    return true;
  }
  std::size_t room() const override { return takes; }

  std::size_t answers() const {
    const bool reads = asking_.command == head::nbd::Command::read;
    return heard < greeting ? 0 : (heard - greeting) / (16 + (reads ? asking_.length : 0));
  }

  std::size_t heard = 0;
  std::size_t takes = std::numeric_limits<std::size_t>::max();

 private:
  template <class T>
  static void put(Bytes& to, const T& value) {
    const auto bytes = head::nbd::wire::bytes_of(value);
    to.insert(to.end(), bytes.begin(), bytes.end());
  }

  static void negotiate(Bytes& out) {
    put(out, head::be32(3u));
    head::nbd::wire::OptionRequest go;
    go.option = static_cast<std::uint32_t>(head::nbd::wire::Option::go);
    go.length = 6u;
    put(out, go);
    put(out, head::be32(0u));
    put(out, head::be16(std::uint16_t{0}));
  }
  void ask(Bytes& out) const {
    for (unsigned i = 0; i < asking_.requests; ++i) {
      head::nbd::wire::Request request;
      request.type = static_cast<std::uint16_t>(asking_.command);
      request.cookie = std::uint64_t{i};
      request.length = asking_.length;
      put(out, request);
      if (asking_.command == head::nbd::Command::write)
        out.insert(out.end(), asking_.length, std::byte{1});
    }
    if (asking_.goodbye) {
      head::nbd::wire::Request goodbye;
      goodbye.type = static_cast<std::uint16_t>(head::nbd::Command::disconnect);
      put(out, goodbye);
    }
    out.resize(out.size() - asking_.held_back);
  }

  const Asking asking_;
  bool greeted_ = false;
  bool asked_ = false;
};

// A guest that knocks at the one export there is.
inline Caller& knock(SimIo& io, Asking asking = {}) {
  auto caller = std::make_unique<Caller>(asking);
  Caller& there = *caller;
  io.knock(std::move(caller));
  return there;
}

}  // namespace sim
