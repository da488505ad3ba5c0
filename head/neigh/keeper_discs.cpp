#include "head/base/log.hpp"
#include "head/neigh/keeper_work.hpp"
#include "netlink/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace head::neigh {

using netlink::Neighbour;
using netlink::NeighbourKey;

namespace {

constexpr std::chrono::milliseconds patience_min{1};

bool not_asked_yet(const Hold& hold) {
  return hold.agenda == Agenda::ask && hold.attempts == 0 && hold.error == 0;
}

// Why the kernel refused an entry, and the way out.
std::string why(int error) {
  if (error == EPERM || error == EACCES)
    return "headd lacks CAP_NET_ADMIN; start it as root or with that capability";
  if (error == ENOBUFS)
    return "the table is full, or the kernel is short of memory; see `headctl neigh`";
  return std::error_code(error, std::system_category()).message() + "; headd goes on trying";
}

}  // namespace

void Keeper::Work::on_want(std::vector<Want> wants, const SharedReady& ready, Instant now) {
  std::vector<NeighbourKey> fresh;
  std::vector<Disc*> wanted;
  wanted.reserve(wants.size());
  for (Want& want : wants) {
    Disc& disc = discs_[want.disc];
    accept(disc, std::move(want), fresh, now);
    disc.ready = ready;
    wanted.push_back(&disc);
  }
  meet(fresh, now);
  for (Disc* disc : wanted) {
    if (!disc->ready) continue;  // Twice in one call.
    if (state(*disc) != BindingState::waiting)
      report(*disc);
    else
      patience_.emplace_back(now + options_.patience, disc->want.disc);
  }
}

void Keeper::Work::accept(Disc& disc, Want want, std::vector<NeighbourKey>& fresh, Instant now) {
  doubts_.erase(disc.want.address, &disc);
  doubts_.add(want.address, &disc);
  if (disc.want.stats) by_stats_.erase(disc.want.stats.get());
  if (want.stats) by_stats_[want.stats.get()] = &disc;
  BindingStatus found = places_.place(want);
  disc.want = std::move(want);
  if (!disc.stays(found)) return settle_in(disc, std::move(found), fresh, now);
  disc.placed.dev = &*devs_.insert(std::move(found.dev)).first;
  tell_way(disc);
  if (disc.placed.on_link && options_.enabled)
    ledger_.claim(disc.placed.neighbour, disc.want.claim, now);
}

// New holds: what the kernel has for each, and room for all of them in the table. Those that are
// there already are no others' then.
void Keeper::Work::meet(const std::vector<NeighbourKey>& fresh, Instant now) {
  if (fresh.empty()) return;
  std::vector<Neighbour> there;
  // Unseen, everything is made as where there is nothing: whoever is there is met then.
  if (table_.get(fresh, there)) there.clear();
  for (const NeighbourKey& key : fresh) ledger_.observe(key, netlink::find(there, key), now);
  ensure_limits();
}

// Puts a disc where it belongs now, and takes it from where it was.
void Keeper::Work::settle_in(Disc& disc, BindingStatus found, std::vector<NeighbourKey>& fresh,
                             Instant now) {
  leave(disc);
  disc.placed = placed(std::move(found));
  tell_way(disc);
  if (disc.placed.state == BindingState::unplaced) unplaced_.insert(&disc);
  if (disc.placed.state != BindingState::waiting) return;
  const NeighbourKey key = disc.placed.neighbour;
  const bool first = !is_used(key.ifindex);
  users_.emplace(key, &disc);
  behind_gateways_ += !disc.placed.on_link;
  if (first) announce(key.ifindex);
  if (!options_.enabled) {
    disc.placed.state = BindingState::off;
    return;
  }
  if (!devices_.prepare(table_.socket(), key.ifindex, *disc.placed.dev)) ledger_.forgo_validated();
  leftovers_.erase(key);
  // A gateway's link-layer address is not the disc's.
  const Binding claim = disc.placed.on_link ? disc.want.claim : Binding();
  if (ledger_.add(key, claim, now)) fresh.push_back(key);
}

// To whoever asks how the disc is reached.
void Keeper::Work::tell_way(const Disc& disc) const noexcept {
  if (!disc.want.stats) return;
  int ifindex = disc.placed.neighbour.ifindex;
  // Where there is no neighbour to know there is an interface all the same.
  if (const auto* link = ifindex == 0 ? find_link(places_.links(), *disc.placed.dev) : nullptr)
    ifindex = link->ifindex;
  disc.want.stats->ifindex.store(ifindex, std::memory_order_relaxed);
}

void Keeper::Work::leave(Disc& disc) {
  unplaced_.erase(&disc);
  if (!disc.has_neighbour() || users_.erase({disc.placed.neighbour, &disc}) == 0) return;
  behind_gateways_ -= !disc.placed.on_link;
  if (options_.enabled) ledger_.release(disc.placed.neighbour);
}

void Keeper::Work::on_forget(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto found = discs_.find(name);
    if (found == discs_.end()) continue;
    leave(found->second);
    doubts_.erase(found->second.want.address, &found->second);
    if (found->second.want.stats) by_stats_.erase(found->second.want.stats.get());
    discs_.erase(found);
  }
}

