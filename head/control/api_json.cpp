#include "head/control/api_json.hpp"

#include "head/nbd/durability.hpp"
#include "head/nbd/volume.hpp"
#include "head/stats/memory.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <tuple>
#include <utility>

namespace head::control {

namespace {

using nlohmann::json;

double seconds(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e9;
}

double seconds_since(std::int64_t steady_ns) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count() - steady_ns;
  return static_cast<double>(ns) / 1e9;
}

constexpr std::pair<std::uint16_t, const char*> flag_names[] = {
    {nbd::transmission_flag::read_only, "read_only"},
    {nbd::transmission_flag::send_flush, "flush"},
    {nbd::transmission_flag::send_fua, "fua"},
    {nbd::transmission_flag::rotational, "rotational"},
    {nbd::transmission_flag::send_trim, "trim"},
    {nbd::transmission_flag::send_write_zeroes, "write_zeroes"},
    {nbd::transmission_flag::send_df, "df"},
    {nbd::transmission_flag::can_multi_conn, "multi_conn"},
    {nbd::transmission_flag::send_cache, "cache"},
    {nbd::transmission_flag::send_fast_zero, "fast_zero"},
};

json names_of(std::uint16_t flags) {
  json names = json::array();
  for (const auto& [flag, name] : flag_names)
    if ((flags & flag) != 0) names.push_back(name);
  return names;
}

// For each cause: how many, and how long together.
std::pair<json, json> by_cause(const std::array<stats::StallSnapshot, stats::causes>& stalls) {
  std::pair<json, json> all{json::object(), json::object()};
  for (std::size_t i = 0; i < stats::causes; ++i) {
    const std::string cause(to_string(static_cast<stats::Cause>(i)));
    all.first[cause] = stalls[i].count;
    all.second[cause] = seconds(stalls[i].time_ns);
  }
  return all;
}

// What requests, and openings, waited for; of a disc or of all.
void add_stalls(json& object, const auto& of) {
  std::tie(object["stalls"], object["stall_seconds"]) = by_cause(of.stalls);
  std::tie(object["slow_openings"], object["slow_opening_seconds"]) = by_cause(of.slow_openings);
  object["neighbour_stalls"] = of.neighbour_stalls.count;
  object["neighbour_stall_seconds"] = seconds(of.neighbour_stalls.time_ns);
  object["interface_waits"] = of.interface_waits.count;
  object["interface_wait_seconds"] = seconds(of.interface_waits.time_ns);
}

json to_json(const StateCounts& counts) {
  json object = json::object();
  for (std::size_t i = 0; i < states; ++i)
    object[std::string(to_string(static_cast<State>(i)))] = counts[i];
  return object;
}

json counts_of(const stats::OperationSnapshot& operation) {
  return {{"requests", operation.requests},
          {"bytes", operation.bytes},
          {"errors", operation.errors},
          {"seconds", seconds(operation.latency.sum_ns)}};
}

// Each that is not empty: from which time on it counts, and what it has counted.
json buckets_of(const stats::HistogramSnapshot& times) {
  json buckets = json::array();
  for (std::size_t i = 0; i < times.buckets.size(); ++i)
    if (times.buckets[i] != 0)
      buckets.push_back({seconds(stats::buckets::lower_ns(i)), times.buckets[i]});
  return buckets;
}

}  // namespace

json to_json(const DiscStatus& disc, const std::filesystem::path& run_dir) {
  json object = catalogue::to_json(*disc.spec);
  const stats::DiscSnapshot& now = disc.stats;
  object["state"] = to_string(disc.state);
  if (now.state_since_ns != 0) object["state_s"] = seconds_since(now.state_since_ns);
  if (!disc.problem.empty()) object["problem"] = disc.problem;
  if (!disc.waits_for.empty()) object["waits_for"] = disc.waits_for;
  const std::int64_t waits_since =
      disc.state == State::ready ? now.waiting_since_ns : now.state_since_ns;
  if (!disc.waits_for.empty() && waits_since != 0) object["waits_s"] = seconds_since(waits_since);
  if (!now.last_problem.empty()) object["last_problem"] = now.last_problem;
  if (!disc.dev.empty()) object["via"] = disc.dev;
  if (disc.thread) {
    object["thread"] = *disc.thread;
    // As it is served, said or not.
    object["durability"] = nbd::durabilities[now.durability];
  }
  object["unflushed"] = now.kept_bytes;
  object["socket"] = (run_dir / "discs" / disc.spec->name / "nbd.sock").native();
  object["size"] = now.size;
  object["flags"] = names_of(now.flags);
  object["guests"] = now.guests;
  object["guest_sizes"] = now.guest_sizes;
  object["connected"] = now.connections;
  object["reconnects"] = now.reconnects;
  object["in_flight"] = now.in_flight;
  json& operations = object["operations"] = json::object();
  for (std::size_t i = 0; i < stats::operations; ++i)
    if (now.by_operation[i].requests != 0)
      operations[std::string(to_string(static_cast<stats::Operation>(i)))] =
          counts_of(now.by_operation[i]);
  add_stalls(object, now);
  return object;
}

