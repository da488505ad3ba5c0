#include "head/base/log.hpp"
#include "head/neigh/keeper_work.hpp"
#include "netlink/address.hpp"

#include <algorithm>

namespace head::neigh {

using netlink::Neighbour;
using netlink::NeighbourKey;

namespace {

constexpr std::chrono::milliseconds patience_min{1};

bool not_asked_yet(const Hold& hold) {
  return hold.agenda == Agenda::ask && hold.attempts == 0 && hold.error == 0;
}

}  // namespace

void Keeper::Work::on_want(std::vector<Want> wants, const SharedReady& ready, Instant now) {
  std::vector<NeighbourKey> fresh;
  std::vector<Disc*> wanted;
  wanted.reserve(wants.size());
  for (Want& want : wants) {
    Disc& disc = disc_named(want.disc);
    accept(disc, std::move(want), fresh, now);
    wanted.push_back(&disc);
  }
  // Not between the discs: where these go there would be holes.
  if (ready)
    for (const Disc* disc : wanted) unanswered_.insert({disc, ready});
  meet(fresh, now);
  for (Disc* disc : wanted) {
    if (!is_unanswered(disc)) continue;  // Nobody asked, or twice in one call.
    if (state(*disc) != BindingState::waiting)
      report(*disc);
    else
      patience_.emplace_back(now + options_.patience, disc->name);
  }
}

std::vector<Keeper::Refused> Keeper::Work::refuse(std::span<const Want> discs) const {
  netlink::Socket socket;
  const Places here(socket);
  std::vector<netlink::HostAddress> addresses;
  netlink::dump_addresses(socket, addresses);
  std::vector<netlink::Ip6> own;
  for (const netlink::HostAddress& one : addresses)
    if (!one.tentative() && !one.duplicate()) own.push_back(one.address);
  std::sort(own.begin(), own.end());
  std::vector<Refused> refused;
  for (std::size_t i = 0; i < discs.size(); ++i)
    if (Objection objection = objection_to(discs[i], here.links(), options_.prefixes, own))
      refused.push_back({.index = i, .sentence = std::move(objection.sentence)});
  return refused;
}

Keeper::Work::Disc& Keeper::Work::disc_named(const std::string& name) {
  if (const auto found = discs_.find(std::string_view(name)); found != discs_.end()) return **found;
  auto disc = std::make_unique<Disc>();
  disc->name = name;
  return **discs_.insert(std::move(disc)).first;
}

const std::string* Keeper::Work::dev_named(std::string name) {
  return &*devs_.insert(std::move(name)).first;
}

Want Keeper::Work::want_of(const Disc& disc) const {
  return {.disc = disc.name,
          .address = disc.address,
          .claim = disc.claim,
          .dev = disc.dev ? *disc.dev : std::string(),
          .stats = disc.stats};
}

void Keeper::Work::accept(Disc& disc, Want want, std::vector<NeighbourKey>& fresh, Instant now) {
  claim_way(want);
  const netlink::Ip6 before = disc.address;
  if (disc.placed.routed && want.address != before) {
    leave(disc);
    disc.placed.state = BindingState::unplaced;
  }
  doubts_.erase(&disc);
  if (disc.stats != want.stats) relieved_.erase(&disc);
  if (disc.stats) by_stats_.erase_key(disc.stats.get());
  disc.address = want.address;
  disc.claim = want.claim;
  disc.stats = std::move(want.stats);
  disc.dev = want.dev.empty() ? nullptr : dev_named(std::move(want.dev));
  doubts_.add(&disc);
  if (disc.stats) by_stats_.insert(&disc);
  if (before != disc.address) forget_way(before);
  BindingStatus found = whereabouts(disc, now);
  const bool still_lost = disc.placed.lost && found.state == BindingState::unplaced;
  if (still_lost) return wait_for_way(disc, std::move(found));
  if (!disc.stays(found)) return settle_in(disc, std::move(found), fresh, now);
  disc.placed.dev = dev_named(std::move(found.dev));
  if (!find_way_again(disc)) tell_way(disc);
  if (disc.placed.on_link && !disc.placed.routed && options_.enabled)
    ledger_.claim(disc.placed.neighbour, disc.claim, now);
  tell_rumour(disc);
}

// New holds: what the kernel has for each, and room for all of them in the table. Those that are
// there already are no others' then.
void Keeper::Work::meet(const std::vector<NeighbourKey>& fresh, Instant now) {
  if (fresh.empty()) return;
  std::vector<Neighbour> there;
  // Unseen, everything is made as where there is nothing: whoever is there is met then.
  if (table_.get(fresh, there)) there.clear();
  drop_outdated(there);
  for (const NeighbourKey& key : fresh) ledger_.observe(key, netlink::find(there, key), now);
  ensure_limits();
}

// Puts a disc where it belongs now, and takes it from where it was.
void Keeper::Work::settle_in(Disc& disc, BindingStatus found, std::vector<NeighbourKey>& fresh,
                             Instant now) {
  leave(disc);
  disc.placed = placed(std::move(found));
  tell_way(disc);
  tell_rumour(disc);
  if (disc.placed.state == BindingState::unplaced) unplaced_.insert(&disc);
  if (disc.placed.state != BindingState::waiting) return;
  const NeighbourKey key = disc.placed.neighbour;
  const bool first = !is_used(key.ifindex);
  users_.insert(&disc);
  behind_gateways_ += !disc.placed.on_link;
  if (first) announce(key.ifindex);
  if (!options_.enabled) {
    disc.placed.state = BindingState::off;
    return;
  }
  if (!devices_.prepare(table_.socket(), key.ifindex, *disc.placed.dev)) ledger_.forgo_validated();
  leftovers_.erase(key);
  // A gateway's link-layer address is not the disc's.
  const Binding told = enter_way(disc, now);
  const Binding claim = disc.placed.on_link ? told : Binding();
  const bool own = disc.placed.on_link && !disc.placed.routed;
  if (ledger_.add(key, claim, now, own ? std::optional(disc.claim) : std::nullopt))
    fresh.push_back(key);
  if (disc.stats) disc.stats->attempts_apart_ms.store(0, std::memory_order_relaxed);
  ledger_.tell_silence(key);
  tell_rumour(disc);
}

void Keeper::Work::leave(Disc& disc) {
  unplaced_.erase(&disc);
  if (!disc.has_neighbour() || !users_.erase_key(ByNeighbour()(&disc))) return;
  behind_gateways_ -= !disc.placed.on_link;
  if (disc.placed.routed) book_.release(disc.address);
  if (options_.enabled) ledger_.release(disc.placed.neighbour);
}

void Keeper::Work::on_forget(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto found = discs_.find(std::string_view(name));
    if (found == discs_.end()) continue;
    Disc& disc = **found;
    leave(disc);
    disc.placed = placed({});
    disc.placed.problem = std::make_unique<std::string>(name + ": nobody needs it any more");
    report(disc);
    doubts_.erase(&disc);
    relieved_.erase(&disc);
    if (disc.stats) by_stats_.erase_key(disc.stats.get());
    forget_way(disc.address);
    discs_.erase(found);
  }
}

