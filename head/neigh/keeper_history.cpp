// What is remembered of entries: the last changes, and moves that nobody announced.
#include "head/neigh/keeper_work.hpp"

namespace head::neigh {

using netlink::Neighbour;
using netlink::NeighbourKey;

namespace {

// The entry as the ledger last knew it.
std::optional<Neighbour> known(const NeighbourKey& key, const Hold& hold, const Neighbour& like) {
  if (!hold.present) return {};
  Neighbour entry = like;  // What the ledger does not keep is told as unchanged.
  entry.key = key;
  entry.lladdr = hold.binding.lladdr;
  entry.protocol = hold.phase == Phase::foreign ? like.protocol : netlink::our_protocol;
  entry.state = hold.state != netlink::nud::none ? hold.state : hold.write_state;
  return entry;
}

}  // namespace

std::string Keeper::Work::user_of(const NeighbourKey& key) const {
  const auto found = users_.lower_bound(Users(key, nullptr));
  const bool used = found != users_.end() && (*found)->placed.neighbour == key;
  return used ? (*found)->name : std::string();
}

// Before the ledger is told.
void Keeper::Work::remember(const netlink::NeighbourChange& told, const Hold& hold) {
  const NeighbourKey& key = told.neighbour.key;
  PastChange past{.at = std::chrono::system_clock::now(), .change = {}, .disc = user_of(key)};
  past.change.before = known(key, hold, told.neighbour);
  if (!told.gone) past.change.after = told.neighbour;
  if (told.gone && !past.change.before) past.change.before = told.neighbour;
  const bool moved = !told.gone && told.neighbour.ours() && told.neighbour.usable() &&
                     hold.binding.lladdr && hold.binding.lladdr != told.neighbour.lladdr;
  // An advertisement that nobody asked for leaves an entry STALE; an answer makes it REACHABLE.
  if (moved && hold.answered && told.neighbour.state == netlink::nud::reachable) {
    ++silent_moves_;
    silent_mover_ = past.disc;
  }
  if (!netlink::what_changed(past.change).empty()) history_.note(std::move(past));
}

void Keeper::Work::remember(const netlink::Entry& entry) {
  Neighbour after;
  after.key = entry.key;
  after.lladdr = entry.lladdr;
  after.state = entry.state;
  after.flags = entry.exempt ? netlink::ntf::ext_learned : 0;
  after.ext_flags = entry.validated ? netlink::ntf::ext_validated : 0;
  after.protocol = netlink::our_protocol;
  history_.note({.at = std::chrono::system_clock::now(),
                 .change = {.before = {}, .after = after},
                 .written = true,
                 .disc = user_of(entry.key)});
}

std::vector<PastChange> Keeper::Work::changes(std::chrono::system_clock::time_point since) const {
  const std::lock_guard lock(state_lock_);
  return history_.since(since);
}

}  // namespace head::neigh
