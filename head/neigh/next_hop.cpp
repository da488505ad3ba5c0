#include "head/neigh/next_hop.hpp"

#include <algorithm>

namespace head::neigh {

netlink::Ip6 eui64(const netlink::Mac& lladdr) noexcept {
  netlink::Ip6 address{0xfe, 0x80};
  address[8] = static_cast<std::uint8_t>(lladdr[0] ^ 0x02);
  address[9] = lladdr[1];
  address[10] = lladdr[2];
  address[11] = 0xff;
  address[12] = 0xfe;
  address[13] = lladdr[3];
  address[14] = lladdr[4];
  address[15] = lladdr[5];
  return address;
}

netlink::Ip6 next_hop(const NextHops& said, const netlink::Mac& lladdr) noexcept {
  const auto found = said.find(lladdr);
  return found == said.end() ? eui64(lladdr) : found->second;
}

void Tail::become(Trust trust, Instant now) noexcept {
  trust_ = trust;
  since_ = now;
  probing_ = false;
  if (trust == Trust::good) failures_ = 0;
  if (trust == Trust::bad && failures_ < 255) ++failures_;
}

std::optional<Tail::Instant> Tail::due() const noexcept {
  if (trust_ == Trust::asked) return since_ + patience;
  if (trust_ != Trust::bad) return {};
  return since_ + std::min(retry_max, retry_min * (1 << std::clamp(failures_ - 1, 0, 10)));
}

bool Tail::see(std::uint16_t state, Instant now) noexcept {
  const Trust before = trust_;
  if (state == netlink::nud::probe) probing_ = true;
  if (before != Trust::asked && before != Trust::good) return false;
  if (state == netlink::nud::reachable) {
    probing_ = false;
    if (before == Trust::asked) become(Trust::good, now);
  }
  // An entry that is NTF_EXT_VALIDATED does not fail.
  const bool silent = state == netlink::nud::stale && probing_;
  if (state == netlink::nud::failed || silent) become(Trust::bad, now);
  return trust_ != before;
}

Lead lead(const Situation& now) noexcept {
  if (!now.suits || !now.known || now.in_doubt) return Lead::neighbour;
  if (now.kept && !now.steady) return Lead::neighbour;
  if (now.trust == Tail::Trust::good) return Lead::route;
  return now.trust == Tail::Trust::asked && !now.kept ? Lead::wait : Lead::neighbour;
}

}  // namespace head::neigh
