// Route mode: which discs are led over their tails, and what their tails are thought of.
#include "head/base/log.hpp"
#include "head/neigh/keeper_work.hpp"
#include "netlink/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace head::neigh {

using netlink::HostRoute;
using netlink::Neighbour;
using netlink::NeighbourKey;
using namespace std::chrono_literals;

namespace {

constexpr auto question_again = 2s;
constexpr auto lost_long = 500ms;
constexpr auto forget_after = 5min;  // Longer than the time between reconciliations is by default.

}  // namespace

bool Keeper::Work::suits_routes(const netlink::Ip6& address) const {
  if (options_.mode != Mode::routes || !options_.enabled || netlink::is_link_local(address))
    return false;
  const auto& prefixes = options_.route_prefixes;
  return prefixes.empty() || std::any_of(prefixes.begin(), prefixes.end(), [&](const auto& prefix) {
           return netlink::contains(prefix, address);
         });
}

// Routes of a former run serve until their discs are wanted, or nobody wants them.
void Keeper::Work::adopt_routes(const std::vector<Neighbour>& entries) {
  std::vector<HostRoute> all;
  if (netlink::dump_routes(table_.socket(), all)) return;
  for (const HostRoute& route : all) {
    leftover_routes_.insert({route.address, route});
    const Neighbour* entry = netlink::find(entries, route.next_hop);
    if (options_.mode == Mode::routes && entry && entry->ours() && entry->usable())
      former_tails_.insert({route.next_hop, *entry->lladdr});
  }
}

// What was right when the former run ended was seen by it; the claim may be older.
Way& Keeper::Work::way_of(const Disc& disc) {
  if (Way* way = book_.find(disc.address)) return *way;
  Way& way = book_.at(disc.address);
  way.binding = disc.claim;
  const auto left = leftover_routes_.find(disc.address);
  if (left == leftover_routes_.end()) return way;
  const auto tail = former_tails_.find(left->second.next_hop);
  if (tail != former_tails_.end())
    way.binding = merge(way.binding, {.lladdr = tail->second, .source = Source::wire});
  return way;
}

BindingStatus Keeper::Work::whereabouts(const Disc& disc, Instant now) {
  const netlink::Ip6& address = disc.address;
  BindingStatus found = places_.place(want_of(disc), disc.placed.neighbour.ifindex);
  const bool on_link = found.state == BindingState::waiting && found.on_link;
  if (!on_link || !suits_routes(address)) return found;
  Way& way = way_of(disc);
  const Hold* hold = ledger_.find(found.neighbour);
  // The ledger weighs what is kept as a neighbour.
  if (way.users == 0) way.binding = hold ? hold->binding : merge(way.binding, disc.claim);
  const bool routed = disc.placed.routed && disc.has_neighbour();
  const std::uint32_t others = way.users - (routed ? 1 : 0);
  const bool apart = others > 0 && way.tail.ifindex != found.neighbour.ifindex;
  if (!way.binding.lladdr || apart) return found;
  const NeighbourKey key{found.neighbour.ifindex,
                         next_hop(options_.next_hops, *way.binding.lladdr)};
  Tail& tail = tails_[key];
  tail.want(now);
  const bool steady =
      routed || (hold && hold->phase == Phase::held && hold->agenda == Agenda::none &&
                 hold->binding.source != Source::announcement);
  if (tail.trust() == Tail::Trust::unknown) ask_tail(key, *way.binding.lladdr, now);
  const bool comes = routed && way.waiting && way.tail == key;
  const bool kept = disc.has_neighbour() && !comes;
  const Situation situation{.suits = true,
                            .known = true,
                            .in_doubt = way.in_doubt || way.flaps.flapping(now),
                            .kept = kept,
                            .steady = steady,
                            .trust = tail.trust()};
  if (lead(situation) == Lead::neighbour) return found;
  found.neighbour = key;
  found.routed = true;
  return found;
}

// The last disc at an address takes what is known of it along.
void Keeper::Work::forget_way(const netlink::Ip6& address) {
  bool others = false;
  doubts_.each(address, [&](const Disc*) { others = true; });
  if (!others) book_.forget(address);
}

// Puts it on the books, or takes what a former run left off them.
Binding Keeper::Work::enter_way(const Disc& disc, Instant now) {
  const netlink::Ip6& address = disc.address;
  const auto left = leftover_routes_.find(address);
  if (!disc.placed.routed) {
    // An entry of its own takes its place, which is written before this is done.
    if (left != leftover_routes_.end()) {
      book_.remove(address);
      leftover_routes_.erase(left);
    }
    const Way* way = book_.find(address);
    return way ? merge(way->binding, disc.claim) : disc.claim;
  }
  if (left != leftover_routes_.end()) leftover_routes_.erase(left);
  const NeighbourKey own{disc.placed.neighbour.ifindex, address};
  if (leftovers_.erase(own) > 0) ledger_.remove(own);
  const NeighbourKey& key = disc.placed.neighbour;
  book_.lead(address, key, tails_[key].trust() == Tail::Trust::good, now);
  return tail_claim(book_.at(address).binding.lladdr);
}

