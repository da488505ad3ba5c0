// The keeper: while it runs, no request to a disc whose binding is known waits for neighbour
// discovery. It sizes the kernel's neighbour table, installs the entries of the discs (or of their
// gateways) before the first packet, has the network asked where a binding is unknown, and puts
// back whatever is removed or broken. Entries that are not ours are never touched.
//
// It owns a thread and its netlink sockets. All calls may come from any thread and return at once.
#pragma once

#include "head/neigh/history.hpp"
#include "head/neigh/snapshot.hpp"
#include "head/neigh/trust.hpp"
#include "head/neigh/want.hpp"
#include "netlink/monitor.hpp"
#include "netlink/route.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace head::neigh {

struct Options {
  bool enabled = true;  // False: nothing is written, neither entries nor limits; only looked.
  std::optional<Strategy> strategy;  // Forced; absent: the best that the kernel can.
  std::string table_netns;  // Where the limits can be written: "/proc/1/ns/net"; "" for here.
  std::chrono::milliseconds coalesce{2};  // How long breakages are collected before repair.
  std::chrono::milliseconds reconcile{60'000};
  std::chrono::milliseconds recheck_limits{10'000};
  std::chrono::milliseconds orphan_grace{30'000};  // Before leftovers of a former run are removed.
  std::chrono::milliseconds patience{3'000};  // Before an unresolved disc is reported as waiting.
  std::uint32_t resolutions_per_second = 500;
  std::uint32_t resolutions_burst = 100;
  std::uint32_t repairs_per_second = 50'000;
  std::uint32_t repairs_burst = 200'000;
  bool responder = false;                 // The kernel is to ask us before it asks the network.
  std::vector<netlink::Prefix> prefixes;  // Where discs may be; none: anywhere.
  Mode mode = Mode::neighbours;
  std::vector<netlink::Prefix> route_prefixes;  // Where `mode` is routes; none: everywhere.
  std::chrono::seconds lease{600};              // Of a route; at least some seconds.
  NextHops next_hops;                           // Of tails that have no other by default.
  Trust trust = Trust::catalogue_unless_dead;
  std::vector<netlink::Prefix> trust_prefixes;  // Where that is so; none: everywhere.
  bool announcements = true;  // Listen for those of hosts, without the override flag too.
  bool leave = false;         // At the end the interfaces' settings stay.
  std::string originals;  // A file that keeps those for the next run, if this one is killed; or "".
  int monitor_bytes = netlink::Monitor::default_buffer_bytes;  // For the kernel's notifications.
  std::uint32_t table_max = 4u << 20;  // gc_thresh3 is never raised above this by us.
};

class Keeper {
 public:
  // Called on the keeper's thread, once for each want: its entry is there (or none is needed), or
  // why it is not there yet; the keeper goes on trying. One that was replaced, or whose disc was
  // forgotten, is told too: what became of the disc instead. It may call the keeper.
  using Ready = std::function<void(const std::string& disc, const BindingStatus& status)>;

  // These discs' tails are elsewhere now, or there again: a connection that was made before has
  // nothing to say there. Called on the keeper's thread; it may call the keeper.
  using Moved = std::function<void(const std::vector<std::string>& discs)>;

  // These discs are elsewhere than was told: once when that began, and again when somebody there
  // answered. Wanted again with what the catalogue says then, a newer generation settles it, and so
  // does the address that the wire says. Called as Moved is.
  using Conflicted = std::function<void(const std::vector<Conflict>& discs)>;

  // Probes the kernel, adopts the entries of a former run, starts the thread. Throws
  // std::system_error with a sentence when netlink cannot be used at all.
  explicit Keeper(Options options = {});
  // Puts the interfaces' settings back, unless told to leave them; leaves the entries, which go on
  // serving without us.
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  // Those of these that can never be kept, by their places among them, and why in one sentence.
  // Asks the kernel on the caller's thread what addresses this host has.
  struct Refused {
    std::size_t index = 0;
    std::string sentence;
  };
  std::vector<Refused> refuse(std::span<const Want> discs) const;

  // Thousands at a time. A disc wanted again replaces what was wanted for it.
  void want(std::vector<Want> discs, Ready ready);
  // Removes the entries that no other disc needs. Unknown names are ignored.
  void forget(std::vector<std::string> discs);

  // Who is told from now on.
  void tell_moves(Moved moved);
  void tell_conflicts(Conflicted conflicted);

  // For data threads: a request of this disc has been waiting, look at its entry now. If that is
  // absent, INCOMPLETE or FAILED, stats->neighbour_missing_at_ns is set. No lock, no allocation;
  // when too many are waiting for a look, all discs are looked at instead.
  void look(const std::shared_ptr<stats::DiscStats>& stats) noexcept;

  // Reads the kernel on the caller's thread. Without entries it is cheap.
  Snapshot snapshot(Detail detail = Detail::all) const;

  // Of the discs' entries, lately; the oldest first.
  std::vector<PastChange> changes(std::chrono::system_clock::time_point since) const;

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace head::neigh
