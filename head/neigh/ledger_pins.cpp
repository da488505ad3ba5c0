// Pins: what was told with a generation, and the wire contradicts.
#include "head/neigh/ledger.hpp"

#include <algorithm>

namespace head::neigh {

using netlink::Mac;
using netlink::Neighbour;
using netlink::NeighbourKey;
using namespace std::chrono_literals;

namespace {

// Somebody who goes on claiming it is undone so often, until who is held has answered.
constexpr auto undo_every = 10ms;
// And is asked so often while claims come that nothing follows from by themselves.
constexpr auto ask_claims_every = 1s;

}  // namespace

Trust Ledger::trust_in(const NeighbourKey& key) const noexcept {
  const auto& where = tuning_.trust_prefixes;
  const bool here = where.empty() || std::any_of(where.begin(), where.end(), [&](const auto& one) {
                      return netlink::contains(one, key.address);
                    });
  return here ? tuning_.trust : Trust::catalogue_unless_dead;
}

bool Ledger::is_pinned(const Item& item) const noexcept {
  const auto& [key, hold] = item;
  const bool at_pin = hold.told && hold.binding.lladdr == hold.told;
  return at_pin && hold.told_generation > 0 && trust_in(key) != Trust::wire;
}

bool Ledger::is_pinned(const NeighbourKey& key) const noexcept {
  const auto found = holds_.find(key);
  return found != holds_.end() && is_pinned(*found);
}

std::optional<Mac> Ledger::rumour(const NeighbourKey& key) const noexcept {
  const Hold* hold = find(key);
  // Somebody else's entry is an administrator's word.
  const bool pinned =
      hold && hold->told && hold->told_generation > 0 && hold->phase != Phase::foreign;
  const bool there = !pinned || !hold->binding.lladdr || hold->binding.lladdr == hold->told;
  return there || trust_in(key) == Trust::wire ? std::nullopt : hold->binding.lladdr;
}

// Without NTF_EXT_LEARNED a permanent entry could not be told from an administrator's.
bool Ledger::may_be_firm(const Item& item) const noexcept {
  return tuning_.exempt && is_pinned(item);
}

// While it is asked because of a claim, too: nothing is sent to whoever claims it meanwhile.
bool Ledger::is_firm(const Item& item) const noexcept {
  const NeighbourKey& key = item.first;
  if (is_quiet(item)) return true;
  if (!may_be_firm(item)) return false;
  return trust_in(key) == Trust::catalogue || disputes_.is_firm(key) ||
         (disputes_.is_challenged(key) && inquiries_.find(key) != nullptr);
}

bool Ledger::is_firm(const NeighbourKey& key) const noexcept {
  const auto found = holds_.find(key);
  return found != holds_.end() && is_firm(*found);
}

// Whoever is held does not answer for the address, and somebody else does.
bool Ledger::may_leave(const Item& item, const Neighbour& actual, Instant now) const noexcept {
  const Hold& hold = item.second;
  if (trust_in(item.first) != Trust::catalogue_unless_dead) return false;
  if (tuning_.solicits && may_be_firm(item)) return false;  // We ask ourselves.
  const bool dead = hold.asked != Instant{} && now - hold.asked >= dead_after;
  return dead && actual.state == netlink::nud::reachable;
}

// The kernel has followed somebody. What is held is put back, and asked.
void Ledger::challenge(Item& item, const Mac& claimed, Instant now) {
  note_claim(item, claimed, now);
  if (trust_in(item.first) == Trust::catalogue)
    return write_as(item, is_firm(item) ? netlink::nud::permanent : netlink::nud::stale,
                    std::max(now, item.second.repaired + undo_every));
  // It has answered since the claim before, and that is to be written still.
  if (is_firm(item)) return write_as(item, netlink::nud::permanent, now);
  if (tuning_.solicits && may_be_firm(item)) {
    disputes_.challenge(item.first);
    inquiries_.hurry(item.first, *item.second.binding.lladdr, Inquiry::Manner::held_first, now);
    return write_as(item, netlink::nud::permanent, now);
  }
  item.second.asked = {};  // A claim may have cut the question short: it begins anew.
  ask_held(item, now);
}

// At the held address first, and then, if nobody answers there, everybody.
void Ledger::ask_held(Item& item, Instant now) {
  disputes_.challenge(item.first);
  disputes_.soften(item.first);
  write_as(item, netlink::nud::probe, std::max(now, item.second.repaired + undo_every));
}

void Ledger::write_as(Item& item, std::uint16_t state, Instant at) {
  item.second.write_state = state;
  item.second.phase = Phase::writing;
  schedule(item, Agenda::write, at);
}

void Ledger::note_claim(Item& item, const Mac& claimed, Instant now) {
  ++counters_.conflicts;
  if (disputes_.claimed(item.first, claimed, now)) contradicted_.push_back(item.first);
}

// An announcement, which is not followed before it is known that who is held has gone.
Ruling Ledger::hear(Item& item, const Mac& claimed, Instant now) {
  Hold& hold = item.second;
  if (claimed == hold.binding.lladdr) return Ruling::confirmed;
  note_claim(item, claimed, now);
  if (tuning_.solicits) {
    if (trust_in(item.first) == Trust::catalogue && is_pinned(item)) return Ruling::overruled;
    if (!disputes_.look_into(item.first, now, ask_claims_every)) return Ruling::overruled;
    inquiries_.hurry(item.first, *hold.binding.lladdr, manner_for(item), now);
    if (!is_pinned(item)) return Ruling::overruled;
    const bool was_firm = is_firm(item);
    disputes_.challenge(item.first);
    if (is_firm(item) && !was_firm) write_as(item, netlink::nud::permanent, now);
    return Ruling::overruled;
  }
  const bool asks = !is_firm(item) && hold.agenda == Agenda::none &&
                    (hold.asked == Instant{} || now - hold.asked >= dead_after);
  if (!asks) return Ruling::overruled;
  ask_held(item, now);
  return Ruling::overruled;
}

// Whether who is held has answered, or is being asked. True when it is held firm from now on, and
// written so.
bool Ledger::hear_held(Item& item, const Neighbour& actual, Instant now) {
  Hold& hold = item.second;
  if (!actual.ours() || actual.lladdr != hold.binding.lladdr) return false;
  const bool probed = actual.state == netlink::nud::probe;
  if (probed && hold.asked == Instant{}) hold.asked = now;
  if (actual.state != netlink::nud::reachable) return false;
  hold.asked = {};
  if (!is_pinned(item) || !disputes_.refute(item.first, now, firm_least, firm_most)) return false;
  ++counters_.refuted;
  if (!is_firm(item)) return false;
  write_as(item, netlink::nud::permanent, now);
  return true;
}

void Ledger::soften_late(Instant now) {
  for (const NeighbourKey& key : disputes_.soften_late(now)) {
    const auto found = holds_.find(key);
    if (found == holds_.end() || found->second.phase != Phase::held) continue;
    // Whoever claims it still would have it at once.
    if (tuning_.solicits && disputes_.claimed_since(key, now - ask_claims_every)) {
      disputes_.challenge(key);
      const Mac& held = *found->second.binding.lladdr;
      inquiries_.hurry(key, held, Inquiry::Manner::held_first, now);
      if (is_firm(*found)) continue;
    }
    repair(*found, netlink::nud::stale, now, false);
  }
}

}  // namespace head::neigh
