// Route mode: what the tails are thought of, as next hops.
#include "head/base/log.hpp"
#include "head/neigh/keeper_work.hpp"
#include "netlink/format.hpp"

#include <algorithm>
#include <utility>

namespace head::neigh {

using netlink::Neighbour;
using netlink::NeighbourKey;

// A tail that is asked, or good, has its entry whether discs are led over it or not.
void Keeper::Work::ask_tail(const NeighbourKey& key, const netlink::Mac& lladdr, Instant now) {
  Tail& tail = tails_[key];
  tail.ask(lladdr, now);
  if (ledger_.add(key, tail_claim(lladdr), now)) fresh_tails_.push_back(key);
  leftovers_.erase(key);
  if (former_tails_.erase(key) > 0)
    tail.believe(now);
  else
    to_probe_.insert(key);
}

// The kernel's word on an entry: perhaps a tail's, or of a disc that is to be led again.
void Keeper::Work::seen(const NeighbourKey& key, std::uint16_t state, Instant now) {
  if (options_.mode != Mode::routes) return;
  if (const auto tail = tails_.find(key); tail != tails_.end()) {
    const bool was_good = tail->second.trust() == Tail::Trust::good;
    if (!tail->second.see(state, now)) return;
    if (tail->second.trust() == Tail::Trust::good)
      on_good_tail(key, now);
    else
      on_bad_tail(key, was_good, now);
    return;
  }
  Way* way = state == netlink::nud::reachable ? book_.find(key.address) : nullptr;
  if (!way || way->users > 0) return;
  way->in_doubt = false;
  for_users(key, [&](Disc* disc) { doubts_.doubt(disc, now); });
}

void Keeper::Work::on_good_tail(const NeighbourKey& key, Instant now) {
  book_.trust(key, now);
  promote_ = true;
}

void Keeper::Work::on_bad_tail(const NeighbourKey& key, bool was_good, Instant now) {
  const auto link = places_.links().find(key.ifindex);
  if (was_good && link != places_.links().end() && !link->second.running()) {
    tails_[key].believe(now);  // It is the way that is away.
    return;
  }
  std::size_t discs = 0;
  for_users(key, [&](Disc* disc) {
    // Where a tail died its discs are elsewhere soon.
    if (Way* way = was_good ? book_.find(disc->address) : nullptr) way->in_doubt = true;
    doubts_.doubt(disc, now);
    ++discs;
  });
  const Hold* hold = ledger_.find(key);
  const std::string lladdr =
      netlink::to_string(hold && hold->binding.lladdr ? *hold->binding.lladdr : netlink::Mac());
  ledger_.release(key);
  static log::RateLimit limit;
  if (const auto pass = limit.pass(Instant::clock::now()))
    log::warning(
        "the tail {} does not answer at {}: its {} discs are kept as neighbours until it does; "
        "[tails] in head.toml can name its link-local address ({} more like it)",
        lladdr, netlink::to_string(key.address), discs, pass->held);
}

// Tails that were written are asked; where somebody else keeps an entry, it is believed.
void Keeper::Work::probe(Instant now) {
  for (auto at = to_probe_.begin(); at != to_probe_.end();) {
    const NeighbourKey key = *at;
    const Hold* hold = ledger_.find(key);
    const bool busy = hold && (hold->phase == Phase::writing || hold->phase == Phase::unseen);
    if (busy) {
      ++at;
      continue;
    }
    at = to_probe_.erase(at);
    if (!hold || hold->phase == Phase::failed || hold->phase == Phase::resolving) continue;
    // A disc in doubt was REACHABLE before, too.
    const bool answers = hold->state == netlink::nud::reachable && tails_.contains(key);
    if (hold->phase == Phase::foreign || answers) {
      seen(key, netlink::nud::reachable, now);
      continue;
    }
    Neighbour like;
    like.key = key;
    like.lladdr = hold->binding.lladdr;
    like.state = netlink::nud::stale;
    like.protocol = netlink::our_protocol;
    ledger_.doubt(key, like, now);
    if (const auto tail = tails_.find(key); tail != tails_.end()) tail->second.probed();
  }
}

void Keeper::Work::tend_tails(Instant now) {
  for (auto& [key, tail] : tails_) {
    const auto due = tail.due();
    if (!due || now < *due) continue;
    if (tail.trust() == Tail::Trust::bad) {
      ask_tail(key, tail.lladdr(), now);
      continue;
    }
    tail.distrust(now);
    on_bad_tail(key, false, now);
  }
  if (!std::exchange(promote_, false)) return;
  for (const auto& disc : discs_)
    if (disc->has_neighbour() && disc->placed.on_link && !disc->placed.routed)
      doubts_.doubt(disc.get(), now);
}

}  // namespace head::neigh