// Somebody says where a disc is that a route leads to.
void Keeper::Work::claim_way(const Want& want) {
  Way* way = book_.find(want.address);
  if (!way || way->users == 0) return;  // The ledger weighs it.
  const Binding before = way->binding;
  const Ruling ruling = rule(before, want.claim);
  way->binding = merge(before, want.claim);
  if (ruling == Ruling::overruled) ++way->conflicts;
  if (ruling == Ruling::moved) tell_way_moved(want.address, before);
}

void Keeper::Work::tell_way_moved(const netlink::Ip6& address, const Binding& before) {
  const Way& way = *book_.find(address);
  std::string user;
  outdated_.insert({way.tail.ifindex, address});
  doubts_.each(address, [&](const Disc* disc) {
    if (disc->placed.routed) moves_told_.push_back(user = disc->name);
  });
  Neighbour was;
  was.key = {way.tail.ifindex, address};
  was.lladdr = before.lladdr;
  was.protocol = netlink::our_protocol;
  Neighbour is = was;
  is.lladdr = way.binding.lladdr;
  history_.note({.at = std::chrono::system_clock::now(),
                 .change = {.before = was, .after = is},
                 .written = true,
                 .disc = user});
}

// The kernel has an entry for whoever asked it for an address, a disc with a route too. What it
// learned before a move is not newer than what was said of that.
void Keeper::Work::drop_outdated(std::vector<Neighbour>& there) {
  if (outdated_.empty()) return;
  std::vector<NeighbourKey> gone;
  std::erase_if(there, [&](const Neighbour& entry) {
    const bool learned = entry.protocol == 0 && (entry.flags & netlink::ntf::ext_learned) == 0 &&
                         (entry.state & (netlink::nud::permanent | netlink::nud::noarp)) == 0;
    if (!learned || !outdated_.contains(entry.key)) return false;
    gone.push_back(entry.key);
    return true;
  });
  if (!gone.empty()) table_.remove(gone);
}

// True when it was about a disc that a route leads to.
bool Keeper::Work::announced(const Announcement& said, Instant now) {
  Way* way = book_.find(said.who.address);
  if (!way || way->users == 0 || way->tail.ifindex != said.who.ifindex) return false;
  if (way->binding.lladdr == said.lladdr) return true;
  const Binding before = way->binding;
  const bool calm = !way->flaps.flapping(now);
  const bool telling = way->flaps.count(now);
  if (calm && way->flaps.flapping(now)) ++route_flaps_;
  ++way->conflicts;
  ++route_conflicts_;
  // As a neighbour it is asked where it was told to be, and the ledger minds the pin.
  bool pinned = false;
  doubts_.each(said.who.address, [&](const Disc* disc) {
    pinned |= disc->claim.generation > 0 && disc->claim.lladdr == before.lladdr &&
              ledger_.trust_in(said.who) != Trust::wire;
  });
  if (!pinned)
    way->binding = merge(before, {.lladdr = said.lladdr, .source = Source::announcement});
  if (telling) {
    if (!pinned) tell_way_moved(said.who.address, before);
    doubts_.each(said.who.address, [&](const Disc* disc) {
      conflicts_told_.push_back({disc->name, said.lladdr, false});
    });
  }
  question(said.who.address, now);
  return true;
}

// Whether the disc itself is where it is thought to be: as a neighbour it is asked, and heals.
void Keeper::Work::question(const netlink::Ip6& address, Instant now) {
  Way* way = book_.find(address);
  if (!way) return;
  way->in_doubt = true;
  way->doubted = now;
  std::vector<NeighbourKey> fresh;
  doubts_.each(address, [&](Disc* disc) {
    if (!disc->placed.routed) return;
    BindingStatus found = whereabouts(*disc, now);
    if (found.state != BindingState::waiting || disc->stays(found)) return;
    to_probe_.insert(found.neighbour);
    settle_in(*disc, std::move(found), fresh, now);
  });
  meet(fresh, now);
}

void Keeper::Work::question_silent(const Disc& disc, Instant now) {
  // A connection that was just lost is made again first: to be led as a neighbour and back is dear.
  const std::chrono::nanoseconds since(disc.stats->state_since_ns.load(std::memory_order_relaxed));
  if (!disc.stats->connected() && now - Instant(since) < lost_long) return;
  const Way* way = book_.find(disc.address);
  if (way && way->written && now - way->doubted >= question_again) question(disc.address, now);
}