// Nothing is sent to it meanwhile, but what was kept for it is right when there is a way again.
void Keeper::Work::wait_for_way(Disc& disc, BindingStatus found) {
  disc.placed.lost = true;
  disc.placed.obstacle = found.obstacle;
  disc.placed.problem = std::make_unique<std::string>(std::move(found.problem));
  tell_way(disc);
}

// True where it had none.
bool Keeper::Work::find_way_again(Disc& disc) {
  if (!std::exchange(disc.placed.lost, false)) return false;
  disc.placed.obstacle = Obstacle::none;
  disc.placed.problem.reset();
  tell_way(disc);
  tell_return(disc);
  tell_interface_back(disc);
  return true;
}

// Where discs are can change with links, addresses and routes. Those in doubt look again; they stay
// where there is no better place.
void Keeper::Work::place_again(Instant now) {
  const std::vector<Disc*> doubted = doubts_.take(now);
  std::vector<NeighbourKey> fresh;
  std::size_t moved = 0, lost = 0, found_again = 0;
  std::string why;
  for (Disc* disc : doubted) {
    if (disc->placed.state == BindingState::refused) continue;
    BindingStatus found = whereabouts(*disc, now);
    // It could be kept once, so that now is not for ever.
    if (found.state == BindingState::refused) found.state = BindingState::unplaced;
    const bool linked = places_.links().contains(disc->placed.neighbour.ifindex);
    const bool no_better = found.state == BindingState::unplaced && linked;
    const bool stays = disc->stays(found);
    if (stays) {
      disc->placed.dev = dev_named(std::move(found.dev));  // Perhaps renamed.
      found_again += find_way_again(*disc);
      continue;
    }
    const bool unplaced = found.state == BindingState::unplaced;
    const bool was_lost = disc->placed.lost, had_way = disc->has_neighbour() && !was_lost;
    if (unplaced && had_way && lost++ == 0) why = found.problem;
    if (disc->has_neighbour() && no_better) {
      wait_for_way(*disc, std::move(found));
      continue;
    }
    // Led over another tail, or by no route any more, it is reached as before.
    const bool same = (found.routed || disc->placed.routed) && found.on_link &&
                      found.neighbour.ifindex == disc->placed.neighbour.ifindex;
    if (disc->has_neighbour() && !same && !unplaced) ++moved;
    settle_in(*disc, std::move(found), fresh, now);
    found_again += was_lost && !unplaced;
    if (same && !was_lost) continue;
    tell_return(*disc);
    tell_interface_back(*disc);  // Another one.
  }
  meet(fresh, now);
  for (Disc* disc : doubted)
    if (state(*disc) != BindingState::waiting) report(*disc);
  moves_ += moved;
  if (moved > 0) log::info("routes or links changed: {} discs are reached another way", moved);
  if (found_again > 0) log::info("{} discs have a way again", found_again);
  if (lost > 0) log::warning("{} discs have no way now, until there is one again: {}", lost, why);
}

