// Interfaces and addresses of this host come and go, and with them the way to the discs. When it is
// there again, TCP does not know: what was sent meanwhile it sends again after a wait that grows
// with the interruption. Whoever waits for an answer is told.
#include "head/base/log.hpp"
#include "head/neigh/keeper_work.hpp"
#include "netlink/address.hpp"
#include "netlink/format.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

namespace head::neigh {

using netlink::NeighbourKey;
using namespace std::chrono_literals;

namespace {

// So long after an interface is back, whoever waits waits for that: what it keeps of discs is being
// written again.
constexpr std::chrono::seconds settling{1};

constexpr std::chrono::milliseconds attempt_every{200};

}  // namespace

// Whether neighbours can be asked for there at all.
bool Keeper::Work::can_ask(int ifindex) const {
  const auto link = places_.links().find(ifindex);
  if (link == places_.links().end() || !link->second.running()) return false;
  const auto own = own_.lower_bound({ifindex, {}});
  return own != own_.end() && own->first == ifindex;
}

// And could a moment ago. Where not, a missing entry is not what keeps a request waiting.
bool Keeper::Work::carries(int ifindex, Instant now) const {
  if (!can_ask(ifindex)) return false;
  const auto back = returned_.find(ifindex);
  return back == returned_.end() || now - back->second >= settling;
}

// Until it is back; its entries may have gone a moment before it did.
void Keeper::Work::excuse(int ifindex) const {
  constexpr auto for_ever = std::numeric_limits<std::int64_t>::max();
  if (can_ask(ifindex)) return;
  for (auto at = users_.lower_bound(Users({ifindex, {}}, nullptr));
       at != users_.end() && (*at)->placed.neighbour.ifindex == ifindex; ++at)
    if (const auto& stats = (*at)->stats) {
      stats->interface_back_at_ns.store(for_ever, std::memory_order_relaxed);
      stats->neighbour_missing_at_ns.store(0, std::memory_order_relaxed);
    }
}

void Keeper::Work::came_back(int ifindex, Instant now) {
  returned_[ifindex] = now;
  for (auto at = users_.lower_bound(Users({ifindex, {}}, nullptr));
       at != users_.end() && (*at)->placed.neighbour.ifindex == ifindex; ++at)
    tell_interface_back(**at);
}

void Keeper::Work::tell_interface_back(const Disc& disc) const noexcept {
  const auto now = std::chrono::steady_clock::now().time_since_epoch() + settling;
  if (disc.stats)
    disc.stats->interface_back_at_ns.store(std::chrono::nanoseconds(now).count(),
                                           std::memory_order_relaxed);
}

// True where it may change where discs are.
bool Keeper::Work::on_link(const netlink::LinkChange& change, Instant now) {
  const netlink::Link& link = change.link;
  const auto known = places_.links().find(link.ifindex);
  const bool was_there = known != places_.links().end();
  const bool ran = was_there && known->second.running();
  const bool renumbered = was_there && known->second.lladdr != link.lladdr;
  const bool matters = places_.on_link(link, change.gone);
  if (was_there && (change.gone || !link.running())) excuse(link.ifindex);
  if (change.gone) {
    returned_.erase(link.ifindex);
    devices_.forget(link.ifindex);
    return matters;
  }
  devices_.rename(link.ifindex, link.name);
  if (renumbered) announce(link.ifindex);
  if (link.running() && !ran) came_back(link.ifindex, now);
  if (link.running() && (!ran || renumbered)) on_return(link.ifindex, now);
  return matters;
}

void Keeper::Work::on_address(const netlink::AddressChange& change, Instant now) {
  const netlink::HostAddress& told = change.address;
  const std::pair key(told.ifindex, told.address);
  if (change.gone || told.tentative() || told.duplicate()) {
    if (own_.erase(key) > 0) excuse(told.ifindex);
    return;
  }
  const auto first = own_.lower_bound({told.ifindex, {}});
  if (first == own_.end() || first->first != told.ifindex) came_back(told.ifindex, now);
  if (!own_.insert(key).second) return;  // Told again, as at every router advertisement.
  announce(told.ifindex);
  on_return(told.ifindex, now);
}

void Keeper::Work::refresh_addresses() {
  std::vector<netlink::HostAddress> all;
  if (netlink::dump_addresses(table_.socket(), all)) return;
  own_.clear();
  for (const netlink::HostAddress& one : all)
    if (!one.tentative() && !one.duplicate()) own_.emplace(one.ifindex, one.address);
}

bool Keeper::Work::is_used(int ifindex) const noexcept {
  const auto first = users_.lower_bound(Users({ifindex, {}}, nullptr));
  return first != users_.end() && (*first)->placed.neighbour.ifindex == ifindex;
}

// Tails keep our addresses at the link-layer address that they last heard of.
void Keeper::Work::announce(int ifindex) const noexcept {
  const auto link = places_.links().find(ifindex);
  if (!announcements_ || link == places_.links().end() || !link->second.lladdr) return;
  if (!link->second.running() || !link->second.resolves()) return;
  const bool used = options_.enabled && is_used(ifindex);
  for (auto at = own_.lower_bound({ifindex, {}}); used && at != own_.end() && at->first == ifindex;
       ++at)
    announcements_->announce(ifindex, link->second.name, at->second, *link->second.lladdr);
}

// From an address that shares most with the one that is asked for: a tail knows that one already.
bool Keeper::Work::solicit(const Solicitation& question) const noexcept {
  const int ifindex = question.who.ifindex;
  const auto link = places_.links().find(ifindex);
  if (!solicitor_ || link == places_.links().end() || !link->second.lladdr) return false;
  if (!can_ask(ifindex)) return false;
  const auto likeness = [&](const netlink::Ip6& one) {
    return std::mismatch(one.begin(), one.end(), question.who.address.begin()).first - one.begin();
  };
  const netlink::Ip6* best = nullptr;
  for (auto at = own_.lower_bound({ifindex, {}}); at != own_.end() && at->first == ifindex; ++at)
    if (!best || likeness(at->second) > likeness(*best)) best = &at->second;
  return best && solicitor_->ask(question, {.address = *best, .lladdr = *link->second.lladdr});
}

void Keeper::Work::on_return(int ifindex, Instant now) {
  if (!is_used(ifindex)) return;
  if (options_.enabled) {
    ledger_.forgive(ifindex, now);
    devices_.recheck(table_.socket());
    return_routes(ifindex, now);
  }
  for (auto at = users_.lower_bound(Users({ifindex, {}}, nullptr));
       at != users_.end() && (*at)->placed.neighbour.ifindex == ifindex; ++at)
    tell_return(**at);
}

void Keeper::Work::report_returned() {
  for (const NeighbourKey& key : ledger_.take_returned())
    for_users(key, [this](const Disc* disc) { tell_return(*disc); });
}

// Whoever waited until now waited because of the entry.
void Keeper::Work::report_found() {
  for (const NeighbourKey& key : ledger_.take_found()) {
    mark_missing(key, std::chrono::steady_clock::now());
    const Dispute* dispute = ledger_.dispute(key);
    const Hold* hold = ledger_.find(key);
    const bool announced = dispute && hold && dispute->claimed == hold->binding.lladdr;
    if (!announced) silent_mover_ = user_of(key);
  }
}

// Connections are tried by turns while their host is silent: so many a second for all its discs.
void Keeper::Work::report_silent() {
  const std::vector<Host> told = ledger_.take_silent_changed();
  if (told.empty()) return;
  std::map<Host, std::vector<stats::DiscStats*>> changed;
  for (const Host& host : told) changed[host];
  for (const Disc* disc : users_) {
    const Hold* hold = ledger_.find(disc->placed.neighbour);
    if (!disc->stats || !hold || !hold->binding.lladdr) continue;
    const auto found = changed.find({disc->placed.neighbour.ifindex, *hold->binding.lladdr});
    if (found == changed.end()) continue;
    if (hold->phase == Phase::foreign)
      disc->stats->attempts_apart_ms.store(0, std::memory_order_relaxed);
    else
      found->second.push_back(disc->stats.get());
  }
  for (const auto& [host, there] : changed) {
    const bool silent = ledger_.is_silent(host);
    const auto apart = silent ? attempt_every * static_cast<int>(there.size()) : 0ms;
    for (stats::DiscStats* stats : there)
      stats->attempts_apart_ms.store(static_cast<std::uint32_t>(apart.count()),
                                     std::memory_order_relaxed);
    static log::RateLimit limit;
    if (const auto pass = limit.pass(Instant::clock::now()))
      log::info("the host {} {}, with {} discs ({} more like it)", netlink::to_string(host.lladdr),
                silent ? "does not answer for its addresses" : "answers again", there.size(),
                pass->held);
  }
}

// To whoever asks how the disc is reached.
void Keeper::Work::tell_way(const Disc& disc) const noexcept {
  if (!disc.stats) return;
  int ifindex = disc.placed.lost ? 0 : disc.placed.neighbour.ifindex;
  // Where there is no neighbour to know there is an interface all the same.
  if (ifindex == 0 && !disc.placed.lost)
    if (const auto* link = find_link(places_.links(), *disc.placed.dev)) ifindex = link->ifindex;
  disc.stats->ifindex.store(ifindex, std::memory_order_relaxed);
}

// Where it is held to be because the wire says so, against a pin.
std::optional<netlink::Mac> Keeper::Work::rumour_of(const Disc& disc) const noexcept {
  if (!disc.has_neighbour() || !disc.placed.on_link) return std::nullopt;
  if (!disc.placed.routed) return ledger_.rumour(disc.placed.neighbour);
  const Way* way = book_.find(disc.address);
  const bool pinned = disc.claim.lladdr && disc.claim.generation > 0 &&
                      ledger_.trust_in({0, disc.address}) != Trust::wire;
  const bool there = !way || !way->binding.lladdr || way->binding.lladdr == disc.claim.lladdr;
  return pinned && !there ? way->binding.lladdr : std::nullopt;
}

// To whoever connects to it: before that is written, so that nobody is there unwarned. That there
// is none any more is told once what is written says so (tell_reliefs()). Told again after that, it
// is another one.
void Keeper::Work::tell_rumour(const Disc& disc) {
  if (!disc.stats) return;
  const auto where = rumour_of(disc);
  std::uint64_t number = where ? netlink::number_of(*where) : 0;
  constexpr std::uint64_t address_bits = 48, address_mask = (std::uint64_t{1} << address_bits) - 1;
  const std::uint64_t told = disc.stats->rumoured_at.load(std::memory_order_relaxed);
  if ((told & address_mask) == number) return;
  if (number == 0) {
    relieved_.insert(&disc);
    return;
  }
  const bool proven_before = disc.stats->proven_at.load(std::memory_order_relaxed) == number;
  if (!proven_before) number |= (1 + rumours_++ % 0xffff) << address_bits;
  disc.stats->rumoured_at.store(number, std::memory_order_release);
}

void Keeper::Work::tell_reliefs() {
  std::erase_if(relieved_, [this](const Disc* disc) {
    const bool own = disc->has_neighbour() && !disc->placed.routed;
    const Hold* const hold = own ? ledger_.find(disc->placed.neighbour) : nullptr;
    const Way* const way = disc->placed.routed ? book_.find(disc->address) : nullptr;
    const bool unwritten = hold && (hold->phase == Phase::unseen || hold->phase == Phase::writing ||
                                    hold->agenda == Agenda::write);
    if (unwritten || (way && (way->queued || way->waiting))) return false;
    if (!rumour_of(*disc)) disc->stats->rumoured_at.store(0, std::memory_order_release);
    return true;
  });
}

void Keeper::Work::tell_rumours() {
  for (const NeighbourKey& key : ledger_.take_rebound())
    for_users(key, [this](const Disc* disc) { tell_rumour(*disc); });
}

void Keeper::Work::tell_return(const Disc& disc) const noexcept {
  // Not the turn's beginning: what came since may have been sent in vain.
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  if (disc.stats)
    disc.stats->way_back_at_ns.store(std::chrono::nanoseconds(now).count(),
                                     std::memory_order_relaxed);
}

}  // namespace head::neigh
