// Which bytes of a READ a structured reply has brought so far. The chunks of a reply may come in
// any order but must not overlap, and must cover the whole request (doc/proto.md, "Structured
// reply chunk message"). Servers send them in order, which costs nothing here; what comes ahead of
// its turn is remembered, up to a bound that all replies share; one beyond it has to be asked for
// again, and otherwise if it reached the bound by itself.
#pragma once

#include <cstdint>
#include <vector>

namespace head::nbd {

class Coverage {
 public:
  // Stretches of all requests of a connection that may be ahead of their turn at once.
  static constexpr std::size_t ahead_max = 1024;

  enum class Verdict : std::uint8_t {
    good,
    overlaps,
    too_scattered,  // No room, and all that is remembered is of this request.
    crowded_out,    // No room beside what is remembered of others.
  };

  // Bytes [from, to) of the request in `slot` have come; `covered` of its first bytes had before.
  Verdict add(std::uint32_t slot, std::uint32_t from, std::uint32_t to, std::uint32_t& covered);

  // Forgets what is remembered for the slot: its request is over.
  void forget(std::uint32_t slot) noexcept;
  void clear() noexcept { ahead_.clear(); }

 private:
  struct Stretch {
    std::uint32_t slot, from, to;
  };
  std::vector<Stretch> ahead_;
};

}  // namespace head::nbd
