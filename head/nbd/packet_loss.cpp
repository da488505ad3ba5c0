#include "head/nbd/packet_loss.hpp"

namespace head::nbd {
namespace {

using namespace std::chrono_literals;

constexpr auto put_off_max = 50ms;

}  // namespace

std::optional<iouring::Instant> packets_lost_at(const Health& before, const Health& now) noexcept {
  const iouring::TcpHealth& tcp = now.tcp;
  if (tcp.recovering) return now.at;
  if (tcp.unacknowledged != 0 && tcp.since_sent >= tcp.round_trip + put_off_max) return now.at;
  if (tcp.retransmitted > before.tcp.retransmitted || tcp.out_of_order > before.tcp.out_of_order)
    return before.at;
  return std::nullopt;
}

}  // namespace head::nbd
