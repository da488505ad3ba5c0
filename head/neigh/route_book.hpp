// Which routes to discs are kept in route mode, what became of each, and what is to be done next
// and when: route mode's counterpart of the ledger, without its sockets. Time is a parameter.
//
// A route is a lease: it is written with a time to live and renewed in turns, so that a whole round
// takes half of it. When headd is dead they end, and the kernel discovers discs as without us.
#pragma once

#include "head/neigh/binding.hpp"
#include "netlink/host_routes.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace head::neigh {

// What is known of a disc's address in route mode, whether a route leads there now or not.
struct Way {
  Binding binding;
  Flaps flaps;
  netlink::NeighbourKey tail;  // Its next hop, while a disc is led there.
  std::uint32_t users = 0;     // Discs that are led there; 0: they are kept as neighbours.
  std::uint32_t conflicts = 0, repairs = 0;
  bool written = false;   // The kernel has it.
  bool in_doubt = false;  // Not to be led to before it has answered itself.
  std::uint8_t attempts = 0;
  std::uint16_t error = 0;  // Why the kernel refused it; an errno.
  Instant due{}, leased{}, doubted{};
  bool queued = false, waiting = false;  // To be written; as soon as its tail is trusted.
};

class RouteBook {
 public:
  static constexpr unsigned steps = 64;  // Of a round of renewals.
  static constexpr unsigned attempts_max = 5;

  struct Counters {
    std::uint64_t installed = 0, repaired = 0, removed = 0, renewed = 0, errors = 0;
  };

  explicit RouteBook(std::chrono::seconds lease) : lease_(lease) {}

  const std::map<netlink::Ip6, Way>& ways() const noexcept { return ways_; }
  const Counters& counters() const noexcept { return counters_; }
  std::chrono::seconds lease() const noexcept { return lease_; }
  const Way* find(const netlink::Ip6& address) const noexcept;
  Way* find(const netlink::Ip6& address) noexcept;
  Way& at(const netlink::Ip6& address) { return ways_[address]; }
  // A route of ours is there, or is being written.
  bool leads(const netlink::Ip6& address) const noexcept;
  // No disc has that address any more.
  void forget(const netlink::Ip6& address);

  // One more disc is led over this next hop; what led elsewhere is replaced.
  void lead(const netlink::Ip6& address, const netlink::NeighbourKey& tail, bool trusted,
            Instant now);
  // One disc less; the last one has the route removed.
  void release(const netlink::Ip6& address);
  // A route of ours, perhaps, that nobody needs.
  void remove(const netlink::Ip6& address) { removals_.insert(address); }
  // What waits for that next hop waits no longer.
  void trust(const netlink::NeighbourKey& tail, Instant now);

  // What is to be written now, and then removed: whatever replaces it is in place by then.
  std::vector<netlink::HostRoute> due(Instant now);
  std::vector<netlink::Ip6> take_removals();
  void written(const netlink::HostRoute& route, Instant now);
  // True when it has been refused too often: its tail is not to be led over.
  bool refused(const netlink::HostRoute& route, int error, Instant now);
  void removed(std::size_t count) noexcept { counters_.removed += count; }

  // Somebody else changed routes to that address.
  void disturbed(const netlink::Ip6& address, Instant now);
  // All of ours that there are, by address. Returns how many were not as they should be.
  std::size_t settle(std::span<const netlink::HostRoute> actual, Instant now);

  // Those whose turn it is to be renewed.
  std::vector<netlink::HostRoute> renewals(Instant now);
  void renewed(std::size_t count) noexcept { counters_.renewed += count; }

  // When there is something to do again.
  std::optional<Instant> next() const;
  // Addresses that a route leads to now, and did not before, since the last call.
  std::vector<netlink::Ip6> take_led() { return std::exchange(led_, {}); }

 private:
  using Item = std::pair<const netlink::Ip6, Way>;

  void queue(Item& item, Instant at);
  void unqueue(Item& item);
  netlink::HostRoute route_of(const Item& item) const;

  const std::chrono::seconds lease_;
  std::map<netlink::Ip6, Way> ways_;
  std::set<std::pair<Instant, netlink::Ip6>> queue_;
  std::set<std::pair<netlink::NeighbourKey, netlink::Ip6>> waiting_;
  std::set<netlink::Ip6> removals_;
  std::vector<netlink::Ip6> led_;
  std::size_t routes_ = 0;  // Ways that discs are led over.
  netlink::Ip6 turn_{};     // Whose renewal is next.
  Instant renew_at_{};
  Counters counters_;
};

}  // namespace head::neigh
