// The fuzzer is the server. Whatever it says, the client asks for bounded pieces, comes to an end,
// and if it accepts an export, then one that can be a disc.
#include "head/nbd/handshake.hpp"

#include <bit>
#include <limits>

using head::nbd::ClientHandshake;
using head::nbd::HandshakeFailure;

namespace {

void require(bool condition) {
  if (!condition) __builtin_trap();
}

void check_accepted(const ClientHandshake& client) {
  const auto& info = client.info();
  require(client.failure() == HandshakeFailure::none && client.problem().empty());
  require(info.size > 0 && info.size <= std::numeric_limits<std::int64_t>::max());
  require(std::has_single_bit(info.block_minimum) && info.block_minimum <= 65536);
  require(std::has_single_bit(info.block_preferred));
  require(info.size % info.block_minimum == 0);
  require(info.payload_maximum >= info.block_preferred && info.payload_maximum <= 32u << 20);
  require(info.payload_maximum % info.block_minimum == 0);
  require(!info.base_allocation || info.structured_replies);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using What = ClientHandshake::Step::What;
  auto server = std::as_bytes(std::span(data, size));
  ClientHandshake client("disk");

  auto step = client.start();
  for (unsigned steps = 0; step.what == What::need; ++steps) {
    require(step.expect >= 1 && step.expect <= ClientHandshake::reply_max);
    require(steps < 8 * ClientHandshake::replies_max);
    if (server.size() < step.expect) return 0;
    const auto piece = server.first(step.expect);
    server = server.subspan(step.expect);
    step = client.step(piece);
  }
  if (step.what == What::done) {
    check_accepted(client);
  } else {
    require(client.failure() != HandshakeFailure::none && !client.problem().empty());
  }
  return 0;
}
