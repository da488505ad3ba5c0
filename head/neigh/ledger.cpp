#include "head/neigh/ledger.hpp"

#include <algorithm>
#include <cerrno>

namespace head::neigh {

using netlink::Neighbour;
using netlink::NeighbourKey;
using netlink::Verdict;
using namespace std::chrono_literals;

namespace {

constexpr auto quiet = 10s;       // After so long without a repair, the next one is at once again.
constexpr auto holdoff_max = 1s;  // Somebody keeps undoing our work: no faster than this.
constexpr std::chrono::milliseconds when_forbidden = 10s;  // Permission seldom comes back.
constexpr auto ask_again_max = 5s;
constexpr auto doubt_again = 5s;
constexpr std::chrono::milliseconds answer_within =
    1s;  // In case the kernel's word on the outcome is lost.

std::chrono::milliseconds doubled(std::chrono::milliseconds first, unsigned times,
                                  std::chrono::milliseconds max) {
  return std::min(first * (1 << std::min(times, 12u)), max);
}

bool answering(std::uint16_t state) {
  return state == netlink::nud::reachable;
}

// An attempt: the next one waits longer, unless all is quiet meanwhile.
void count_repair(Hold& hold, Instant now) {
  hold.repaired = now;
  if (hold.repairs_in_a_row < 255) ++hold.repairs_in_a_row;
}

}  // namespace

const Hold* Ledger::find(const NeighbourKey& key) const noexcept {
  const auto found = holds_.find(key);
  return found == holds_.end() ? nullptr : &found->second;
}

std::vector<netlink::Desired> Ledger::desired() const {
  std::vector<netlink::Desired> all;
  all.reserve(holds_.size());
  for (const auto& [key, hold] : holds_)
    all.push_back({key, hold.binding.lladdr, tuning_.validated, tuning_.exempt});
  return all;
}

std::size_t Ledger::entries() const noexcept {
  const auto present = std::count_if(holds_.begin(), holds_.end(),
                                     [](const auto& item) { return item.second.present; });
  return static_cast<std::size_t>(present) + removals_.size();
}

bool Ledger::add(const NeighbourKey& key, const Binding& claim, Instant now) {
  const auto [found, added] = holds_.try_emplace(key);
  ++found->second.users;
  if (!added) {
    this->claim(key, claim, now);
    return false;
  }
  found->second.binding = claim;
  found->second.told = claim.lladdr;
  return true;
}

Ruling Ledger::claim(const NeighbourKey& key, const Binding& claim, Instant now) {
  const auto found = holds_.find(key);
  if (found == holds_.end()) return Ruling::confirmed;
  const bool announced = claim.source == Source::announcement;
  if (announced && found->second.phase != Phase::held) return Ruling::confirmed;  // Asked already.
  if (!announced && claim.lladdr) found->second.told = claim.lladdr;
  const Ruling ruling = weigh(*found, claim, now);
  const bool write = ruling == Ruling::moved || ruling == Ruling::first;
  const bool ours = found->second.phase != Phase::foreign;
  // An announcement is a rumour until whoever is there has answered.
  if (write && ours)
    repair(*found, announced ? netlink::nud::probe : netlink::nud::stale, now, true);
  return ruling;
}

// Takes what is right, and counts what was said against it.
Ruling Ledger::weigh(Item& item, const Binding& claim, Instant now) {
  auto& [key, hold] = item;
  const Binding before = hold.binding;
  const Ruling ruling = rule(before, claim);
  hold.binding = merge(before, claim);
  const bool seen = claim.source == Source::wire || claim.source == Source::announcement;
  const bool moved = ruling == Ruling::moved;
  if (ruling == Ruling::overruled || (moved && seen)) {
    ++hold.conflicts;
    ++counters_.conflicts;
  }
  if (moved) {
    hold.answered = claim.source == Source::wire && hold.state == netlink::nud::reachable;
    const bool calm = !hold.flaps.flapping(now);
    hold.moving = hold.flaps.count(now) || hold.moving;
    if (calm && hold.flaps.flapping(now)) ++counters_.flaps;
  }
  return ruling;
}

void Ledger::release(const NeighbourKey& key) {
  const auto found = holds_.find(key);
  if (found == holds_.end() || --found->second.users > 0) return;
  unschedule(*found);
  if (found->second.doubtful) doubts_.gave_up();
  if (found->second.phase != Phase::foreign) removals_.push_back(key);
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
  const bool unasked =
      (actual.state & (netlink::nud::reachable | netlink::nud::stale | netlink::nud::delay)) != 0;
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
  hold.state = actual ? actual->state : netlink::nud::none;
  if (hold.state == netlink::nud::reachable) hold.answered = true;
  const auto judged =
      netlink::judge({key, hold.binding.lladdr, tuning_.validated, tuning_.exempt}, actual);
  switch (judged.verdict) {
    case Verdict::right:
      if (hold.phase == Phase::failed && hold.state == netlink::nud::probe) break;
      if (answering(hold.state)) {
        hold.attempts = 0;
        const Binding seen{.lladdr = actual->lladdr, .generation = 0, .source = Source::wire};
        hold.binding = merge(hold.binding, seen);  // An announcement is verified by that.
      }
      enter(item, Phase::held);
      break;
    case Verdict::foreign:
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
  const Binding seen{.lladdr = judged.lladdr, .generation = 0, .source = Source::wire};
  const Ruling ruling = weigh(item, seen, now);
  hold.attempts = 0;
  if (judged.write) return repair(item, judged.state, now, arrival);
  enter(item, Phase::held);
  // Left by a former run, and nobody answered for it lately: have it verified before it is used.
  if (ruling == Ruling::moved && arrival && !answering(hold.state))
    schedule(item, Agenda::ask, now);
}

// Nobody answers: ask again, at first at once, then ever more slowly.
void Ledger::break_down(Item& item, const Neighbour* actual, Instant now) {
  Hold& hold = item.second;
  if (actual && actual->state == netlink::nud::failed) ++counters_.failures;
  hold.phase = hold.binding.lladdr ? Phase::failed : Phase::resolving;
  const bool asking = actual && actual->state == netlink::nud::incomplete && !hold.binding.lladdr;
  const auto delay = asking               ? answer_within
                     : hold.attempts == 0 ? 0ms
                                          : doubled(100ms, hold.attempts - 1u, ask_again_max);
  const bool sooner =
      hold.agenda == Agenda::none || (hold.agenda == Agenda::ask && now + delay < hold.due);
  if (sooner) schedule(item, Agenda::ask, now + delay);
}

void Ledger::enter(Item& item, Phase phase) {
  Hold& hold = item.second;
  unschedule(item);
  const bool again = phase == Phase::held && hold.phase == Phase::failed && hold.installed;
  if (std::exchange(hold.moving, false) || again) moved_.push_back(item.first);
  if (hold.phase != phase) settled_.push_back(item.first);
  hold.phase = phase;
  hold.installed = hold.installed || phase == Phase::held;
}

void Ledger::repair(Item& item, std::uint16_t state, Instant now, bool arrival) {
  Hold& hold = item.second;
  hold.write_state = state;
  hold.phase = Phase::writing;
  if (hold.agenda == Agenda::write) return;
  if (now - hold.repaired > quiet) hold.repairs_in_a_row = 0;
  const unsigned repairs = hold.repairs_in_a_row;
  const bool at_once = arrival && repairs == 0;
  const Instant soon = now + (at_once ? 0ms : tuning_.coalesce);
  const Instant again = hold.repaired + doubled(tuning_.coalesce, repairs, holdoff_max);
  schedule(item, Agenda::write, repairs == 0 ? soon : std::max(soon, again));
}

void Ledger::schedule(Item& item, Agenda agenda, Instant at) {
  unschedule(item);
  item.second.agenda = agenda;
  item.second.due = at;
  queue(agenda).put(at, item.first, still_on(agenda));
}

void Ledger::unschedule(Item& item) {
  Hold& hold = item.second;
  if (hold.agenda != Agenda::none) queue(hold.agenda).gave_up();
  hold.agenda = Agenda::none;
}

Ledger::Item* Ledger::first(Agenda agenda) {
  const auto* turn = queue(agenda).first(still_on(agenda));
  return turn ? &*holds_.find(turn->second) : nullptr;
}

void Ledger::take(Item& first) {
  queue(first.second.agenda).pop();
  first.second.agenda = Agenda::none;
}

Ledger::Item* Ledger::first_doubted() {
  const auto* turn = doubts_.first(still_doubted());
  return turn ? &*holds_.find(turn->second) : nullptr;
}

Due Ledger::due(Instant now) {
  Due due;
  due.remove = std::exchange(removals_, {});
  // Removed for one disc and wanted again by another meanwhile.
  std::erase_if(due.remove, [this](const NeighbourKey& key) { return holds_.contains(key); });
  collect_writes(now, due);
  collect_asks(now, due);
  collect_doubted(now, due);
  return due;
}

void Ledger::collect_writes(Instant now, Due& due) {
  for (Item* item; (item = first(Agenda::write)) && item->second.due <= now &&
                   tuning_.repairs.take(now, 1) == 1;) {
    auto& [key, hold] = *item;
    take(*item);
    const bool validated = tuning_.validated && hold.write_state == netlink::nud::stale;
    due.write.push_back(
        {key, *hold.binding.lladdr, hold.write_state, validated, !hold.present, tuning_.exempt});
    if (hold.installed) count_repair(hold, now);
  }
}

void Ledger::collect_asks(Instant now, Due& due) {
  for (Item* item; (item = first(Agenda::ask)) && item->second.due <= now &&
                   tuning_.resolutions.take(now, 1) == 1;) {
    auto& [key, hold] = *item;
    take(*item);
    if (hold.attempts < 255) ++hold.attempts;
    ++counters_.resolutions;
    if (hold.binding.lladdr) {
      // PROBE asks the known address first and then, with mcast_resolicit, everybody; packets
      // need not wait meanwhile.
      due.write.push_back(
          {key, *hold.binding.lladdr, netlink::nud::probe, false, !hold.present, tuning_.exempt});
    } else {
      due.resolve.push_back({key, !hold.present, tuning_.exempt});
      schedule(*item, Agenda::ask, now + doubled(answer_within, hold.attempts - 1u, ask_again_max));
    }
  }
}

// PROBE asks at the known address, then everybody. What was validated stays so: whoever does not
// answer keeps its entry, as it would have without our question.
void Ledger::collect_doubted(Instant now, Due& due) {
  for (Item* item; (item = first_doubted()) && tuning_.resolutions.take(now, 1) == 1;) {
    auto& [key, hold] = *item;
    doubts_.pop();
    hold.doubtful = false;
    hold.doubted = now;
    if (hold.phase != Phase::held || hold.agenda != Agenda::none) continue;
    ++counters_.resolutions;
    due.write.push_back(
        {key, *hold.binding.lladdr, netlink::nud::probe, tuning_.validated, false, tuning_.exempt});
  }
}

void Ledger::written(const NeighbourKey& key) {
  const auto found = holds_.find(key);
  if (found == holds_.end()) return;
  Hold& hold = found->second;
  hold.error = 0;
  hold.present = true;
  // A question, or a probe of a neighbour that did not answer, is no answer yet.
  if (hold.phase != Phase::writing) return;
  if (hold.installed) {
    ++hold.repairs;
    returned_.push_back(key);
  }
  ++(hold.installed ? counters_.repaired : counters_.installed);
  enter(*found, Phase::held);
}

void Ledger::refused(const NeighbourKey& key, int error, Instant now) {
  ++counters_.errors;
  const auto found = holds_.find(key);
  if (found == holds_.end()) return;
  Hold& hold = found->second;
  const bool forbidden = error == EPERM || error == EACCES;
  if (forbidden && hold.error != error) settled_.push_back(key);
  hold.error = static_cast<std::uint16_t>(error);
  count_repair(hold, now);
  const auto delay = forbidden ? when_forbidden : doubled(10ms, hold.repairs_in_a_row, holdoff_max);
  const bool ask = !hold.binding.lladdr || hold.phase == Phase::failed;
  schedule(*found, ask ? Agenda::ask : Agenda::write, now + delay);
}

void Ledger::contested(const NeighbourKey& key, const Neighbour* actual, Instant now) {
  const auto found = holds_.find(key);
  if (found == holds_.end()) return;
  count_repair(found->second, now);  // So that a quarrel is carried on ever more slowly.
  judge(*found, actual, now, false);
}

void Ledger::forgive(int ifindex, Instant now) {
  for (auto at = holds_.lower_bound({ifindex, {}});
       at != holds_.end() && at->first.ifindex == ifindex; ++at) {
    Hold& hold = at->second;
    const bool refused = hold.error != 0 && hold.error != EPERM && hold.error != EACCES;
    if (!refused || hold.agenda == Agenda::none) continue;
    hold.repairs_in_a_row = 0;
    schedule(*at, hold.agenda, now);
  }
}

std::optional<Instant> Ledger::next(Instant now) {
  std::optional<Instant> soonest;
  if (!removals_.empty()) soonest = now;
  const auto consider = [&](Agenda agenda, Pacer& pacer) {
    const Item* item = first(agenda);
    if (!item) return;
    const Instant at = std::max(item->second.due, pacer.next(now));
    if (!soonest || at < *soonest) soonest = at;
  };
  consider(Agenda::write, tuning_.repairs);
  consider(Agenda::ask, tuning_.resolutions);
  if (first_doubted())
    soonest = std::min(soonest.value_or(Instant::max()), tuning_.resolutions.next(now));
  return soonest;
}

}  // namespace head::neigh
