#include "head/nbd/packet_loss.hpp"

namespace head::nbd {
namespace {

using namespace std::chrono_literals;

constexpr auto looks_close = 1s;
constexpr auto acknowledged_within = 50ms;

}  // namespace

bool packets_were_lost(const Health& before, const Health& now) noexcept {
  if (now.tcp.recovering) return true;
  if (now.tcp.unacknowledged != 0 && now.tcp.since_sent >= acknowledged_within) return true;
  if (now.at - before.at > looks_close) return false;
  return now.tcp.retransmitted > before.tcp.retransmitted ||
         now.tcp.out_of_order > before.tcp.out_of_order;
}

}  // namespace head::nbd