void Keeper::Work::write_routes(Instant now) {
  const auto write = [&](const std::vector<HostRoute>& routes, bool renewal) {
    const auto failed = netlink::set_routes(table_.socket(), routes);
    auto refused = failed.begin();
    for (std::size_t i = 0; i < routes.size(); ++i) {
      if (refused == failed.end() || refused->index != i) {
        if (!renewal) book_.written(routes[i], now);
        continue;
      }
      const bool hopeless = book_.refused(routes[i], refused->error.value(), now);
      const auto tail = tails_.find(routes[i].next_hop);
      if (hopeless && tail != tails_.end() && tail->second.trust() == Tail::Trust::good) {
        tail->second.distrust(now);
        on_bad_tail(tail->first, false, now);
      }
      ++refused;
    }
    if (renewal) book_.renewed(routes.size() - failed.size());
  };
  if (const auto due = book_.due(now); !due.empty()) write(due, false);
  if (const auto due = book_.renewals(now); !due.empty()) write(due, true);
}

void Keeper::Work::remove_routes(Instant) {
  const std::vector<netlink::Ip6> gone = book_.take_removals();
  if (gone.empty()) return;
  const auto failed = netlink::remove_routes(table_.socket(), gone);
  book_.removed(gone.size() - failed.size());
}

void Keeper::Work::reconcile_routes(Instant now) {
  std::vector<HostRoute> all;
  if (netlink::dump_routes(table_.socket(), all)) return;
  std::erase_if(all, [&](const HostRoute& one) { return leftover_routes_.contains(one.address); });
  routes_reconciled_ += book_.settle(all, now);
  for (auto at = tails_.begin(); at != tails_.end();) {
    bool used = false;
    for_users(at->first, [&](const Disc*) { used = true; });
    const bool good = at->second.trust() == Tail::Trust::good;
    if (good && used) book_.trust(at->first, now);  // What the kernel refused for the link's sake.
    const bool asked = at->second.trust() == Tail::Trust::asked;
    const bool idle = !used && !asked && now - at->second.wanted() > forget_after;
    if (idle && good) ledger_.release(at->first);
    at = idle ? tails_.erase(at) : std::next(at);
  }
  promote_ = options_.mode == Mode::routes;
}

void Keeper::Work::return_routes(int ifindex, Instant now) {
  for (const auto& [key, tail] : tails_)
    if (key.ifindex == ifindex && tail.trust() == Tail::Trust::good) book_.trust(key, now);
}

void Keeper::Work::remove_orphan_routes() {
  for (const auto& [address, route] : std::exchange(leftover_routes_, {})) book_.remove(address);
  former_tails_.clear();
}

void Keeper::Work::report_led() {
  for (const netlink::Ip6& address : book_.take_led())
    doubts_.each(address, [&](Disc* disc) {
      if (state(*disc) != BindingState::waiting) report(*disc);
    });
}

std::string Keeper::Work::problem_of_way(const Disc& disc) const {
  const Way* way = book_.find(disc.address);
  if (!way || way->written) return {};
  const std::string address = netlink::to_string(disc.address);
  if (way->error != 0)
    return fmt::format("{}: the route to {} could not be entered: {}; headd goes on trying",
                       disc.name, address,
                       std::error_code(way->error, std::system_category()).message());
  return fmt::format("{}: the tail of {} has not answered at {} yet", disc.name, address,
                     netlink::to_string(way->tail.address));
}

void Keeper::Work::copy_routes(Snapshot& now, bool with_entries) const {
  const Instant at = Instant::clock::now();
  now.mode = options_.mode;
  now.listening = announcements_ && announcements_->problem().empty();
  now.lease = options_.lease;
  const RouteBook::Counters& counters = book_.counters();
  now.routes_installed = counters.installed;
  now.routes_repaired = counters.repaired;
  now.routes_removed = counters.removed;
  now.routes_renewed = counters.renewed;
  now.counters.errors += counters.errors;
  now.counters.conflicts += route_conflicts_;
  now.counters.flaps += route_flaps_;
  now.counters.reconciled += routes_reconciled_;
  for (const auto& [key, tail] : tails_) now.tails_bad += tail.trust() == Tail::Trust::bad;
  for (const auto& [address, way] : book_.ways()) {
    if (way.users == 0) continue;
    ++now.routes_led;
    if (!with_entries) continue;
    RouteStatus route;
    route.address = address;
    route.next_hop = way.tail;
    route.binding = way.binding;
    route.flapping = way.flaps.flapping(at);
    route.conflicts = way.conflicts;
    route.repairs = way.repairs;
    doubts_.each(address, [&](const Disc* disc) {
      if (!disc->placed.routed) return;
      route.discs.push_back(disc->name);
      if (disc->claim.lladdr) route.told = disc->claim.lladdr;
    });
    now.routes.push_back(std::move(route));
  }
}

}  // namespace head::neigh
