// Asking beside the kernel's table whether a neighbour is where it is held to be, and what follows.
#include "head/neigh/ledger.hpp"

#include <algorithm>

namespace head::neigh {

using netlink::Mac;
using netlink::Neighbour;
using netlink::NeighbourKey;
using namespace std::chrono_literals;

namespace {

constexpr auto suspect_again = 500ms;

Host host_of(const Ledger::Item& item) {
  return {item.first.ifindex, *item.second.binding.lladdr};
}

}  // namespace

// False where it is being asked already.
bool Ledger::inquire(Item& item, Inquiry::Manner manner, Instant now) {
  if (!inquiries_.open(item.first, *item.second.binding.lladdr, manner, now)) return false;
  item.second.doubted = now;
  ++counters_.resolutions;
  return true;
}

void Ledger::suspect(const NeighbourKey& key, const Neighbour& actual, Instant now) {
  if (!tuning_.solicits) return doubt(key, actual, now);
  const auto found = holds_.find(key);
  if (found == holds_.end()) return;
  Hold& hold = found->second;
  const bool kept = hold.phase == Phase::held || hold.phase == Phase::failed;
  const bool right = actual.ours() && actual.lladdr == hold.binding.lladdr;
  if (trust_in(key) == Trust::catalogue && is_pinned(*found)) return;  // Whatever it would say.
  if (!kept || !right || now - hold.doubted < suspect_again) return;
  if (!silences_.take(host_of(*found), now)) return;
  inquire(*found, manner_for(*found), now);
}

// A pin's host is given the same chance as elsewhere.
Inquiry::Manner Ledger::manner_for(const Item& item) const noexcept {
  if (!silences_.is_silent(host_of(item))) return Inquiry::Manner::held_first;
  return is_pinned(item) ? Inquiry::Manner::everybody : Inquiry::Manner::anybody;
}

void Ledger::heard(const NeighbourKey& key, const Mac& who, Instant now) {
  silences_.end({key.ifindex, who});
  inquiries_.change(key, [&](Inquiry& inquiry) { inquiry.answered(who, now); });
}

void Ledger::unasked(const NeighbourKey& key, Instant now) {
  --counters_.solicitations;
  inquiries_.change(key, [&](Inquiry& inquiry) { inquiry.unasked(now); });
}

void Ledger::collect_solicitations(Instant now, Due& due) {
  for (auto first = inquiries_.first(); first && first->first <= now; first = inquiries_.first()) {
    const NeighbourKey& key = first->second;
    const Inquiry inquiry = *inquiries_.find(key);
    if (const Finding finding = inquiry.finding(now); finding != Finding::open) {
      inquiries_.close(key);
      conclude(*holds_.find(key), inquiry, finding, now);
      continue;
    }
    if (tuning_.resolutions.take(now, 1) == 0) return;
    due.solicit.push_back({key, inquiry.whom()});
    ++counters_.solicitations;
    inquiries_.change(key, [&](Inquiry& one) { one.asked(now); });
  }
}

void Ledger::conclude(Item& item, const Inquiry& inquiry, Finding finding, Instant now) {
  switch (finding) {
    case Finding::open:
      break;
    case Finding::here:
      be_here(item, now);
      break;
    case Finding::elsewhere:
      be_elsewhere(item, *inquiry.other(), now);
      break;
    case Finding::nobody:
      silences_.note(host_of(item), now);
      // The kernel asks from now on, as soon as something is sent there.
      if (!disputes_.withdraw(item.first)) break;
      disputes_.soften(item.first);
      write_as(item, netlink::nud::stale, now);
      break;
  }
}

// Whoever was held has answered: a claim against a pin is refuted by that.
void Ledger::be_here(Item& item, Instant now) {
  Hold& hold = item.second;
  hold.answered = true;
  hold.asked = {};
  hold.attempts = 0;
  // Its entry was made permanent when it was claimed.
  if (is_pinned(item) && disputes_.refute(item.first, now, firm_least, firm_most))
    ++counters_.refuted;
  if (hold.phase == Phase::failed) repair(item, netlink::nud::stale, now, true);
}

// Whoever was held has not answered, and somebody else has.
void Ledger::be_elsewhere(Item& item, const Mac& where, Instant now) {
  auto& [key, hold] = item;
  const Mac left = *hold.binding.lladdr;
  silences_.note({key.ifindex, left}, now);
  weigh(item, {.lladdr = where, .source = Source::wire, .generation = 0}, now);
  hold.answered = true;
  hold.attempts = 0;
  ++counters_.silent_moves;
  found_.push_back(key);
  if (hold.phase != Phase::foreign) repair(item, netlink::nud::stale, now, true);
  suspect_others(key, left, now);
}

// A tail that has lost one disc may have lost them all.
void Ledger::suspect_others(const NeighbourKey& key, const Mac& left, Instant now) {
  if (!tuning_.solicits || !silences_.left({key.ifindex, left}, now)) return;
  for (auto at = holds_.lower_bound(NeighbourKey{key.ifindex, {}});
       at != holds_.end() && at->first.ifindex == key.ifindex; ++at) {
    Hold& hold = at->second;
    if (hold.binding.lladdr != left || hold.phase == Phase::foreign) continue;
    if (trust_in(at->first) == Trust::catalogue && is_pinned(*at)) continue;
    inquire(*at, manner_for(*at), now);
  }
}

}  // namespace head::neigh
