#include "head/base/log.hpp"
#include "head/neigh/keeper_work.hpp"
#include "head/neigh/sizing.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

namespace head::neigh {

using netlink::Neighbour;
using netlink::NeighbourKey;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t looks_max = 64;  // One look at everybody is cheaper than more than this.
constexpr auto remove_again_after = 5s;
constexpr auto silent_still = 1s;      // A waiting disc says so again sooner than this.
constexpr std::size_t rounds_max = 4;  // Of refused writes in one turn; the rest wait for the next.

}  // namespace

// A route is there before the disc's own entry goes, and goes after that is there.
void Keeper::Work::apply(Instant now) {
  if (!fresh_tails_.empty()) meet(std::exchange(fresh_tails_, {}), now);
  write_routes(now);
  apply_entries(now);
  if (!to_probe_.empty()) {
    probe(now);
    apply_entries(now);
    write_routes(now);
  }
  remove_routes(now);
  tell_reliefs();
}

void Keeper::Work::apply_entries(Instant now) {
  for (std::size_t round = 0; round < rounds_max; ++round) {
    const Due due = ledger_.due(now);
    tell_rumours();
    if (due.empty()) return;
    for (const Solicitation& question : due.solicit)
      if (!solicit(question)) ledger_.unasked(question, now);
    remove(due.remove, now);
    std::vector<NeighbourKey> contested;
    outcome(due.write, table_.set(due.write), contested, now);
    outcome(due.resolve, table_.resolve(due.resolve), contested, now);
    look_again(contested, now);
  }
}

// Tells the ledger what became of each. What was to be made where there was nothing, and met
// somebody else's entry, is contested.
template <class Requests>
void Keeper::Work::outcome(const Requests& requests, const std::vector<netlink::EntryError>& failed,
                           std::vector<NeighbourKey>& contested, Instant now) {
  auto refused = failed.begin();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (refused == failed.end() || refused->index != i) {
      ledger_.written(requests[i].key);
      remember(requests[i]);
      continue;
    }
    if (refused->error.value() == EEXIST)
      contested.push_back(requests[i].key);
    else
      ledger_.refused(requests[i].key, refused->error.value(), now);
    ++refused;
  }
}

void Keeper::Work::look_again(const std::vector<NeighbourKey>& contested, Instant now) {
  std::vector<Neighbour> there;
  const auto error = table_.get(contested, there);
  for (const NeighbourKey& key : contested) {
    if (error)
      ledger_.refused(key, error.value(), now);
    else
      ledger_.contested(key, netlink::find(there, key), now);
  }
}

// Of these, only what is ours; what could not be removed now is tried again later.
void Keeper::Work::remove(const std::vector<NeighbourKey>& keys, Instant now) {
  std::vector<Neighbour> there;
  std::vector<NeighbourKey> ours;
  bool failed = static_cast<bool>(table_.get(keys, there));
  if (failed) {
    leftovers_.insert(keys.begin(), keys.end());
  } else {
    for (const Neighbour& entry : there)
      if (entry.ours()) ours.push_back(entry.key);
    const auto refused = table_.remove(ours);
    for (const auto& [index, error] : refused) leftovers_.insert(ours[index]);
    removed_ += ours.size() - refused.size();
    failed = !refused.empty();
  }
  if (failed) orphans_at_ = std::max(orphans_at_, now + remove_again_after);
}

void Keeper::Work::reconcile(Instant now) {
  reconcile_at_ = now + options_.reconcile;
  doubt_places(now);
  if (!options_.enabled) return;
  std::vector<Neighbour> all;
  if (const auto error = table_.dump(all)) {
    log::warning("the neighbour table cannot be read: {}", error.message());
    reconcile_at_ = now + 1s;
    return;
  }
  auto there = all.cbegin();  // Both are by key.
  for (const auto& [key, hold] : ledger_.holds()) {
    while (there != all.cend() && there->key < key) ++there;
    const bool present = there != all.cend() && there->key == key;
    if (!present || !there->usable()) mark_missing(key, now);
  }
  ledger_.settle(all, now);
  reconcile_routes(now);
}

