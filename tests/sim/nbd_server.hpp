// A simulated tail: fixed newstyle, a store that outlives its connections, and every freedom that
// the protocol gives a server: replies in any order, reads in chunks in any order, holes.
#pragma once

#include "head/nbd/wire.hpp"
#include "tests/sim/script_tail.hpp"
#include "tests/sim/sim_io.hpp"

#include <random>
#include <set>
#include <vector>

namespace sim {

struct TailOptions {
  std::uint16_t flags = all_flags;
  std::uint32_t block_minimum = 0;  // 0: says nothing of block sizes.
  std::uint32_t payload_maximum = 32u << 20;
  bool structured = true;
  double shuffle = 0.3;            // Answers a request out of turn.
  bool silent = false;             // Connections that are asked anything now hang from now on.
  std::uint64_t silent_up_to = 0;  // So do the connections up to this one.
  unsigned lose = 0;               // So many requests are never answered.
  double shutdown = 0.0;           // Answers ESHUTDOWN, and means it.
  // Longer reads are answered with EOVERFLOW: without DF, with it.
  std::uint32_t read_max = UINT32_MAX, unfragmented_max = UINT32_MAX;
  std::uint32_t effect_max = UINT32_MAX;  // The same of what carries no payload.
  std::uint32_t stretch = 0;  // Reads come in stretches of so many bytes, every other one first.
  bool in_turns = false;      // A stretch of each read that is there, then the next of each.
  // Changes that are carried out, and answered, only up to so much later: by carry_out_late(). They
  // are carried out also when their connection is gone.
  double late = 0.0;
  std::chrono::milliseconds late_most{500};
  double late_flush = 0.0;  // FLUSH, which is carried out at once and answered late.
};

class NbdServer;

// What a tail keeps, and what it saw.
struct TailState {
  explicit TailState(std::size_t size) : data(size) {}

  struct Asked {
    head::nbd::RequestHeader header;
    Bytes payload;
  };
  struct Late {
    iouring::Instant due;
    Asked asked;
    NbdServer* server;  // Null when it is gone.
  };

  Bytes data;    // As connections see it, caches included;
  Bytes stable;  // what a crash leaves. Empty: nothing crashes here.
  std::vector<Late> late;
  std::set<NbdServer*> servers;
  iouring::Instant now{};
  TailOptions options;
  std::uint64_t connections = 0;
  std::uint64_t reads = 0, writes = 0, flushes = 0, statuses = 0;
  std::uint64_t cached = 0;             // Bytes.
  std::vector<std::string> complaints;  // Requests that no client may send.
};

class NbdServer final : public Peer {
 public:
  NbdServer(TailState& state, std::uint64_t seed) : state_(state), random_(seed) {
    state.servers.insert(this);
  }
  ~NbdServer() override;

  bool on_bytes(Bytes& from_us, Bytes& to_us) override;

  // Carries out what is late by now.
  static void carry_out_late(TailState& state, SimIo& io);
  // The tail dies, with what was volatile; of that, anything may be stable nevertheless.
  static void crash(TailState& state, SimIo& io);

 private:
  using Asked = TailState::Asked;

  bool negotiate(Bytes& from_us, Bytes& to_us);
  bool option(head::nbd::wire::Option number, Bytes& to_us);
  void collect(Bytes& from_us);
  void answer(const Asked& asked, Bytes& to_us);
  void answer_read(const Asked& asked, Bytes& to_us);
  void answer_reads_in_turns(Bytes& to_us);
  // Offset and length of each chunk of a read's answer, in the order of sending.
  using Stretches = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
  Stretches stretches(const head::nbd::RequestHeader& header);
  void put_stretch(const head::nbd::RequestHeader& header, Stretches::value_type stretch, bool last,
                   Bytes& to_us) const;
  bool too_long(const head::nbd::RequestHeader& header) const;
  void check(const Asked& asked);
  static void apply(TailState& state, const Asked& asked);
  void reply(const Asked& asked, std::uint32_t error, Bytes& to_us) const;
  bool comes_late(const Asked& asked);
  bool chance(double p) { return p > 0 && std::bernoulli_distribution(p)(random_); }

  TailState& state_;
  std::mt19937_64 random_;
  enum class Phase { fresh, flags, options, transmission, over } phase_ = Phase::fresh;
  bool structured_ = false;
  std::uint64_t number_ = 0;
  bool hangs_ = false;
  std::vector<Asked> asked_;
  std::set<std::uint64_t> cookies_;
};

}  // namespace sim
