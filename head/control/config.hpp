// head.toml: what the operator may say, with a default for everything. A file that says anything
// unknown or impossible is refused, naming the line and the key: a misspelt key that is silently
// ignored is found on the day it matters.
#pragma once

#include "head/base/log.hpp"
#include "head/base/result.hpp"
#include "head/control/listen_address.hpp"
#include "head/disc/identity.hpp"
#include "head/nbd/connection_options.hpp"
#include "head/nbd/durability.hpp"
#include "head/neigh/next_hop.hpp"
#include "head/neigh/strategy.hpp"
#include "head/neigh/trust.hpp"
#include "netlink/neighbour.hpp"
#include "netlink/route.hpp"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace head::control {

struct Config {
  struct Paths {
    std::filesystem::path state_dir = "/var/lib/head";
    std::filesystem::path run_dir = "/run/head";
    bool operator==(const Paths&) const = default;
  } paths;

  struct Data {
    unsigned threads = 0;      // 0: one per two processors, at least one.
    unsigned memory_mib = 64;  // For the payloads of requests, all threads; 40 each at least.
    unsigned discs_max = 100'000;
    unsigned guests_max = 4'096;  // Of all discs together; each thread has its part.
    bool operator==(const Data&) const = default;
  } data;

  // What all of it may come to: see memory_account.hpp.
  struct Memory {
    unsigned ceiling_mib = 512;
    unsigned kernel_ceiling_mib = 4'096;
    bool operator==(const Memory&) const = default;
  } memory;

  struct Discs {
    nbd::Durability durability = nbd::Durability::replay;   // Of those that do not say.
    disc::Identity identity = disc::Identity::last_writes;  // The same.
    std::chrono::milliseconds quarantine{30'000};
    bool tail_closes_last = false;
    unsigned replay_memory_mib = 64;  // All threads.
    bool operator==(const Discs&) const = default;
  } discs;

  // Who may connect to a Unix socket: the file's mode, and its group where one is named.
  struct Socket {
    unsigned mode = 0660;
    std::string group;
    bool operator==(const Socket&) const = default;
  };
  Socket exports;              // [export]
  Socket api;                  // [api]
  std::string operator_group;  // [api] as well: who may change something; empty: who connects.

  // Where metrics, the status page and the rest of what reads can be had over TCP.
  struct Metrics {
    std::optional<ListenAddress> listen = ListenAddress{
        .v6 = true, .address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, .port = 9847};
    bool operator==(const Metrics&) const = default;
  } metrics;

  struct Neighbours {
    bool enabled = true;
    neigh::Mode mode = neigh::Mode::neighbours;
    std::vector<netlink::Prefix> route_prefixes;  // Where `mode` is routes; none: everywhere.
    std::chrono::seconds lease{600};              // Of a route.
    neigh::Trust trust = neigh::Trust::catalogue_unless_dead;  // In what contradicts a pin.
    std::vector<netlink::Prefix> trust_prefixes;  // Where that is so; none: everywhere.
    std::optional<neigh::Strategy> strategy;      // Absent: the best that the kernel can.
    std::filesystem::path table_netns;  // Where thresholds can be written; empty: this one.
    unsigned resolve_per_second = 500;  // Resolutions begun, so that the network is not stormed.
    std::vector<netlink::Prefix> prefixes;  // Where discs may be; none: anywhere.
    bool responder = false;                 // The kernel asks headd before it asks the network.
    bool announcements = true;              // Of hosts, without the override flag too.
    bool leave = false;  // At a clean end the interfaces' settings stay as headd made them.
    std::chrono::seconds reconcile{60};
    std::chrono::seconds recheck{10};  // The table's limits.
    unsigned table_max = 4u << 20;     // The kernel's table is never let grow above this.
    bool operator==(const Neighbours&) const = default;
  } neighbours;

  struct Stall {
    std::chrono::milliseconds threshold{20};
    bool operator==(const Stall&) const = default;
  } stall;

  struct Tcp {
    std::chrono::seconds keepalive_idle{5};
    std::chrono::seconds keepalive_interval{2};
    unsigned keepalive_probes = 3;
    std::chrono::milliseconds user_timeout{10'000};
    std::chrono::milliseconds connect_timeout{3'000};
    std::chrono::milliseconds handshake_timeout{10'000};
    std::chrono::milliseconds suspect_after{2'000};
    unsigned poison_attempts = 3;
    nbd::QuickAck quick_ack = nbd::QuickAck::adaptive;
    bool operator==(const Tcp&) const = default;
  } tcp;

  // [tails] NAME = "52:54:00:12:34:56": what `headctl move --to NAME` means.
  std::map<std::string, netlink::Mac> tails;
  // Of those of them whose link-local address is another than kernels make of it by default.
  neigh::NextHops next_hops;

  log::Level log_level = log::Level::info;  // [log] level

  bool operator==(const Config&) const = default;
};

struct ConfigError {
  unsigned line = 0;       // From 1; 0 where there is none.
  std::string key{};       // "data.threads"; empty where the text is not TOML at all.
  std::string sentence{};  // Names both, and the way out.
};

inline constexpr std::size_t config_size_max = std::size_t{1} << 20;
inline constexpr std::size_t config_line_max = 1000;

Result<Config, ConfigError> parse_config(std::string_view text);

// Reads and parses. A missing file is an error only where `required`; otherwise the defaults stand.
Result<Config, ConfigError> load_config(const std::filesystem::path& file, bool required);

// How many data threads `config` means on this machine: where it does not say, as many as have the
// least memory for payloads in a quarter of the ceiling.
unsigned data_threads(const Config& config) noexcept;

// What head.toml may hold, in the order of its sections: for documentation and its tests.
struct ConfigKey {
  std::string_view name;  // "data.threads"
  std::string_view rule;  // "a whole number from 1 to 64"
};
std::span<const ConfigKey> config_keys();

}  // namespace head::control