// Not every change of where packets go is told: one of a rule is not, nor that a gateway answers
// again. To look up every disc takes seconds of a core; to find that nothing changed, milliseconds.
void Keeper::Work::doubt_places(Instant now) {
  netlink::RoutesDigest found;
  const bool unread = static_cast<bool>(netlink::digest_routes(table_.socket(), found));
  const bool same = found.sum == routes_.sum;
  routes_ = found;
  if (unread || !same || found.gateways) return doubts_.doubt_all(now);
  if (behind_gateways_ == 0) return;
  for (Disc* disc : users_)
    if (!disc->placed.on_link) doubts_.doubt(disc, now);
}

void Keeper::Work::remove_orphans() {
  for (const NeighbourKey& key : std::exchange(leftovers_, {})) ledger_.remove(key);
}

void Keeper::Work::ensure_limits() {
  const std::size_t discs = ledger_.holds().size();
  std::size_t ours = ledger_.entries() + leftovers_.size();
  if (!limits_.too_low(discs, ours)) return;
  // The kernel's own entries on account of discs are worth a dump only now.
  std::vector<Neighbour> all;
  if (!table_.dump(all)) ours = entries_of_discs(ledger_.desired(), all);
  if (limits_.ensure(discs, ours)) ++raises_;
}

void Keeper::Work::ensure_permission() {
  const bool permitted = !table_.permission();
  if (permitted_ && !permitted) log::warning("{}", not_permitted);
  if (permitted && !permitted_) log::info("headd may change the neighbour table again");
  permitted_ = permitted;
}

void Keeper::Work::mark_missing(const NeighbourKey& key, Instant now) {
  if (!carries(key.ifindex, now)) return;
  const std::int64_t now_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  for_users(key, [&](const Disc* disc) {
    if (disc->stats) disc->stats->neighbour_missing_at_ns.store(now_ns, std::memory_order_relaxed);
  });
}

void Keeper::Work::on_looks(Instant now) {
  std::vector<Disc*> discs;
  while (const auto stats = waiting_looks_.pop()) {
    ++looks_;
    if (const auto found = by_stats_.find(static_cast<const stats::DiscStats*>(stats.get()));
        found != by_stats_.end())
      discs.push_back(*found);
  }
  const bool all_of_them = look_at_all_.exchange(false);
  if (discs.empty() && !all_of_them) return;
  std::vector<Neighbour> all;
  const bool dumped = (all_of_them || discs.size() > looks_max) && !table_.dump(all);
  if (dumped && all_of_them) {
    for (Disc* disc : by_stats_)
      if (disc->stats->in_flight.load(std::memory_order_relaxed) > 0 || is_silent(*disc, now))
        check(*disc, netlink::find(all, disc->placed.neighbour), now);
    return;
  }
  for (Disc* disc : discs) {
    Neighbour one;
    const NeighbourKey& key = disc->placed.neighbour;
    check(*disc, dumped ? netlink::find(all, key) : table_.get(key, one) ? nullptr : &one, now);
  }
}

// It says so again sooner than it is forgotten.
bool Keeper::Work::is_silent(const Disc& disc, Instant now) {
  constexpr auto relaxed = std::memory_order_relaxed;
  const std::chrono::nanoseconds said(disc.stats->silent_at_ns.load(relaxed));
  const std::chrono::nanoseconds since(disc.stats->state_since_ns.load(relaxed));
  const bool is_back = disc.stats->connected() && since >= said;
  return !is_back && now - Instant(said) < silent_still;
}

void Keeper::Work::check(Disc& disc, const Neighbour* actual, Instant now) {
  if (!disc.has_neighbour()) return;
  if (disc.stats->connected())
    ledger_.reached(disc.placed.neighbour,
                    Instant(std::chrono::nanoseconds(
                        disc.stats->state_since_ns.load(std::memory_order_relaxed))),
                    now);
  const bool silent = is_silent(disc, now) && can_ask(disc.placed.neighbour.ifindex);
  if (actual && actual->usable()) {
    if (options_.enabled && silent)
      disc.placed.routed ? question_silent(disc, now)
                         : ledger_.suspect(disc.placed.neighbour, *actual, now);
    return;
  }
  ++looks_bad_;
  // Not the turn's beginning: the request may have come since.
  mark_missing(disc.placed.neighbour, std::chrono::steady_clock::now());
  if (options_.enabled) ledger_.observe(disc.placed.neighbour, actual, now);
  if (options_.enabled && silent && actual && !disc.placed.routed)
    ledger_.suspect(disc.placed.neighbour, *actual, now);
}

}  // namespace head::neigh
