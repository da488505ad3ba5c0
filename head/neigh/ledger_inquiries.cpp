// Asking beside the kernel's table whether a neighbour is where it is held to be, and what follows.
#include "head/neigh/ledger.hpp"

#include <algorithm>

namespace head::neigh {

using netlink::Mac;
using netlink::Neighbour;
using netlink::NeighbourKey;
using namespace std::chrono_literals;

namespace {

constexpr auto suspect_again = 5s;
constexpr auto left_lately = 5s;  // Whoever else was there has been asked since.
constexpr std::size_t left_max = 256;

}  // namespace

// False where it is being asked already.
bool Ledger::inquire(Item& item, Instant now) {
  if (!inquiries_.open(item.first, *item.second.binding.lladdr, now)) return false;
  item.second.doubted = now;
  ++counters_.resolutions;
  return true;
}

void Ledger::suspect(const NeighbourKey& key, const Neighbour& actual, Instant now) {
  if (!tuning_.solicits) return doubt(key, actual, now);
  const auto found = holds_.find(key);
  if (found == holds_.end()) return;
  Hold& hold = found->second;
  const bool settled = hold.phase == Phase::held && hold.agenda == Agenda::none;
  const bool right = actual.ours() && actual.lladdr == hold.binding.lladdr;
  if (trust_in(key) == Trust::catalogue && is_pinned(*found)) return;  // Whatever it would say.
  if (!settled || !right || now - hold.doubted < suspect_again) return;
  inquire(*found, now);
}

void Ledger::heard(const NeighbourKey& key, const Mac& who, Instant now) {
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
  weigh(item, {.lladdr = where, .source = Source::wire, .generation = 0}, now);
  hold.answered = true;
  hold.attempts = 0;
  ++counters_.silent_moves;
  found_elsewhere_ = key;
  if (hold.phase != Phase::foreign) repair(item, netlink::nud::stale, now, true);
  suspect_others(key, left, now);
}

// A tail that has lost one disc may have lost them all.
void Ledger::suspect_others(const NeighbourKey& key, const Mac& left, Instant now) {
  if (!tuning_.solicits) return;
  if (left_.size() >= left_max)
    std::erase_if(left_, [&](const auto& one) { return now - one.second >= left_lately; });
  const auto [found, first] = left_.try_emplace({key.ifindex, left}, now);
  if (!first && now - found->second < left_lately) return;
  found->second = now;
  for (auto at = holds_.lower_bound(NeighbourKey{key.ifindex, {}});
       at != holds_.end() && at->first.ifindex == key.ifindex; ++at) {
    Hold& hold = at->second;
    if (hold.binding.lladdr != left || hold.phase == Phase::foreign) continue;
    if (trust_in(at->first) == Trust::catalogue && is_pinned(*at)) continue;
    inquire(*at, now);
  }
}

}  // namespace head::neigh
