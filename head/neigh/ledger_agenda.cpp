// When what is to be done is due, how much of it at a time, and what became of it.
#include "head/neigh/ledger.hpp"

#include <algorithm>
#include <cerrno>

namespace head::neigh {

using netlink::Neighbour;
using netlink::NeighbourKey;
using namespace std::chrono_literals;

namespace {

constexpr auto quiet = 10s;       // After so long without a repair, the next one is at once again.
constexpr auto holdoff_max = 1s;  // Somebody keeps undoing our work: no faster than this.
constexpr std::chrono::milliseconds when_forbidden = 10s;  // Permission seldom comes back.
constexpr auto ask_again_max = 5s;
constexpr std::chrono::milliseconds answer_within =
    1s;  // In case the kernel's word on the outcome is lost.

std::chrono::milliseconds doubled(std::chrono::milliseconds first, unsigned times,
                                  std::chrono::milliseconds max) {
  return std::min(first * (1 << std::min(times, 12u)), max);
}

// An attempt: the next one waits longer, unless all is quiet meanwhile.
void count_repair(Hold& hold, Instant now) {
  hold.repaired = now;
  if (hold.repairs_in_a_row < 255) ++hold.repairs_in_a_row;
}

}  // namespace

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

// What was kept to ourselves while it changed to and fro.
void Ledger::tell_late(Instant now) {
  for (const NeighbourKey& key : disputes_.late(now)) {
    const auto found = holds_.find(key);
    if (found == holds_.end()) continue;
    if (found->second.phase == Phase::held)
      moved_.push_back(key);
    else
      found->second.moving = true;
  }
}

Due Ledger::due(Instant now) {
  tell_late(now);
  soften_late(now);
  Due due;
  due.remove = std::exchange(removals_, {});
  // Removed for one disc and wanted again by another meanwhile.
  std::erase_if(due.remove, [this](const NeighbourKey& key) { return holds_.contains(key); });
  inquiries_first_ = !inquiries_first_;
  if (inquiries_first_) collect_solicitations(now, due);
  collect_asks(now, due);
  if (!inquiries_first_) collect_solicitations(now, due);
  collect_writes(now, due);
  collect_doubted(now, due);
  return due;
}

void Ledger::collect_writes(Instant now, Due& due) {
  for (Item* item; (item = first(Agenda::write)) && item->second.due <= now &&
                   tuning_.repairs.take(now, 1) == 1;) {
    auto& [key, hold] = *item;
    take(*item);
    const bool firm = is_firm(*item);
    if (hold.write_state == netlink::nud::stale && firm) hold.write_state = netlink::nud::permanent;
    if (hold.write_state == netlink::nud::permanent && !firm)
      hold.write_state = netlink::nud::stale;
    if (hold.write_state == netlink::nud::probe && hold.asked == Instant{}) hold.asked = now;
    // A question because of a claim goes with all our marks: for one that it lacks it would be cut
    // short by the next look at the entry.
    const bool challenge = hold.write_state == netlink::nud::probe && disputes_.is_challenged(key);
    const bool validated =
        tuning_.validated && (hold.write_state == netlink::nud::stale || challenge);
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
    if (hold.asked == Instant{}) hold.asked = now;
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
    if (hold.phase != Phase::held || hold.agenda != Agenda::none || inquiries_.find(key)) continue;
    disputes_.soften(key);
    if (hold.asked == Instant{}) hold.asked = now;
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
  hold.unwritten = false;
  // A question, or a probe of a neighbour that did not answer, is no answer yet.
  if (hold.phase != Phase::writing) return;
  // Made permanent as nobody answers there, it is no more usable than it was.
  if (is_quiet(*found)) return enter(*found, Phase::held);
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
  for (auto at = holds_.lower_bound(NeighbourKey{ifindex, {}});
       at != holds_.end() && at->first.ifindex == ifindex; ++at) {
    Hold& hold = at->second;
    hold.asked = {};  // Nobody could hear it.
    const bool refused = hold.error != 0 && hold.error != EPERM && hold.error != EACCES;
    if (!refused || hold.agenda == Agenda::none) continue;
    hold.repairs_in_a_row = 0;
    schedule(*at, hold.agenda, now);
  }
}

std::optional<Instant> Ledger::next(Instant now) {
  std::optional<Instant> soonest;
  if (!removals_.empty()) soonest = now;
  if (const auto late = disputes_.next())
    soonest = std::min(soonest.value_or(Instant::max()), *late);
  const auto consider = [&](Agenda agenda, Pacer& pacer) {
    const Item* item = first(agenda);
    if (!item) return;
    const Instant at = std::max(item->second.due, pacer.next(now));
    if (!soonest || at < *soonest) soonest = at;
  };
  consider(Agenda::write, tuning_.repairs);
  consider(Agenda::ask, tuning_.resolutions);
  if (const auto inquiry = inquiries_.first())
    soonest = std::min(soonest.value_or(Instant::max()),
                       std::max(inquiry->first, tuning_.resolutions.next(now)));
  if (const auto host = silences_.next())
    soonest =
        std::min(soonest.value_or(Instant::max()), std::max(*host, tuning_.resolutions.next(now)));
  if (first_doubted())
    soonest = std::min(soonest.value_or(Instant::max()), tuning_.resolutions.next(now));
  return soonest;
}

}  // namespace head::neigh
