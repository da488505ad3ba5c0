// Asking beside the kernel's table whether a neighbour is where it is held to be, and what follows.
#include "head/neigh/ledger.hpp"

#include <algorithm>

namespace head::neigh {

using netlink::Mac;
using netlink::Neighbour;
using netlink::NeighbourKey;
using namespace std::chrono_literals;

namespace {

constexpr auto suspect_again = 500ms;  // Doubled each time that nobody answers,
constexpr auto suspect_again_max = 5s;

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
  // One that is not usable is told without its link-layer address.
  const bool right = hold.binding.lladdr && actual.ours() &&
                     (!actual.usable() || actual.lladdr == hold.binding.lladdr);
  const auto again = std::min<Instant::duration>(
      suspect_again * (1 << std::min<unsigned>(hold.attempts, 4)), suspect_again_max);
  if (!kept || !right || now - hold.doubted < again) return;
  silences_.doubt(host_of(*found), now);
  if (trust_in(key) == Trust::catalogue && is_pinned(*found)) return;  // Whatever it would say.
  if (!silences_.take(host_of(*found), hold.doubted, now)) return;
  inquire(*found, manner_for(*found), now);
}

// A pin's host is asked as often as if it were asked alone first.
Inquiry::Manner Ledger::manner_with_others(const Item& item) const noexcept {
  return is_pinned(item) ? Inquiry::Manner::everybody : Inquiry::Manner::once;
}

Inquiry::Manner Ledger::manner_for(const Item& item) const noexcept {
  const bool silent = silences_.is_silent(host_of(item));
  return silent ? manner_with_others(item) : Inquiry::Manner::held_first;
}

bool Ledger::heard(const NeighbourKey& key, const Mac& who, Instant now) {
  const Hold* hold = find(key);
  if (hold && hold->binding.lladdr == who) end_silence({key.ifindex, who}, now);
  return inquiries_.change(key, [&](Inquiry& inquiry) { inquiry.answered(who, now); });
}

void Ledger::unasked(const Solicitation& question, Instant now) {
  const NeighbourKey& key = question.who;
  --counters_.solicitations;
  if (question.of_host) return silences_.unasked({key.ifindex, *question.at}, now);
  // Without a claim it need not go on: whoever suspects the disc begins another.
  if (inquiries_.find(key) && !disputes_.is_challenged(key)) return inquiries_.close(key, now);
  inquiries_.change(key, [&](Inquiry& inquiry) { inquiry.unasked(now); });
}

void Ledger::collect_solicitations(Instant now, Due& due) {
  ask_hosts(now, due);
  for (auto first = inquiries_.first(); first && first->first <= now; first = inquiries_.first()) {
    const NeighbourKey& key = first->second;
    const Inquiry inquiry = *inquiries_.find(key);
    if (const Finding finding = inquiry.finding(now); finding != Finding::open) {
      inquiries_.close(key, now);
      conclude(*holds_.find(key), inquiry, finding, now);
      continue;
    }
    if (tuning_.resolutions.take(now, 1) == 0) return;
    due.solicit.push_back({key, inquiry.whom()});
    ++counters_.solicitations;
    inquiries_.change(key, [&](Inquiry& one) { one.asked(now); });
  }
}

// Those that may be silent, and those that are.
void Ledger::ask_hosts(Instant now, Due& due) {
  while (const auto turn = silences_.due(now)) {
    if (turn->fell_silent) {
      silent_changed_.push_back(turn->host);
      quieten(turn->host, now);
      suspect_others(turn->host, now);
      continue;
    }
    const Item* const item = next_at(turn->host, turn->asked_for);
    if (!item) {
      silences_.forget(turn->host);
      silent_changed_.push_back(turn->host);
      continue;
    }
    if (tuning_.resolutions.take(now, 1) == 0) return;
    due.solicit.push_back({item->first, turn->host.lladdr, true});
    ++counters_.solicitations;
    silences_.asked(turn->host, item->first.address, now);
  }
}

// The one after that address which is held to be there, the first one after the last.
const Ledger::Item* Ledger::next_at(const Host& host, const netlink::Ip6& after) const {
  const auto is_there = [&](const Item& item) {
    return item.second.binding.lladdr == host.lladdr && item.second.phase != Phase::foreign;
  };
  const NeighbourKey last{host.ifindex, after};
  const auto begin = holds_.lower_bound(NeighbourKey{host.ifindex, {}});
  const auto middle = holds_.lower_bound(last);
  for (auto at = middle; at != holds_.end() && at->first.ifindex == host.ifindex; ++at)
    if (at->first != last && is_there(*at)) return &*at;
  for (auto at = begin; at != holds_.end() && !(last < at->first); ++at)
    if (is_there(*at)) return &*at;
  return nullptr;
}

// The host has fallen silent: its entries become permanent, so that the kernel asks for none of
// them. Or it answers again: they are STALE, as others are.
void Ledger::quieten(const Host& host, Instant now) {
  if (!tuning_.quietens || !tuning_.exempt) return;
  for (auto at = holds_.lower_bound(NeighbourKey{host.ifindex, {}});
       at != holds_.end() && at->first.ifindex == host.ifindex; ++at) {
    const bool kept = at->second.phase == Phase::held || at->second.phase == Phase::failed;
    if (at->second.binding.lladdr != host.lladdr || !kept) continue;
    write_as(*at, netlink::nud::stale, now);
  }
}

bool Ledger::is_quiet(const Item& item) const noexcept {
  const auto& lladdr = item.second.binding.lladdr;
  return tuning_.quietens && tuning_.exempt && lladdr &&
         silences_.is_silent({item.first.ifindex, *lladdr});
}

void Ledger::tell_silence(const NeighbourKey& key) {
  const Hold* hold = find(key);
  if (!hold || !hold->binding.lladdr) return;
  const Host host{key.ifindex, *hold->binding.lladdr};
  if (silences_.is_silent(host)) silent_changed_.push_back(host);
}

void Ledger::reached(const NeighbourKey& key, Instant when, Instant now) {
  const Hold* hold = find(key);
  if (!hold || !hold->binding.lladdr) return;
  const Host host{key.ifindex, *hold->binding.lladdr};
  if (const auto since = silences_.silent_since(host); since && when > *since)
    end_silence(host, now);
}

void Ledger::end_silence(const Host& host, Instant now) {
  if (!silences_.end(host, now)) return;
  silent_changed_.push_back(host);
  quieten(host, now);
}

void Ledger::conclude(Item& item, const Inquiry& inquiry, Finding finding, Instant now) {
  if (item.second.phase == Phase::foreign) return;
  switch (finding) {
    case Finding::open:
      break;
    case Finding::here:
      confirm(item, now);
      break;
    case Finding::elsewhere:
      follow(item, *inquiry.other(), now);
      break;
    case Finding::nobody:
      if (item.second.attempts < 255) ++item.second.attempts;
      silences_.doubt(host_of(item), now);
      leave_to_kernel(item, now);
      break;
  }
}

// Nobody answered: a pin that was held firm is STALE again, and the kernel asks for it when it is
// used, unless its host is silent.
void Ledger::leave_to_kernel(Item& item, Instant now) {
  const bool was_firm = disputes_.is_firm(item.first);
  if (!disputes_.withdraw(item.first) && !was_firm) return;
  disputes_.soften(item.first);
  write_as(item, netlink::nud::stale, now);
}

// Whoever was held has answered: a claim against a pin is refuted by that.
void Ledger::confirm(Item& item, Instant now) {
  Hold& hold = item.second;
  hold.answered = true;
  hold.asked = {};
  hold.attempts = 0;
  // Its entry was made permanent when it was claimed.
  if (is_pinned(item) && disputes_.refute(item.first, now, firm_least, firm_most))
    ++counters_.refuted;
  if (hold.phase == Phase::failed) repair(item, netlink::nud::stale, now, true);
  confirmed_.push_back(item.first);
}

// Whoever was held has not answered, and somebody else has.
void Ledger::follow(Item& item, const Mac& where, Instant now) {
  auto& [key, hold] = item;
  const Mac left = *hold.binding.lladdr;
  const Dispute* dispute = disputes_.find(key);
  const bool announced = dispute && dispute->claimed == where;
  weigh(item, {.lladdr = where, .source = Source::wire, .generation = 0}, now);
  hold.answered = true;
  hold.attempts = 0;
  confirmed_.push_back(key);
  if (!announced) {
    ++counters_.silent_moves;
    found_.push_back(key);
  }
  if (hold.phase != Phase::foreign) repair(item, netlink::nud::stale, now, true);
  note_left(key, left, now);
}

// Whether the host is there still is asked for other discs of it.
void Ledger::note_left(const NeighbourKey& key, const Mac& left, Instant now) {
  const Dispute* dispute = disputes_.find(key);
  if (!tuning_.solicits || (dispute && dispute->flaps.flapping(now))) return;
  silences_.leave({key.ifindex, left}, now);
  suspect_others({key.ifindex, left}, now);
}

// A host that has lost one disc, and answers for no other, may have lost them all.
void Ledger::suspect_others(const Host& host, Instant now) {
  if (!silences_.take_left(host, now)) return;
  for (auto at = holds_.lower_bound(NeighbourKey{host.ifindex, {}});
       at != holds_.end() && at->first.ifindex == host.ifindex; ++at) {
    Hold& hold = at->second;
    if (hold.binding.lladdr != host.lladdr || hold.phase == Phase::foreign) continue;
    if (trust_in(at->first) == Trust::catalogue && is_pinned(*at)) continue;
    inquire(*at, manner_with_others(*at), now);
  }
}

}  // namespace head::neigh
