#include "head/control/reload.hpp"

#include "head/control/memory_here.hpp"

#include <array>
#include <utility>

namespace head::control {

namespace {

// A key, or a whole section, and how it is taken from one configuration into another.
struct Setting {
  std::string_view name;
  bool live;  // It can change while headd runs.
  void (*copy)(Config& to, const Config& from);
};

constexpr std::array settings = {
    Setting{"paths", false, [](Config& to, const Config& from) { to.paths = from.paths; }},
    Setting{"data.threads", false,
            [](Config& to, const Config& from) { to.data.threads = from.data.threads; }},
    Setting{"data.memory_mib", false,
            [](Config& to, const Config& from) { to.data.memory_mib = from.data.memory_mib; }},
    Setting{"data.discs_max", true,
            [](Config& to, const Config& from) { to.data.discs_max = from.data.discs_max; }},
    Setting{"data.guests_max", false,
            [](Config& to, const Config& from) { to.data.guests_max = from.data.guests_max; }},
    Setting{"memory", true, [](Config& to, const Config& from) { to.memory = from.memory; }},
    Setting{"discs.durability", true,
            [](Config& to, const Config& from) { to.discs.durability = from.discs.durability; }},
    Setting{"discs.identity", true,
            [](Config& to, const Config& from) { to.discs.identity = from.discs.identity; }},
    Setting{"discs.quarantine_ms", true,
            [](Config& to, const Config& from) { to.discs.quarantine = from.discs.quarantine; }},
    Setting{"discs.tail_closes_last", true,
            [](Config& to, const Config& from) {
              to.discs.tail_closes_last = from.discs.tail_closes_last;
            }},
    Setting{"discs.replay_memory_mib", false,
            [](Config& to, const Config& from) {
              to.discs.replay_memory_mib = from.discs.replay_memory_mib;
            }},
    Setting{"export", false, [](Config& to, const Config& from) { to.exports = from.exports; }},
    Setting{"api", false,
            [](Config& to, const Config& from) {
              to.api = from.api;
              to.operator_group = from.operator_group;
            }},
    Setting{"metrics", false, [](Config& to, const Config& from) { to.metrics = from.metrics; }},
    Setting{"neighbours", false,
            [](Config& to, const Config& from) { to.neighbours = from.neighbours; }},
    Setting{"stall.threshold_ms", true,
            [](Config& to, const Config& from) { to.stall = from.stall; }},
    Setting{"tcp", true, [](Config& to, const Config& from) { to.tcp = from.tcp; }},
    Setting{"tails", true, [](Config& to, const Config& from) { to.tails = from.tails; }},
    Setting{"tails (their link-local addresses)", false,
            [](Config& to, const Config& from) { to.next_hops = from.next_hops; }},
    Setting{"log.level", true,
            [](Config& to, const Config& from) { to.log_level = from.log_level; }},
};

}  // namespace

std::span<const std::string_view> settings_known() {
  static const auto names = [] {
    std::array<std::string_view, settings.size()> all;
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = settings[i].name;
    return all;
  }();
  return names;
}

Change change(const Config& running, const Config& wanted) {
  Change result{.config = running, .told = {}};
  for (const Setting& setting : settings) {
    Config with = result.config;
    setting.copy(with, wanted);
    if (with == result.config) continue;
    (setting.live ? result.told.applied : result.told.at_next_start).emplace_back(setting.name);
    if (setting.live) result.config = with;
  }
  return result;
}

DataSettings data_settings(const Config& config) {
  DataSettings settings;
  settings.stall_threshold = config.stall.threshold;
  settings.connection.tcp = {.keepalive_idle = config.tcp.keepalive_idle,
                             .keepalive_interval = config.tcp.keepalive_interval,
                             .keepalive_probes = static_cast<int>(config.tcp.keepalive_probes),
                             .user_timeout = config.tcp.user_timeout};
  settings.connection.connect_timeout = config.tcp.connect_timeout;
  settings.connection.handshake_timeout = config.tcp.handshake_timeout;
  settings.connection.suspect_after = config.tcp.suspect_after;
  settings.connection.poison_attempts = config.tcp.poison_attempts;
  settings.connection.quick_ack = config.tcp.quick_ack;
  settings.durability = config.discs.durability;
  settings.identity = config.discs.identity;
  settings.quarantine = config.discs.quarantine;
  settings.tail_closes_last = config.discs.tail_closes_last;
  return settings;
}

Reloader::Reloader(Agent& agent, Config running, Read read)
    : agent_(agent), read_(std::move(read)), running_(std::move(running)) {}

Result<Reloaded, std::string> Reloader::reload() {
  const std::lock_guard hold(lock_);
  const auto wanted = read_();
  if (!wanted) return Failure{wanted.error()};
  Change made = change(running_, *wanted);
  log::set_level(made.config.log_level);
  agent_.set_discs_max(made.config.data.discs_max);
  agent_.set_memory({made.config, socket_ceilings()});
  agent_.set_tails(made.config.tails);
  agent_.apply(data_settings(made.config));
  agent_.look();
  running_ = std::move(made.config);  // Last: what failed is changed by the next reload.
  return std::move(made.told);
}

}  // namespace head::control