Keeper::Work::Placed Keeper::Work::placed(BindingStatus found) {
  Placed made{.state = found.state,
              .obstacle = found.obstacle,
              .on_link = found.on_link,
              .routed = found.routed,
              .neighbour = found.neighbour,
              .dev = dev_named(std::move(found.dev))};
  if (!found.problem.empty())
    made.problem = std::make_unique<std::string>(std::move(found.problem));
  return made;
}

BindingState Keeper::Work::state(const Disc& disc) const {
  if (disc.placed.lost) return BindingState::lost;
  const bool waiting = disc.placed.state == BindingState::waiting;
  const Way* way = disc.placed.routed ? book_.find(disc.address) : nullptr;
  if (disc.placed.routed && !(way && way->written)) return disc.placed.state;
  const Hold* hold = waiting ? ledger_.find(disc.placed.neighbour) : nullptr;
  if (hold && hold->phase == Phase::held) return BindingState::held;
  if (hold && hold->phase == Phase::foreign) return BindingState::foreign;
  return disc.placed.state;
}

Keeper::Work::Facts Keeper::Work::facts(const Disc& disc) const {
  Facts facts;
  BindingStatus& status = facts.status;
  status.state = state(disc);
  status.neighbour = disc.placed.neighbour;
  status.on_link = disc.placed.on_link;
  status.routed = disc.placed.routed;
  status.dev = *disc.placed.dev;
  status.obstacle = disc.placed.obstacle;
  if (disc.placed.problem) status.problem = *disc.placed.problem;
  const bool waits = disc.placed.state == BindingState::waiting;
  const Hold* hold = waits ? ledger_.find(status.neighbour) : nullptr;
  if (!hold) return facts;
  const Way* way = status.routed ? book_.find(disc.address) : nullptr;
  status.binding = way ? way->binding : hold->binding;
  if (way && status.state == BindingState::waiting) {
    status.obstacle = way->error != 0 ? Obstacle::unwritten : Obstacle::unanswered;
    status.problem = problem_of_way(disc);
  }
  facts.held = true;
  facts.told = disc.claim.lladdr.has_value();
  facts.asked = !not_asked_yet(*hold);
  facts.phase = hold->phase;
  facts.error = hold->error;
  return facts;
}

// To everybody who waits to be told, one who was replaced included.
void Keeper::Work::report(Disc& disc) {
  std::optional<Facts> known;
  for (auto at = first_unanswered(&disc); at != unanswered_.end(); at = first_unanswered(&disc)) {
    if (!known) known = facts(disc);
    reports_.push_back({std::move(at->second), disc.name, *known});
    unanswered_.erase(at);
  }
}

void Keeper::Work::report_settled() {
  for (const NeighbourKey& key : ledger_.take_settled()) {
    for_users(key, [&](Disc* disc) {
      const bool comes = disc->placed.routed && state(*disc) == BindingState::waiting;
      if (!comes) report(*disc);
      if (suits_routes(disc->address) && !disc->placed.routed)
        doubts_.doubt(disc, Instant::clock::now());
    });
  }
}

void Keeper::Work::report_moved() {
  for (const NeighbourKey& key : ledger_.take_moved()) {
    // Behind a gateway the tail is where it was, whoever the gateway is.
    for_users(key, [&](const Disc* disc) {
      if (disc->stats) disc->stats->attempts_apart_ms.store(0, std::memory_order_relaxed);
      if (disc->placed.on_link) moves_told_.push_back(disc->name);
    });
  }
  if (moves_told_.empty()) return;
  static log::RateLimit limit;  // Whoever can send advertisements can make it come again.
  if (const auto pass = limit.pass(Instant::clock::now()))
    log::info(
        "{} discs are at another link-layer address now, or there again ({}; {} more like it)",
        moves_told_.size(), moves_told_.front(), pass->held);
}

void Keeper::Work::report_contradicted() {
  for (const NeighbourKey& key : ledger_.take_contradicted()) {
    const Hold* hold = ledger_.find(key);
    if (!hold || !hold->binding.lladdr) continue;
    // A claim that was not followed was only said.
    const Dispute* dispute = ledger_.dispute(key);
    const bool there = !dispute || !dispute->claimed || hold->told != hold->binding.lladdr;
    const netlink::Mac where = there ? *hold->binding.lladdr : *dispute->claimed;
    // Whoever is behind a gateway was not told of it.
    for_users(key, [&](const Disc* disc) {
      if (disc->placed.on_link)
        conflicts_told_.push_back({disc->name, where, there && hold->answered});
    });
  }
}

void Keeper::Work::report_impatient(Instant now) {
  for (; !patience_.empty() && patience_.front().first <= now; patience_.pop_front()) {
    const auto found = discs_.find(std::string_view(patience_.front().second));
    if (found == discs_.end() || !is_unanswered(found->get())) continue;
    const Hold* hold = ledger_.find((*found)->placed.neighbour);
    // Its question waits for its turn: whoever opened it now would ask past the pacing.
    if (hold && not_asked_yet(*hold))
      patience_.emplace_back(now + std::max(options_.patience, patience_min), (*found)->name);
    else
      report(**found);
  }
}

}  // namespace head::neigh
