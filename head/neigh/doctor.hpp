// Can this head stall? A pure function from plain evidence to findings in words, each with what was
// seen and what to type against it. What there is no evidence for is not found.
#pragma once

#include "head/neigh/obstacle.hpp"
#include "head/neigh/strategy.hpp"
#include "netlink/device.hpp"
#include "netlink/thresholds.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace head::neigh {

enum class Gravity : std::uint8_t {
  warning,  // It can make things worse, or hides something.
  stall,    // Requests can wait because of it.
};
std::string_view to_string(Gravity gravity) noexcept;  // "warning", "stall"

struct Finding {
  std::string id;       // Of its kind; stable.
  std::string subject;  // What it is about, where there can be many: an interface, an address.
  Gravity gravity = Gravity::warning;
  std::string sentence;
  std::string evidence;  // What was seen.
  std::string fix;       // To be typed; lines.
};

// An interface that leads to discs.
struct InterfaceEvidence {
  std::string name;
  bool running = true;  // Up, and with a carrier.
  std::uint32_t mtu = 0;
  std::optional<netlink::DeviceSettings> settings;
  std::vector<std::string> duplicate_addresses;  // Of ours, that another host has.
  // Discs whose packets must be smaller than the interface lets them be: one of them, and how many.
  std::uint32_t narrow_mtu = 0, narrow_advmss = 0;
  std::string narrow_disc;
  std::uint64_t narrow = 0;
};

// What anybody can read of the kernel, without privileges.
struct KernelEvidence {
  netlink::TableState table;
  std::uint64_t neighbours = 0;   // Of discs.
  std::uint64_t exempt = 0;       // Entries of ours, exempt from collection.
  std::uint64_t on_account = 0;   // Entries that discs account for, exempt or not.
  std::uint64_t foreign = 0;      // Neighbours of discs whose entry somebody else made.
  bool initial_namespace = true;  // Where the table's limits can be written.
  std::optional<std::uint64_t> route_max_size;
  std::vector<InterfaceEvidence> interfaces;
  std::string problem;  // What could not be read; "" when all could.
};

// Discs whose requests wait for one reason.
struct Hindered {
  Obstacle why = Obstacle::unanswered;
  std::uint64_t discs = 0;
  std::string first;  // What there is to say of one of them, its name included.
  std::string dev;    // The interface that it is, or was, reached through; "" where none is known.
};

// What only headd knows.
struct DaemonEvidence {
  bool enabled = true, permitted = true;
  netlink::TableState began;  // The table as headd found it.
  std::string limits_problem;
  netlink::Capabilities capabilities;
  Choice choice;
  Strategy strategy = Strategy::learned;
  std::uint64_t discs = 0;
  std::vector<Hindered> hindered;  // One for each reason.
  std::uint64_t unconnected = 0;   // Discs that nothing hinders, and that have no connection,
  std::string unconnected_disc;    // one of them, and why.
  // Hosts that small packets reach, and those not that are as large as their connections send: how
  // large, in bytes from the IPv6 header on; one of them, and a disc there.
  std::uint64_t swallowed = 0;
  std::uint32_t swallowed_packet = 0;
  std::string swallowed_at;
  // Why that could not be tried: the kernel does not tell of connections, or sends no echoes.
  std::string connections_untold, echoes_refused;
  std::uint64_t notifications_lost = 0, silent_moves = 0;
  // Addresses that are elsewhere than was told, and those that change to and fro now.
  std::uint64_t conflicts = 0, flapping = 0;
  std::uint64_t claims = 0;                   // Others' lately, that were not followed.
  std::string conflict, flapper, claim;       // A disc of each, and what there is to say of it.
  bool route_mode = false, listening = true;  // For announcements.
  std::uint64_t tails_bad = 0;                // That did not answer at their link-local address.
  std::string silent_mover;                   // A disc of the last silent move.
  std::uint64_t stalls = 0;                   // Requests that waited for neighbour discovery.
  double stall_seconds = 0;
  std::uint64_t files = 0, files_max = 0;  // Open descriptors.
  std::uint64_t deaf = 0;                  // Discs that no guest can connect to,
  std::string deaf_disc;                   // one of them, and why.
  std::vector<std::string> twins;          // Pairs of discs that are one export, "a and b".
  // Bytes: what the account of memory comes to, and what there is for us at most.
  std::string memory_objection;  // The account is above what the configuration allows.
  std::uint64_t memory = 0, kernel_memory = 0, memory_there = 0;
  std::string memory_of;                          // "this machine", or a control group.
  std::uint64_t tail_sockets = 0, tcp_limit = 0;  // Of all TCP: net.ipv4.tcp_mem.
};

struct Evidence {
  KernelEvidence kernel;
  std::optional<DaemonEvidence> daemon;
  std::string no_daemon{};  // Why there is none, where one was asked for.
};

// The gravest first; those of one gravity in the order in which they are looked for.
std::vector<Finding> diagnose(const Evidence& evidence);

// 0: nothing, 1: warnings, 2: this head can stall.
int exit_status(std::span<const Finding> findings) noexcept;
// The same in words.
std::string_view verdict(std::span<const Finding> findings) noexcept;

}  // namespace head::neigh