// Where discs are can change with links, addresses and routes. Those in doubt look again; they stay
// where there is no better place.
void Keeper::Work::place_again(Instant now) {
  const std::vector<Disc*> doubted = doubts_.take(now);
  std::vector<NeighbourKey> fresh;
  std::size_t moved = 0, lost = 0;
  for (Disc* disc : doubted) {
    if (disc->placed.state == BindingState::refused) continue;
    BindingStatus found = places_.place(disc->want);
    // It could be kept once, so that now is not for ever.
    if (found.state == BindingState::refused) found.state = BindingState::unplaced;
    const bool linked = places_.links().contains(disc->placed.neighbour.ifindex);
    const bool no_better = found.state == BindingState::unplaced && linked;
    const bool stays = disc->stays(found);
    if (stays) disc->placed.dev = &*devs_.insert(std::move(found.dev)).first;  // Perhaps renamed.
    if (stays || (disc->has_neighbour() && no_better)) continue;
    if (disc->has_neighbour()) ++(found.state == BindingState::unplaced ? lost : moved);
    settle_in(*disc, std::move(found), fresh, now);
    tell_return(*disc);
  }
  meet(fresh, now);
  for (Disc* disc : doubted)
    if (disc->ready && state(*disc) != BindingState::waiting) report(*disc);
  moves_ += moved;
  if (moved > 0) log::info("routes or links changed: {} discs are reached another way", moved);
  if (lost > 0)
    log::warning("routes or links changed: {} discs have no way now, until a route leads to them",
                 lost);
}

Keeper::Work::Placed Keeper::Work::placed(BindingStatus found) {
  Placed made{.state = found.state,
              .on_link = found.on_link,
              .neighbour = found.neighbour,
              .dev = &*devs_.insert(std::move(found.dev)).first};
  if (!found.problem.empty())
    made.problem = std::make_unique<std::string>(std::move(found.problem));
  return made;
}

BindingState Keeper::Work::state(const Disc& disc) const {
  const bool waiting = disc.placed.state == BindingState::waiting;
  const Hold* hold = waiting ? ledger_.find(disc.placed.neighbour) : nullptr;
  if (hold && hold->phase == Phase::held) return BindingState::held;
  if (hold && hold->phase == Phase::foreign) return BindingState::foreign;
  return disc.placed.state;
}

BindingStatus Keeper::Work::status(const Disc& disc) const {
  BindingStatus status;
  status.state = disc.placed.state;
  status.neighbour = disc.placed.neighbour;
  status.on_link = disc.placed.on_link;
  status.dev = *disc.placed.dev;
  if (disc.placed.problem) status.problem = *disc.placed.problem;
  if (status.state != BindingState::waiting) return status;
  const Hold* hold = ledger_.find(status.neighbour);
  if (!hold) return status;
  status.binding = hold->binding;
  status.state = state(disc);
  const bool usable = status.state != BindingState::waiting;
  if (usable && (!disc.want.claim.lladdr || status.on_link)) return status;
  const std::string who = fmt::format("{}: {} on {}", disc.want.disc,
                                      netlink::to_string(status.neighbour.address), status.dev);
  if (usable) {
    status.problem = who + " is a gateway; the given link-layer address is not used";
  } else if (hold->error != 0) {
    status.problem = who + " could not be entered in the neighbour table: " + why(hold->error);
  } else if (not_asked_yet(*hold)) {
    status.problem = who + " has not been asked yet; neighbour solicitations are paced";
  } else if (hold->phase == Phase::failed) {
    status.problem = fmt::format("{} does not answer at {}", who,
                                 netlink::to_string(hold->binding.lladdr.value_or(netlink::Mac{})));
  } else {
    status.problem = who + " does not answer neighbour solicitations; headd goes on asking";
  }
  return status;
}

void Keeper::Work::report(Disc& disc) {
  reports_.push_back({std::exchange(disc.ready, nullptr), disc.want.disc, status(disc)});
}

void Keeper::Work::report_settled() {
  for (const NeighbourKey& key : ledger_.take_settled()) {
    for_users(key, [&](Disc* disc) {
      if (disc->ready) report(*disc);
    });
  }
}

void Keeper::Work::report_moved() {
  for (const NeighbourKey& key : ledger_.take_moved()) {
    // Behind a gateway the tail is where it was, whoever the gateway is.
    for_users(key, [&](const Disc* disc) {
      if (disc->placed.on_link) moves_told_.push_back(disc->want.disc);
    });
  }
  if (moves_told_.empty()) return;
  static log::RateLimit limit;  // Whoever can send advertisements can make it come again.
  if (const auto pass = limit.pass(Instant::clock::now()))
    log::info(
        "{} discs are at another link-layer address now, or there again ({}; {} more like it)",
        moves_told_.size(), moves_told_.front(), pass->held);
}

void Keeper::Work::report_impatient(Instant now) {
  for (; !patience_.empty() && patience_.front().first <= now; patience_.pop_front()) {
    const auto found = discs_.find(patience_.front().second);
    if (found == discs_.end() || !found->second.ready) continue;
    const Hold* hold = ledger_.find(found->second.placed.neighbour);
    // Its question waits for its turn: whoever opened it now would ask past the pacing.
    if (hold && not_asked_yet(*hold))
      patience_.emplace_back(now + std::max(options_.patience, patience_min), found->first);
    else
      report(found->second);
  }
}

}  // namespace head::neigh
