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
  double shuffle = 0.3;   // Answers a request out of turn.
  bool silent = false;    // Takes requests, and drops them.
  double shutdown = 0.0;  // Answers ESHUTDOWN, and means it.
  // Longer reads are answered with EOVERFLOW: without DF, with it.
  std::uint32_t read_max = UINT32_MAX, unfragmented_max = UINT32_MAX;
  std::uint32_t effect_max = UINT32_MAX;  // The same of what carries no payload.
  std::uint32_t stretch = 0;  // Reads come in stretches of so many bytes, every other one first.
  bool in_turns = false;      // A stretch of each read that is there, then the next of each.
};

// What a tail keeps, and what it saw.
struct TailState {
  explicit TailState(std::size_t size) : data(size) {}

  Bytes data;
  TailOptions options;
  std::uint64_t connections = 0;
  std::uint64_t reads = 0, writes = 0, flushes = 0, statuses = 0;
  std::uint64_t cached = 0;             // Bytes.
  std::vector<std::string> complaints;  // Requests that no client may send.
};

class NbdServer final : public Peer {
 public:
  NbdServer(TailState& state, std::uint64_t seed) : state_(state), random_(seed) {}

  bool on_bytes(Bytes& from_us, Bytes& to_us) override;

 private:
  struct Asked {
    head::nbd::RequestHeader header;
    Bytes payload;
  };

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
  void apply(const Asked& asked);
  void reply(const Asked& asked, std::uint32_t error, Bytes& to_us) const;
  bool chance(double p) { return p > 0 && std::bernoulli_distribution(p)(random_); }

  TailState& state_;
  std::mt19937_64 random_;
  enum class Phase { fresh, flags, options, transmission, over } phase_ = Phase::fresh;
  bool structured_ = false;
  std::vector<Asked> asked_;
  std::set<std::uint64_t> cookies_;
};

}  // namespace sim
