// The keeper at one moment, as a value: what it holds, what it had to do, what it could not do.
#pragma once

#include "head/neigh/next_hop.hpp"
#include "head/neigh/strategy.hpp"
#include "head/neigh/want.hpp"
#include "netlink/device.hpp"
#include "netlink/neighbour.hpp"
#include "netlink/probe.hpp"
#include "netlink/thresholds.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace head::neigh {

// Since the keeper began.
struct Counters {
  std::uint64_t installed = 0;      // Entries written because they were wanted.
  std::uint64_t repaired = 0;       // Entries written again because something broke them.
  std::uint64_t removed = 0;        // Our entries that nobody needed any more, gone.
  std::uint64_t resolutions = 0;    // Questions to the network that the keeper started.
  std::uint64_t solicitations = 0;  // Packets that ask, sent by the keeper itself.
  std::uint64_t answered = 0;       // Questions of the kernel's that were answered.
  std::uint64_t conflicts = 0;      // The wire said another link-layer address than we had.
  std::uint64_t refuted = 0;        // Of those, against pins whose host answered.
  std::uint64_t settled = 0;        // Conflicts that are none any more.
  std::uint64_t flaps = 0;          // Times an address began to change to and fro.
  std::uint64_t failures = 0;       // Entries that were seen not to answer.
  std::uint64_t errors = 0;         // Writes that the kernel refused.
  std::uint64_t notifications_lost = 0;
  std::uint64_t reconciliations = 0;
  std::uint64_t reconciled = 0;  // What they found missing or wrong.
  std::uint64_t looks = 0, looks_bad = 0, looks_dropped = 0;
  std::uint64_t raises = 0;  // Times the table's limits were raised.
  std::uint64_t moves = 0;   // Times a disc was found to be reached another way than before.
  // Times a link-layer address that had answered changed without being announced (an unsolicited
  // neighbour advertisement with the override flag): found out by asking.
  std::uint64_t silent_moves = 0;
};

struct TableStatus {
  netlink::TableState table;      // As last read.
  netlink::TableLimits wanted;    // What the discs need; zeros when nothing is wanted.
  netlink::TableLimits original;  // As they were before the keeper first raised them.
  // What they were last compared with: neighbours of discs, and entries of everybody else in all
  // network namespaces, which have this one table together.
  std::uint64_t sized_discs = 0, sized_others = 0;
  std::string problem;  // Why they are not as wanted, "" otherwise.
};

struct DeviceStatus {
  int ifindex = 0;
  std::string name;
  netlink::DeviceSettings before, now;
  std::string problem;
};

// For so long a claim that was not followed is a finding.
inline constexpr std::chrono::minutes claims_kept{10};

struct EntryStatus {
  netlink::Neighbour kernel;            // As the kernel has it now; state 0 when it has not.
  Binding binding;                      // What the keeper holds to.
  std::optional<netlink::Mac> told;     // What it was told beforehand.
  std::optional<netlink::Mac> claimed;  // By whoever contradicted it last, if anybody did;
  bool claimed_lately = false;          // not longer ago than claims_kept.
  bool pinned = false;                  // Told with a generation, which the wire does not overrule.
  bool flapping = false;                // Changing to and fro just now.
  std::uint32_t conflicts = 0;
  std::uint32_t repairs = 0;
  std::vector<std::string> discs;
};

// Of route mode: a disc's address, and the route that leads there.
struct RouteStatus {
  netlink::Ip6 address{};
  netlink::NeighbourKey next_hop;
  bool present = false;              // The kernel has it as it should be,
  std::chrono::seconds lease{0};     // for so long, if it is not renewed.
  Binding binding;                   // What the keeper holds to.
  std::optional<netlink::Mac> told;  // What it was told beforehand.
  bool flapping = false;
  std::uint32_t conflicts = 0;
  std::uint32_t repairs = 0;
  std::vector<std::string> discs;
};

struct DiscBinding {
  std::string disc;
  BindingStatus status;
};

// How much a snapshot holds. `bindings`: entries by what the keeper holds to, of the kernel's their
// keys only: it is not asked. Each disc's standing is a sentence, which takes longer than the rest.
enum class Detail : std::uint8_t { counts, bindings, entries, all };

struct Snapshot {
  bool enabled = true;
  bool permitted = true;               // The kernel lets us change its table.
  std::uint64_t namespace_cookie = 0;  // netlink::namespace_cookie()
  netlink::Capabilities capabilities;
  Choice choice;                          // What was chosen at the start,
  Strategy strategy = Strategy::learned;  // and what is used now.
  netlink::TableState began;              // The table as the keeper found it.
  std::string silent_mover;               // A disc of the last silent move; "" for none.
  TableStatus table;
  Counters counters;
  std::vector<DeviceStatus> devices;
  std::vector<EntryStatus> entries;  // By key; from Detail::bindings on.
  Mode mode = Mode::neighbours;
  bool listening = true;          // For announcements.
  std::chrono::seconds lease{0};  // Of a route that is written.
  std::uint64_t routes_led = 0;   // Addresses that routes lead to, or are to.
  std::uint64_t tails_bad = 0;    // Next hops that did not answer.
  std::uint64_t routes_installed = 0, routes_repaired = 0, routes_removed = 0, routes_renewed = 0;
  std::vector<RouteStatus> routes;  // By address; likewise.
  std::vector<DiscBinding> discs;   // By name; only with Detail::all.
  std::size_t silent_hosts = 0;     // Link-layer addresses at which nobody answers for any disc.
  std::size_t held = 0, unready = 0, others = 0;  // Discs; others need no entry of ours.
  std::size_t lost = 0;                           // Of the unready: they have no way any more.
};

inline constexpr std::string_view not_permitted =
    "headd may not change the kernel's neighbour table: it lacks CAP_NET_ADMIN, so that no entries "
    "are kept and requests can wait for neighbour discovery; start it as root, or with "
    "AmbientCapabilities=CAP_NET_ADMIN in its unit, or leave neighbours to the kernel with "
    "--no-neigh";

// What cannot be done now, a sentence for each with the way out; empty when all is well.
std::vector<std::string> problems(const Snapshot& snapshot);

}  // namespace head::neigh
