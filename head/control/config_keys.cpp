#include "head/control/config_keys.hpp"

#include "head/catalogue/disc_spec.hpp"
#include "netlink/format.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace head::control {

namespace {

bool within(const Value& value, std::int64_t least, std::int64_t most, auto&& take) {
  const auto* number = std::get_if<std::int64_t>(&value);
  if (number == nullptr || *number < least || *number > most) return false;
  take(*number);
  return true;
}

bool number(unsigned& into, const Value& value, std::int64_t least, std::int64_t most) {
  return within(value, least, most, [&](std::int64_t n) { into = static_cast<unsigned>(n); });
}

template <class Duration>
bool duration(Duration& into, const Value& value, std::int64_t least, std::int64_t most) {
  return within(value, least, most, [&](std::int64_t n) { into = Duration(n); });
}

bool flag(bool& into, const Value& value) {
  const auto* truth = std::get_if<bool>(&value);
  if (truth != nullptr) into = *truth;
  return truth != nullptr;
}

// Absolute: a daemon's working directory is nobody's promise.
bool path(std::filesystem::path& into, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr || text->empty() || text->front() != '/' ||
      text->find('\0') != std::string::npos)
    return false;
  into = *text;
  return true;
}

bool octal_mode(unsigned& into, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr || (text->size() != 3 && text->size() != 4)) return false;
  if (text->size() == 4 && text->front() != '0') return false;
  unsigned mode = 0;
  for (const char c : *text) {
    if (c < '0' || c > '7') return false;
    mode = mode * 8 + static_cast<unsigned>(c - '0');
  }
  into = mode;
  return true;
}

// Whether there is such a group is found out where the socket is made.
bool group(std::string& into, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr || text->size() > 255 || text->find('\0') != std::string::npos) return false;
  into = *text;
  return true;
}

bool listen(std::optional<ListenAddress>& into, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return false;
  const bool off = text->empty() || *text == "off";
  const auto address = parse_listen_address(*text);
  if (!off && !address) return false;
  into = address;
  return true;
}

bool prefixes(std::vector<netlink::Prefix>& into, const Value& value) {
  const auto* words = std::get_if<std::vector<std::string>>(&value);
  if (words == nullptr) return false;
  std::vector<netlink::Prefix> all;
  for (const std::string& word : *words) {
    const auto prefix = netlink::parse_prefix(word);
    if (!prefix) return false;
    all.push_back(*prefix);
  }
  into = std::move(all);
  return true;
}

std::optional<nbd::QuickAck> parse_quick_ack(std::string_view text) {
  if (text == "adaptive") return nbd::QuickAck::adaptive;
  if (text == "always") return nbd::QuickAck::always;
  if (text == "off") return nbd::QuickAck::off;
  return std::nullopt;
}

// One of the names that `parse` knows.
template <class One, class Parse>
bool named(One& into, const Value& value, Parse parse) {
  const auto* text = std::get_if<std::string>(&value);
  const auto one = text != nullptr ? parse(*text) : std::nullopt;
  if (one) into = *one;
  return one.has_value();
}

bool strategy(std::optional<neigh::Strategy>& into, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return false;
  into = neigh::parse_strategy(*text);
  return into.has_value() || *text == "auto";
}

bool mode(neigh::Mode& into, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr || (*text != "neighbours" && *text != "routes")) return false;
  into = *text == "routes" ? neigh::Mode::routes : neigh::Mode::neighbours;
  return true;
}

constexpr std::string_view path_rule = "an absolute path";
constexpr std::string_view mode_rule = "an octal mode in quotes, \"0660\" say";
constexpr std::string_view operators_rule = "the name of a group, or \"\" for whoever can connect";
constexpr std::string_view group_rule = "the name of a group, or \"\" for the process's own";
constexpr std::string_view listen_rule =
    "an address and a port, \"[::1]:9847\" or \"127.0.0.1:9847\" say, or \"off\"";
constexpr std::string_view flag_rule = "true or false";
constexpr std::string_view prefixes_rule = "a list of prefixes, [\"fd00:d15c::/32\"] say, or []";
constexpr std::string_view tail_rule =
    "the link-layer address of a tail in quotes, \"52:54:00:12:34:56\" say, or with its own "
    "link-local address, \"52:54:00:12:34:56 fe80::1\"";

