#include "head/neigh/ledger.hpp"

#include <algorithm>

namespace head::neigh {

using netlink::Neighbour;
using netlink::NeighbourKey;
using netlink::Verdict;
using namespace std::chrono_literals;

namespace {

constexpr auto doubt_again = 5s;

bool answering(std::uint16_t state) {
  return state == netlink::nud::reachable;
}

// What the table says of a neighbour that was told of anew, before that is written: it is what was
// so far. Left by a former run it may be newer than the catalogue, if somebody answered lately.
bool is_older(const Hold& hold) {
  return hold.unwritten && !(hold.phase == Phase::unseen && answering(hold.state));
}

// It is elsewhere than was told.
bool is_contradicted(const Hold& hold) {
  return hold.told && hold.binding.lladdr && hold.told != hold.binding.lladdr;
}

}  // namespace

const Hold* Ledger::find(const NeighbourKey& key) const noexcept {
  const auto found = holds_.find(key);
  return found == holds_.end() ? nullptr : &found->second;
}

std::vector<netlink::Desired> Ledger::desired() const {
  std::vector<netlink::Desired> all;
  all.reserve(holds_.size());
  for (const Item& item : holds_)
    all.push_back(
        {item.first, item.second.binding.lladdr, tuning_.validated, tuning_.exempt, is_firm(item)});
  return all;
}

std::size_t Ledger::entries() const noexcept {
  const auto present = std::count_if(holds_.begin(), holds_.end(),
                                     [](const auto& item) { return item.second.present; });
  return static_cast<std::size_t>(present) + removals_.size();
}

bool Ledger::add(const NeighbourKey& key, const Binding& claim, Instant now,
                 const std::optional<Binding>& told) {
  const auto [found, added] = holds_.insert({key, Hold()});
  ++found->second.users;
  if (!added) {
    this->claim(key, claim, now);
    return false;
  }
  found->second.binding = claim;
  found->second.told = told.value_or(claim).lladdr;
  if (found->second.told) found->second.told_generation = told.value_or(claim).generation;
  found->second.unwritten = claim.lladdr && claim.generation > 0;
  return true;
}

Ruling Ledger::claim(const NeighbourKey& key, const Binding& claim, Instant now) {
  const auto found = holds_.find(key);
  if (found == holds_.end()) return Ruling::confirmed;
  const bool announced = claim.source == Source::announcement;
  if (announced) end_silence({key.ifindex, *claim.lladdr}, now);
  if (announced && found->second.phase != Phase::held) return Ruling::confirmed;  // Asked already.
  if (announced && found->second.binding.lladdr) return hear(*found, *claim.lladdr, now);
  const Ruling ruling = weigh(*found, claim, now);
  const bool write = ruling == Ruling::moved || ruling == Ruling::first;
  const bool ours = found->second.phase != Phase::foreign;
  if (write && ours)
    repair(*found, announced ? netlink::nud::probe : netlink::nud::stale, now, true);
  return ruling;
}

// Takes what is right, and counts what was said against it.
Ruling Ledger::weigh(Item& item, const Binding& claim, Instant now) {
  auto& [key, hold] = item;
  const Binding before = hold.binding;
  const bool was_contradicted = is_contradicted(hold);
  const Ruling ruling = rule(before, claim);
  hold.binding = merge(before, claim);
  const bool seen = claim.source == Source::wire || claim.source == Source::announcement;
  // An older word is none, nor a second one of the same number.
  const bool newer = claim.generation > hold.told_generation ||
                     (claim.generation == 0 && hold.told_generation == 0) || !hold.told;
  if (!seen && claim.lladdr && newer) {
    hold.told = claim.lladdr;
    hold.told_generation = claim.generation;
    disputes_.forget_claim(key);
    rebound_.push_back(key);
  }
  const bool moved = ruling == Ruling::moved;
  if (moved || ruling == Ruling::first) {
    hold.asked = {};
    inquiries_.close(key, now);
    disputes_.forget_pin(key);
  }
  if (moved) {
    rebound_.push_back(key);
    tell_silence(key);
    hold.unwritten = !seen && claim.generation > before.generation;
    hold.answered = claim.source == Source::wire && answering(hold.state);
    const auto [tell, began] = disputes_.moved(key, now);
    hold.moving = tell || hold.moving;
    if (began) ++counters_.flaps;
  }
  if (ruling == Ruling::overruled || (moved && seen)) {
    disputes_.contradicted(key);
    ++counters_.conflicts;
    tell_contradiction(item, now);
  }
  if (was_contradicted && !is_contradicted(hold)) ++counters_.settled;
  return ruling;
}

// To whoever can look whether the catalogue knows better now. While two hosts claim the address
// there is nothing to settle it with.
void Ledger::tell_contradiction(const Item& item, Instant now) {
  const auto& [key, hold] = item;
  const Dispute* dispute = disputes_.find(key);
  const bool flapping = dispute && dispute->flaps.flapping(now);
  if (is_contradicted(hold) && !flapping) contradicted_.push_back(key);
}

void Ledger::release(const NeighbourKey& key) {
  const auto found = holds_.find(key);
  if (found == holds_.end() || --found->second.users > 0) return;
  unschedule(*found);
  if (found->second.doubtful) doubts_.gave_up();
  if (found->second.phase != Phase::foreign) removals_.push_back(key);
  disputes_.erase(key);
  inquiries_.close(key, Instant::clock::time_point{});
  holds_.erase(found);
}

void Ledger::observe(const NeighbourKey& key, const Neighbour* actual, Instant now) {
  const auto found = holds_.find(key);
  if (found == holds_.end()) return;
  judge(*found, actual, now, found->second.phase == Phase::unseen);
}

bool Ledger::asked(const NeighbourKey& key, const Neighbour& actual, Instant now) {
  const auto found = holds_.find(key);
  // One that has an address is being verified: to say that address again would keep a wrong one.
  if (found == holds_.end() || actual.usable() || !found->second.binding.lladdr) return false;
  if (found->second.phase == Phase::failed || found->second.phase == Phase::foreign) return false;
  found->second.present = true;
  repair(*found, netlink::nud::stale, now, true);
  schedule(*found, Agenda::write, now);
  ++counters_.answered;
  return true;
}

void Ledger::doubt(const NeighbourKey& key, const Neighbour& actual, Instant now) {
  const auto found = holds_.find(key);
  if (found == holds_.end()) return;
  Hold& hold = found->second;
  const bool idle = hold.phase == Phase::held && hold.agenda == Agenda::none;
  const bool right = actual.ours() && actual.lladdr == hold.binding.lladdr;
  if (trust_in(key) == Trust::catalogue && is_pinned(*found)) return;  // Whatever it would say.
  const bool unasked =
      (actual.state & (netlink::nud::reachable | netlink::nud::stale | netlink::nud::delay)) != 0 ||
      is_firm(*found);
  if (!idle || !right || !unasked || hold.doubtful || now - hold.doubted < doubt_again) return;
  hold.doubtful = true;
  hold.doubted = now;
  doubts_.put(now, key, still_doubted());
}

std::size_t Ledger::settle(std::span<const Neighbour> actual, Instant now) {
  ++counters_.reconciliations;
  std::size_t wrong = 0;
  auto have = actual.begin();
  for (Item& item : holds_) {
    while (have != actual.end() && have->key < item.first) ++have;
    const bool present = have != actual.end() && have->key == item.first;
    const Verdict verdict = judge(item, present ? &*have : nullptr, now, true);
    wrong += verdict != Verdict::right && verdict != Verdict::foreign;
  }
  counters_.reconciled += wrong;
  return wrong;
}

Verdict Ledger::judge(Item& item, const Neighbour* actual, Instant now, bool arrival) {
  auto& [key, hold] = item;
  hold.present = actual != nullptr;
  if (actual == nullptr) hold.asked = {};
  hold.state = actual ? actual->state : netlink::nud::none;
  const bool first_answer = answering(hold.state) && !hold.answered;
  if (answering(hold.state) && actual->lladdr) end_silence({key.ifindex, *actual->lladdr}, now);
  if (answering(hold.state)) hold.answered = true;
  const auto judged = netlink::judge(
      {key, hold.binding.lladdr, tuning_.validated, tuning_.exempt, is_firm(item)}, actual);
  if (judged.verdict == Verdict::learned && is_older(hold)) {
    // Adopted, whoever is right is found out by asking.
    const bool adopted = hold.phase == Phase::unseen;
    repair(item, adopted ? netlink::nud::probe : hold.write_state, now, arrival);
    return Verdict::set;
  }
  if (judged.verdict == Verdict::learned && is_pinned(item) && !may_leave(item, *actual, now)) {
    challenge(item, judged.lladdr, now);
    return Verdict::set;
  }
  if (actual != nullptr && hear_held(item, *actual, now)) return Verdict::set;
  switch (judged.verdict) {
    case Verdict::right:
      if (hold.phase == Phase::failed && hold.state == netlink::nud::probe) break;
      if (answering(hold.state)) {
        hold.attempts = 0;
        const Binding seen{.lladdr = actual->lladdr, .source = Source::wire, .generation = 0};
        hold.binding = merge(hold.binding, seen);  // An announcement is verified by that.
        if (first_answer) tell_contradiction(item, now);
      }
      hold.unwritten = false;
      enter(item, Phase::held);
      break;
    case Verdict::foreign:
      tell_silence(key);
      hold.asked = {};
      inquiries_.close(key, now);
      disputes_.withdraw(key);
      enter(item, Phase::foreign);
      break;
    case Verdict::learned:
      learn(item, judged, now, arrival);
      break;
    case Verdict::set:
      repair(item, judged.state, now, arrival);
      break;
    case Verdict::resolve:
      break_down(item, actual, now);
      break;
  }
  return judged.verdict;
}

// NUD heals a wrong binding, and must not be undone.
void Ledger::learn(Item& item, const netlink::Judgement& judged, Instant now, bool arrival) {
  auto& [key, hold] = item;
  const Binding seen{.lladdr = judged.lladdr, .source = Source::wire, .generation = 0};
  const std::optional<netlink::Mac> left = hold.binding.lladdr;
  const Ruling ruling = weigh(item, seen, now);
  hold.attempts = 0;
  hold.asked = {};
  // Told by nobody: by an announcement an entry becomes STALE.
  if (left && ruling == Ruling::moved && answering(hold.state)) {
    found_.push_back(key);
    note_left(key, *left, now);
  }
  if (judged.write) return repair(item, judged.state, now, arrival);
  enter(item, Phase::held);
  // Left by a former run, and nobody answered for it lately: have it verified before it is used.
  if (ruling == Ruling::moved && arrival && !answering(hold.state))
    schedule(item, Agenda::ask, now);
}

void Ledger::enter(Item& item, Phase phase) {
  Hold& hold = item.second;
  unschedule(item);
  const bool again = phase == Phase::held && hold.phase == Phase::failed && hold.installed;
  if (hold.moving || again) moved_.push_back(item.first);
  hold.moving = false;
  if (hold.phase != phase) settled_.push_back(item.first);
  if (hold.phase != phase && (phase == Phase::foreign || hold.phase == Phase::foreign))
    rebound_.push_back(item.first);
  hold.phase = phase;
  hold.installed = hold.installed || phase == Phase::held;
}

}  // namespace head::neigh