json to_json(const ImportStatus& import) {
  return {{"id", import.id},
          {"total", import.total},
          {"unchanged", import.unchanged},
          {"by_state", to_json(import.by_state)},
          {"settled", import.settled}};
}

json to_json(const AgentStatus& status) {
  json object = {{"discs", status.discs},           {"discs_max", status.discs_max},
                 {"data_threads", status.threads},  {"by_state", to_json(status.by_state)},
                 {"reconnects", status.reconnects}, {"guests", status.guests}};
  add_stalls(object, status);
  return object;
}

namespace {

// One of the parts that a latency splits into.
void add_part(json& one, const std::string& part, const stats::HistogramSnapshot& times) {
  one[part + "_mean_s"] = seconds(times.mean_ns());
  one[part + "_p50_s"] = seconds(times.quantile_ns(0.5));
  one[part + "_p99_s"] = seconds(times.quantile_ns(0.99));
}

}  // namespace

json to_json(const LatencyStatus& latency, bool histogram) {
  json operations = json::object();
  for (std::size_t i = 0; i < stats::operations; ++i) {
    const stats::OperationSnapshot& operation = latency.by_operation[i];
    if (operation.requests == 0) continue;
    json one = counts_of(operation);
    const stats::HistogramSnapshot& times = operation.latency;
    one["mean_s"] = seconds(times.mean_ns());
    one["p50_s"] = seconds(times.quantile_ns(0.5));
    one["p90_s"] = seconds(times.quantile_ns(0.9));
    one["p99_s"] = seconds(times.quantile_ns(0.99));
    one["p999_s"] = seconds(times.quantile_ns(0.999));
    one["max_s"] = seconds(times.max_ns);
    add_part(one, "head", operation.head);
    add_part(one, "wire", operation.wire);
    add_part(one, "tail", operation.tail);
    if (histogram) one["buckets"] = buckets_of(times);
    operations[std::string(to_string(static_cast<stats::Operation>(i)))] = std::move(one);
  }
  json object = {{"operations", std::move(operations)}};
  add_stalls(object, latency);
  return object;
}

json to_json(const StallStatus& status) {
  const auto signed_seconds = [](std::int64_t ns) { return static_cast<double>(ns) / 1e9; };
  json stalls = json::array();
  for (const stats::Stall& stall : status.stalls) {
    json one = {{"disc", stall.disc()},
                {"ended", signed_seconds(stall.ended_ns)},
                {"operation", to_string(stall.operation)},
                {"offset", stall.offset},
                {"length", stall.length},
                {"cause", to_string(stall.cause)},
                {"seconds", signed_seconds(stall.whole_ns)},
                {"head_s", signed_seconds(stall.whole_ns - stall.away_ns)},
                {"wire_s", signed_seconds(stall.wire_ns)},
                {"tail_s", signed_seconds(stall.away_ns - stall.wire_ns)},
                {"held_up_s", signed_seconds(stall.held_up_ns)},
                {"receiving_s", signed_seconds(stall.receiving_ns)}};
    if (stall.error != 0) one["errno"] = stall.error;
    stalls.push_back(std::move(one));
  }
  json openings = json::array();
  for (const stats::Stall& opening : status.openings) {
    json one = {{"disc", opening.disc()},
                {"ended", signed_seconds(opening.ended_ns)},
                {"cause", to_string(opening.cause)},
                {"seconds", signed_seconds(opening.whole_ns)},
                {"held_up_s", signed_seconds(opening.held_up_ns)}};
    if (opening.error != 0) one["errno"] = opening.error;
    openings.push_back(std::move(one));
  }
  json waiting = json::array();
  for (const Waiting& disc : status.waiting)
    waiting.push_back({{"disc", disc.disc},
                       {"state", to_string(disc.state)},
                       {"in_flight", disc.in_flight},
                       {"seconds", seconds_since(disc.since_ns)}});
  return {{"stalls", std::move(stalls)},     {"recorded", status.recorded},
          {"openings", std::move(openings)}, {"openings_recorded", status.openings_recorded},
          {"waiting", std::move(waiting)},   {"waiting_total", status.waiting_total}};
}

json to_json(const MemoryAccount& account, const MemoryHere& here) {
  json parts = json::array();
  for (const MemoryPart& part : account.parts)
    parts.push_back({{"part", part.name},
                     {"what", part.what},
                     {"of", part.of == MemoryOf::headd ? "headd" : "kernel"},
                     {"count", part.count},
                     {"each", part.each},
                     {"bytes", part.bytes()}});
  json object = {{"account", account.total(MemoryOf::headd)},
                 {"ceiling", account.ceiling},
                 {"resident", here.resident},
                 {"kernel_account", account.total(MemoryOf::kernel)},
                 {"kernel_ceiling", account.kernel_ceiling},
                 {"statistics_refused", stats::memory::refused()},
                 {"parts", std::move(parts)}};
  if (const auto objection = account.objection()) object["problem"] = *objection;
  return object;
}

std::string to_text(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string to_body(const json& object) {
  return to_text(object) + "\n";
}

}  // namespace head::control
