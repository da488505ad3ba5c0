#include "head/neigh/route_book.hpp"

#include <algorithm>
#include <cerrno>

namespace head::neigh {

using netlink::HostRoute;
using netlink::Ip6;
using netlink::NeighbourKey;
using namespace std::chrono_literals;

namespace {

constexpr auto quiet = 10s;       // After so long without a repair, the next one is at once again.
constexpr auto holdoff_max = 1s;  // Somebody keeps undoing our work: no faster than this.

std::chrono::milliseconds holdoff(unsigned attempts) {
  return std::min<std::chrono::milliseconds>(10ms * (1 << std::min(attempts, 8u)), holdoff_max);
}

}  // namespace

const Way* RouteBook::find(const Ip6& address) const noexcept {
  const auto found = ways_.find(address);
  return found == ways_.end() ? nullptr : &found->second;
}

Way* RouteBook::find(const Ip6& address) noexcept {
  const auto found = ways_.find(address);
  return found == ways_.end() ? nullptr : &found->second;
}

bool RouteBook::leads(const Ip6& address) const noexcept {
  const Way* way = find(address);
  return way && (way->users > 0 || way->written);
}

void RouteBook::forget(const Ip6& address) {
  const auto found = ways_.find(address);
  if (found == ways_.end()) return;
  if (found->second.users > 0) --routes_;
  unqueue(*found);
  if (found->second.written) removals_.insert(address);
  ways_.erase(found);
}

void RouteBook::lead(const Ip6& address, const NeighbourKey& tail, bool trusted, Instant now) {
  Item& item = *ways_.try_emplace(address).first;
  Way& way = item.second;
  if (way.users++ == 0 && routes_++ == 0) renew_at_ = now + lease_ / (2 * steps);
  removals_.erase(address);
  const bool same = way.written && way.tail == tail;
  const bool coming = (way.queued || way.waiting) && way.tail == tail;
  if (same || coming) return;
  unqueue(item);
  way.tail = tail;
  way.attempts = 0;
  way.error = 0;
  if (trusted) return queue(item, now);
  way.waiting = true;
  waiting_.insert({tail, address});
}

void RouteBook::release(const Ip6& address) {
  const auto found = ways_.find(address);
  if (found == ways_.end() || found->second.users == 0 || --found->second.users > 0) return;
  --routes_;
  unqueue(*found);
  if (found->second.written) removals_.insert(address);
}

void RouteBook::trust(const NeighbourKey& tail, Instant now) {
  auto at = waiting_.lower_bound({tail, {}});
  while (at != waiting_.end() && at->first == tail) {
    Item& item = *ways_.find(at->second);
    at = waiting_.erase(at);
    item.second.waiting = false;
    queue(item, now);
  }
}

void RouteBook::queue(Item& item, Instant at) {
  unqueue(item);
  item.second.queued = true;
  item.second.due = at;
  queue_.insert({at, item.first});
}

void RouteBook::unqueue(Item& item) {
  Way& way = item.second;
  if (way.queued) queue_.erase({way.due, item.first});
  if (way.waiting) waiting_.erase({way.tail, item.first});
  way.queued = way.waiting = false;
}

HostRoute RouteBook::route_of(const Item& item) const {
  return {.address = item.first, .next_hop = item.second.tail, .lease = lease_};
}

std::vector<HostRoute> RouteBook::due(Instant now) {
  std::vector<HostRoute> routes;
  for (auto at = queue_.begin(); at != queue_.end() && at->first <= now; at = queue_.erase(at)) {
    Item& item = *ways_.find(at->second);
    item.second.queued = false;
    routes.push_back(route_of(item));
  }
  return routes;
}

std::vector<Ip6> RouteBook::take_removals() {
  std::vector<Ip6> all(removals_.begin(), removals_.end());
  removals_.clear();
  for (const Ip6& address : all)
    if (Way* way = find(address)) way->written = false;
  return all;
}

void RouteBook::written(const HostRoute& route, Instant now) {
  Way* way = find(route.address);
  if (!way) return;
  const bool before = way->written;
  way->written = true;
  way->error = 0;
  way->leased = now;
  ++(way->attempts > 0 && before ? counters_.repaired : counters_.installed);
  led_.push_back(route.address);
}

bool RouteBook::refused(const HostRoute& route, int error, Instant now) {
  ++counters_.errors;
  const auto found = ways_.find(route.address);
  if (found == ways_.end() || found->second.users == 0) return false;
  Way& way = found->second;
  way.error = static_cast<std::uint16_t>(error);
  way.written = false;
  if (way.queued || way.waiting) return false;
  // The interface is away, or its IPv6: whoever sees it return says so by trust().
  if (error == ENETDOWN || error == ENODEV || error == ENETUNREACH || error == EHOSTUNREACH) {
    way.waiting = true;
    waiting_.insert({way.tail, found->first});
    return false;
  }
  if (way.attempts < 255) ++way.attempts;
  queue(*found, now + holdoff(way.attempts));
  return way.attempts >= attempts_max;
}

void RouteBook::disturbed(const Ip6& address, Instant now) {
  const auto found = ways_.find(address);
  if (found == ways_.end()) return;
  Way& way = found->second;
  if (way.users == 0 || way.queued || way.waiting) return;
  if (now - way.due > quiet) way.attempts = 0;
  queue(*found, way.attempts == 0 ? now : now + holdoff(way.attempts));
  if (way.attempts < 255) ++way.attempts;
  ++way.repairs;
}

std::size_t RouteBook::settle(std::span<const HostRoute> actual, Instant now) {
  std::size_t wrong = 0;
  auto have = actual.begin();
  const auto stray = [&] {
    removals_.insert(have->address);
    ++have;
    ++wrong;
  };
  for (auto& [address, way] : ways_) {
    while (have != actual.end() && have->address < address) stray();
    const bool present = have != actual.end() && have->address == address;
    if (way.users == 0) {
      if (present && !way.written) removals_.insert(address);
    } else if (way.written && !way.queued && (!present || have->next_hop != way.tail)) {
      disturbed(address, now);
      ++wrong;
    }
    while (have != actual.end() && have->address == address) ++have;
  }
  while (have != actual.end()) stray();
  return wrong;
}

std::vector<HostRoute> RouteBook::renewals(Instant now) {
  std::vector<HostRoute> routes;
  if (routes_ == 0 || now < renew_at_) return routes;
  const auto step = std::chrono::duration_cast<Instant::duration>(lease_) / (2 * steps);
  // Late (stopped, or busy), it makes up for what it missed, a round at most.
  const auto missed = static_cast<std::size_t>((now - renew_at_) / step);
  renew_at_ = now + step;
  std::size_t count = std::min(
      ways_.size(), (ways_.size() / steps + 1) * (std::min<std::size_t>(missed, steps) + 1));
  for (auto at = ways_.lower_bound(turn_); count > 0; ++at, --count) {
    if (at == ways_.end()) at = ways_.begin();
    const Way& way = at->second;
    if (way.users > 0 && way.written && !way.queued) routes.push_back(route_of(*at));
    turn_ = at->first;
  }
  const auto next = ways_.upper_bound(turn_);
  turn_ = next == ways_.end() ? Ip6{} : next->first;
  return routes;
}

std::optional<Instant> RouteBook::next() const {
  std::optional<Instant> soonest;
  if (routes_ > 0) soonest = renew_at_;
  if (!queue_.empty()) soonest = std::min(soonest.value_or(Instant::max()), queue_.begin()->first);
  return soonest;
}

}  // namespace head::neigh