constexpr std::array entries = {
    KeyEntry{{"paths.state_dir", path_rule},
             [](Config& c, const Value& v) { return path(c.paths.state_dir, v); }},
    KeyEntry{{"paths.run_dir", path_rule},
             [](Config& c, const Value& v) { return path(c.paths.run_dir, v); }},
    KeyEntry{{"data.threads", "a whole number from 1 to 64"},
             [](Config& c, const Value& v) { return number(c.data.threads, v, 1, 64); }},
    KeyEntry{{"data.memory_mib", "a whole number from 8 to 1048576"},
             [](Config& c, const Value& v) { return number(c.data.memory_mib, v, 8, 1048576); }},
    KeyEntry{{"data.discs_max", "a whole number from 1 to 1000000"},
             [](Config& c, const Value& v) { return number(c.data.discs_max, v, 1, 1'000'000); }},
    KeyEntry{{"data.guests_max", "a whole number from 1 to 1000000"},
             [](Config& c, const Value& v) { return number(c.data.guests_max, v, 1, 1'000'000); }},
    KeyEntry{
        {"memory.ceiling_mib", "a whole number from 64 to 1048576"},
        [](Config& c, const Value& v) { return number(c.memory.ceiling_mib, v, 64, 1'048'576); }},
    KeyEntry{{"memory.kernel_ceiling_mib", "a whole number from 64 to 16777216"},
             [](Config& c, const Value& v) {
               return number(c.memory.kernel_ceiling_mib, v, 64, 16'777'216);
             }},
    KeyEntry{{"discs.durability", "\"writeback\", \"writethrough\" or \"replay\""},
             [](Config& c, const Value& v) {
               return named(c.discs.durability, v, nbd::parse_durability);
             }},
    KeyEntry{
        {"discs.identity", "\"shape\", \"last-writes\" or \"first-block\""},
        [](Config& c, const Value& v) { return named(c.discs.identity, v, disc::parse_identity); }},
    KeyEntry{
        {"discs.quarantine_ms", "a whole number from 0 to 3600000"},
        [](Config& c, const Value& v) { return duration(c.discs.quarantine, v, 0, 3'600'000); }},
    KeyEntry{{"discs.tail_closes_last", "true or false"},
             [](Config& c, const Value& v) { return flag(c.discs.tail_closes_last, v); }},
    KeyEntry{
        {"discs.replay_memory_mib", "a whole number from 0 to 1048576"},
        [](Config& c, const Value& v) { return number(c.discs.replay_memory_mib, v, 0, 1048576); }},
    KeyEntry{{"export.socket_mode", mode_rule},
             [](Config& c, const Value& v) { return octal_mode(c.exports.mode, v); }},
    KeyEntry{{"export.socket_group", group_rule},
             [](Config& c, const Value& v) { return group(c.exports.group, v); }},
    KeyEntry{{"api.socket_mode", mode_rule},
             [](Config& c, const Value& v) { return octal_mode(c.api.mode, v); }},
    KeyEntry{{"api.socket_group", group_rule},
             [](Config& c, const Value& v) { return group(c.api.group, v); }},
    KeyEntry{{"api.operator_group", operators_rule},
             [](Config& c, const Value& v) { return group(c.operator_group, v); }},
    KeyEntry{{"metrics.listen", listen_rule},
             [](Config& c, const Value& v) { return listen(c.metrics.listen, v); }},
    KeyEntry{{"neighbours.enabled", flag_rule},
             [](Config& c, const Value& v) { return flag(c.neighbours.enabled, v); }},
    KeyEntry{{"neighbours.mode", "\"neighbours\" or \"routes\""},
             [](Config& c, const Value& v) { return mode(c.neighbours.mode, v); }},
    KeyEntry{{"neighbours.route_prefixes", prefixes_rule},
             [](Config& c, const Value& v) { return prefixes(c.neighbours.route_prefixes, v); }},
    KeyEntry{{"neighbours.lease_s", "a whole number from 10 to 86400"},
             [](Config& c, const Value& v) { return duration(c.neighbours.lease, v, 10, 86'400); }},
    KeyEntry{
        {"neighbours.trust", "\"catalogue\", \"catalogue-unless-dead\" or \"wire\""},
        [](Config& c, const Value& v) { return named(c.neighbours.trust, v, neigh::parse_trust); }},
    KeyEntry{{"neighbours.trust_prefixes", prefixes_rule},
             [](Config& c, const Value& v) { return prefixes(c.neighbours.trust_prefixes, v); }},
    KeyEntry{{"neighbours.strategy", "\"auto\", \"validated\", \"learned\" or \"plain\""},
             [](Config& c, const Value& v) { return strategy(c.neighbours.strategy, v); }},
    KeyEntry{{"neighbours.table_netns", path_rule},
             [](Config& c, const Value& v) { return path(c.neighbours.table_netns, v); }},
    KeyEntry{{"neighbours.resolve_per_second", "a whole number from 1 to 100000"},
             [](Config& c, const Value& v) {
               return number(c.neighbours.resolve_per_second, v, 1, 100'000);
             }},
    KeyEntry{{"neighbours.prefixes", prefixes_rule},
             [](Config& c, const Value& v) { return prefixes(c.neighbours.prefixes, v); }},
    KeyEntry{{"neighbours.responder", flag_rule},
             [](Config& c, const Value& v) { return flag(c.neighbours.responder, v); }},
    KeyEntry{{"neighbours.announcements", flag_rule},
             [](Config& c, const Value& v) { return flag(c.neighbours.announcements, v); }},
    KeyEntry{{"neighbours.leave", flag_rule},
             [](Config& c, const Value& v) { return flag(c.neighbours.leave, v); }},
    KeyEntry{
        {"neighbours.reconcile_s", "a whole number from 1 to 86400"},
        [](Config& c, const Value& v) { return duration(c.neighbours.reconcile, v, 1, 86'400); }},
    KeyEntry{
        {"neighbours.recheck_s", "a whole number from 1 to 86400"},
        [](Config& c, const Value& v) { return duration(c.neighbours.recheck, v, 1, 86'400); }},
    KeyEntry{{"neighbours.table_max", "a whole number from 1024 to 16777216"},
             [](Config& c, const Value& v) {
               return number(c.neighbours.table_max, v, 1024, 16'777'216);
             }},
    KeyEntry{{"stall.threshold_ms", "a whole number from 1 to 60000"},
             [](Config& c, const Value& v) { return duration(c.stall.threshold, v, 1, 60'000); }},
    KeyEntry{{"tcp.keepalive_idle_s", "a whole number from 1 to 3600"},
             [](Config& c, const Value& v) { return duration(c.tcp.keepalive_idle, v, 1, 3'600); }},
    KeyEntry{
        {"tcp.keepalive_interval_s", "a whole number from 1 to 3600"},
        [](Config& c, const Value& v) { return duration(c.tcp.keepalive_interval, v, 1, 3'600); }},
    KeyEntry{{"tcp.keepalive_probes", "a whole number from 1 to 100"},
             [](Config& c, const Value& v) { return number(c.tcp.keepalive_probes, v, 1, 100); }},
    KeyEntry{
        {"tcp.user_timeout_ms", "a whole number from 100 to 3600000"},
        [](Config& c, const Value& v) { return duration(c.tcp.user_timeout, v, 100, 3'600'000); }},
    KeyEntry{{"tcp.connect_timeout_ms", "a whole number from 100 to 3600000"},
             [](Config& c, const Value& v) {
               return duration(c.tcp.connect_timeout, v, 100, 3'600'000);
             }},
    KeyEntry{{"tcp.handshake_timeout_ms", "a whole number from 100 to 3600000"},
             [](Config& c, const Value& v) {
               return duration(c.tcp.handshake_timeout, v, 100, 3'600'000);
             }},
    KeyEntry{
        {"tcp.suspect_after_ms", "a whole number from 0 to 3600000"},
        [](Config& c, const Value& v) { return duration(c.tcp.suspect_after, v, 0, 3'600'000); }},
    KeyEntry{{"tcp.poison_attempts", "a whole number from 0 to 100"},
             [](Config& c, const Value& v) { return number(c.tcp.poison_attempts, v, 0, 100); }},
    KeyEntry{{"tcp.quick_ack", "\"adaptive\", \"always\" or \"off\""},
             [](Config& c, const Value& v) { return named(c.tcp.quick_ack, v, parse_quick_ack); }},
    KeyEntry{{tail_key, tail_rule},
             [](Config&, const Value&) { return false; }},  // See set_tail().
    KeyEntry{{"log.level", "\"debug\", \"info\", \"warning\" or \"error\""},
             [](Config& c, const Value& v) {
               const auto* text = std::get_if<std::string>(&v);
               const auto level = text != nullptr ? log::parse_level(*text) : std::nullopt;
               if (level) c.log_level = *level;
               return level.has_value();
             }},
};

// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

bool set_tail(Config& config, std::string_view name, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return false;
  const std::size_t space = text->find(' ');
  const auto lladdr = netlink::parse_mac(text->substr(0, space));
  if (!lladdr || !netlink::is_unicast(*lladdr) || !catalogue::is_name(name)) return false;
  if (space != std::string::npos) {
    const auto address = netlink::parse_ip6(text->substr(space + 1));
    if (!address || !netlink::is_link_local(*address)) return false;
    // Two hosts have two addresses, and one has one.
    const auto [said, first] = config.next_hops.emplace(*lladdr, *address);
    for (const auto& [other, there] : config.next_hops)
      if (there == *address && other != *lladdr) return false;
    if (!first && said->second != *address) return false;
  }
  config.tails.emplace(name, *lladdr);
  return true;
}

std::span<const KeyEntry> key_entries() {
  return entries;
}

std::span<const ConfigKey> config_keys() {
  static const auto keys = [] {
    std::vector<ConfigKey> list;
    for (const KeyEntry& entry : entries) list.push_back(entry.key);
    return list;
  }();
  return keys;
}

std::string_view closest_key(std::string_view misspelt) {
  constexpr std::size_t misspelt_max = 64;
  if (misspelt.size() > misspelt_max) return "";
  std::string_view best;
  std::size_t best_distance = misspelt.size() / 3 + 1;
  for (const KeyEntry& entry : entries) {
    const std::string_view name = entry.key.name;
    const std::string_view last = name.substr(name.rfind('.') + 1);
    // The right key in the wrong section counts as one mistake.
    const std::string_view said = misspelt.substr(misspelt.rfind('.') + 1);
    const std::size_t d = said == last ? 1 : distance(misspelt, name);
    if (d < best_distance) {
      best = name;
      best_distance = d;
    }
  }
  return best;
}

}  // namespace head::control
