#include "head/control/metrics.hpp"

#include "head/control/metric_families.hpp"
#include "netlink/format.hpp"

#include <map>
#include <string_view>
#include <utility>

namespace head::control {

namespace {

std::string name_of(std::size_t operation) {
  return std::string(to_string(static_cast<stats::Operation>(operation)));
}

void add_memory(Families& families, const MemoryAccount& account) {
  const auto each = [&](const char* name, const char* help, MemoryOf of) {
    families.gauge(name, help);
    for (const MemoryPart& part : account.parts)
      if (part.of == of) families.add(part.bytes(), {{"part", std::string(part.name)}});
  };
  each("head_memory_account_bytes", "What headd may take at most, part by part.", MemoryOf::headd);
  families.gauge("head_memory_ceiling_bytes", "What that may come to (memory.ceiling_mib).");
  families.add(account.ceiling);
  each("head_memory_kernel_account_bytes", "What the kernel may take for headd at most.",
       MemoryOf::kernel);
  families.gauge("head_memory_kernel_ceiling_bytes",
                 "What that may come to (memory.kernel_ceiling_mib).");
  families.add(account.kernel_ceiling);
}

struct Named {
  const char* name;
  const char* help;
};

// Two counters for each cause: how many, and how many seconds together.
void add_by_cause(Families& families, const std::array<stats::StallSnapshot, stats::causes>& stalls,
                  const Named& counts, const Named& times) {
  const auto label = [](std::size_t cause) {
    return Labels{{"cause", std::string(to_string(static_cast<stats::Cause>(cause)))}};
  };
  families.counter(counts.name, counts.help);
  for (std::size_t i = 0; i < stats::causes; ++i) families.add(stalls[i].count, label(i));
  families.counter(times.name, times.help);
  for (std::size_t i = 0; i < stats::causes; ++i)
    families.add(seconds(stalls[i].time_ns), label(i));
}

void add_head(Families& families, const Scrape& scrape) {
  families.gauge("head_build_info", "Which headd this is; always 1.");
  families.add(1, {{"version", scrape.version}});
  families.gauge("head_memory_resident_bytes", "Memory of the process.");
  families.add(scrape.here.resident);
  if (scrape.memory) add_memory(families, *scrape.memory);
  families.counter("head_processor_seconds_total", "Processor time of the process.");
  families.add(scrape.processor_seconds);

  const AgentStatus& agent = scrape.agent;
  families.gauge("head_discs", "Attached discs, by state.");
  for (std::size_t i = 0; i < states; ++i)
    families.add(agent.by_state[i], {{"state", std::string(to_string(static_cast<State>(i)))}});
  families.gauge("head_discs_limit", "Discs that may be attached (data.discs_max).");
  families.add(agent.discs_max);
  families.gauge("head_guests", "Clients of the discs' sockets.");
  families.add(agent.guests);
  families.gauge("head_replay_bytes", "Memory for acknowledged writes that are not flushed yet.");
  families.add(agent.unflushed);
  families.counter("head_reconnects_total", "Connections to tails that were lost and made again.");
  families.add(agent.reconnects);

  add_by_cause(families, agent.stalls,
               {"head_stalls_total", "Requests that took longer than the stall threshold."},
               {"head_stall_seconds_total", "How long these took together."});
  add_by_cause(families, agent.slow_openings,
               {"head_slow_openings_total",
                "First connections to tails that took longer than a second and the threshold."},
               {"head_slow_opening_seconds_total",
                "Total duration of slow first connections to tails, in seconds."});
  families.counter("head_neighbour_stalls_total",
                   "Waits of discs' requests for neighbour discovery, however short.");
  families.add(agent.neighbour_stalls.count);
  families.counter(
      "head_neighbour_stall_seconds_total",
      "How long they were: what the kernel says where it was asked, else the request.");
  families.add(seconds(agent.neighbour_stalls.time_ns));
  families.counter(
      "head_interface_waits_total",
      "Waits of discs' requests for neighbour discovery that began while the interface "
      "was away or within a second of its return; not among the neighbour stalls.");
  families.add(agent.interface_waits.count);
  families.counter("head_interface_wait_seconds_total",
                   "Total duration of waits that began while the interface was away, in seconds.");
  families.add(seconds(agent.interface_waits.time_ns));
}

Labels labels_of(const GroupLatency& group, std::size_t operation) {
  return {{"grade", group.key.grade}, {"tail", group.key.tail}, {"operation", name_of(operation)}};
}

Labels labels_of(const DiscSeries& disc, std::size_t operation) {
  return {{"disc", disc.name}, {"operation", name_of(operation)}};
}

// Into the family opened last, for each operation that was ever asked: what `of` makes of it.
template <class Group, class Of>
void each(Families& families, const std::vector<Group>& groups, Of of) {
  for (const Group& group : groups)
    for (std::size_t i = 0; i < stats::operations; ++i)
      if (const auto& operation = group.latency.by_operation[i]; operation.requests != 0)
        families.add(of(operation), labels_of(group, i));
}

void add_groups(Families& families, const Scrape& scrape) {
  using stats::OperationSnapshot;
  families.gauge("head_tail_discs", "Attached discs, by grade and tail.");
  for (const GroupLatency& group : scrape.groups)
    families.add(group.discs, {{"grade", group.key.grade}, {"tail", group.key.tail}});
  families.counter("head_requests_total", "Requests of guests that were answered.");
  each(families, scrape.groups, [](const OperationSnapshot& of) { return of.requests; });
  families.counter("head_request_errors_total", "Those of them that were answered with an error.");
  each(families, scrape.groups, [](const OperationSnapshot& of) { return of.errors; });
  families.counter("head_request_bytes_total", "Bytes of those that were answered well.");
  each(families, scrape.groups, [](const OperationSnapshot& of) { return of.bytes; });
  families.histogram("head_request_seconds", "How long guests waited for an answer.");
  each(families, scrape.groups, [](const OperationSnapshot& of) { return of.latency; });
  families.counter("head_request_head_seconds_total", "Of that, in the head.");
  each(families, scrape.groups,
       [](const OperationSnapshot& of) { return seconds(of.head.sum_ns); });
  families.counter("head_request_wire_seconds_total", "Of that, on the wire at least.");
  each(families, scrape.groups,
       [](const OperationSnapshot& of) { return seconds(of.wire.sum_ns); });
  families.counter("head_request_tail_seconds_total", "Of that, with the tail: all the rest.");
  each(families, scrape.groups,
       [](const OperationSnapshot& of) { return seconds(of.tail.sum_ns); });
}

void add_discs(Families& families, const Scrape& scrape) {
  if (scrape.discs.empty()) return;
  using stats::OperationSnapshot;
  families.gauge("head_disc_in_flight", "Requests that guests of a disc wait for.");
  for (const DiscSeries& disc : scrape.discs) families.add(disc.in_flight, {{"disc", disc.name}});
  families.counter("head_disc_requests_total", "Requests of a disc's guests that were answered.");
  each(families, scrape.discs, [](const OperationSnapshot& of) { return of.requests; });
  families.counter("head_disc_neighbour_stall_seconds_total",
                   "How long a disc's requests waited for neighbour discovery.");
  for (const DiscSeries& disc : scrape.discs)
    families.add(seconds(disc.latency.neighbour_stalls.time_ns), {{"disc", disc.name}});
  families.histogram("head_disc_request_seconds", "How long the guests of a disc waited.");
  each(families, scrape.discs, [](const OperationSnapshot& of) { return of.latency; });
}

void add_entries(Families& families, const neigh::Snapshot& neighbours) {
  std::map<std::pair<std::string_view, std::string_view>, std::size_t> counts;
  for (const neigh::EntryStatus& entry : neighbours.entries) {
    const netlink::Neighbour& kernel = entry.kernel;
    const auto state = kernel.state == 0 ? "ABSENT" : netlink::nud_name(kernel.state);
    ++counts[{state, netlink::owner_name(kernel)}];
  }
  families.gauge("head_neighbour_entries", "Neighbour entries of discs, by state and owner.");
  for (const auto& [key, count] : counts)
    families.add(count, {{"state", std::string(key.first)}, {"owner", std::string(key.second)}});
}

void add_limits(Families& families, const neigh::TableStatus& status) {
  const netlink::TableState& table = status.table;
  families.gauge("head_neighbour_table_entries", "Entries in the kernel's IPv6 neighbour table.");
  families.add(table.entries);
  families.gauge("head_neighbour_table_limit", "The table's limits (gc_thresh1..3).");
  const netlink::TableLimits& limits = table.limits;
  families.add(limits.thresh1, {{"limit", "gc_thresh1"}});
  families.add(limits.thresh2, {{"limit", "gc_thresh2"}});
  families.add(limits.thresh3, {{"limit", "gc_thresh3"}});
  families.gauge("head_neighbour_table_wanted", "What the discs need of these limits.");
  families.add(status.wanted.thresh1, {{"limit", "gc_thresh1"}});
  families.add(status.wanted.thresh2, {{"limit", "gc_thresh2"}});
  families.add(status.wanted.thresh3, {{"limit", "gc_thresh3"}});
  families.gauge("head_neighbour_table_headroom_ratio",
                 "Share of gc_thresh3 that is free: 1 for an empty table.");
  families.add(limits.thresh3 == 0 ? 0.0
                                   : 1.0 - static_cast<double>(table.entries) / limits.thresh3);
  families.counter("head_neighbour_table_fulls_total",
                   "New entries that the kernel refused, as the table was full.");
  families.add(table.table_fulls);
  families.counter("head_neighbour_forced_collections_total",
                   "Times the kernel evicted entries to make room for new ones.");
  families.add(table.forced_gc_runs);
}

void add_routes(Families& families, const neigh::Snapshot& neighbours) {
  families.gauge("head_neighbour_routes", "Addresses of discs that are led over their tails.");
  families.add(neighbours.routes_led);
  families.gauge("head_neighbour_tails_without_answer",
                 "Tails that do not answer at their link-local address.");
  families.add(neighbours.tails_bad);
  families.counter("head_neighbour_routes_written_total",
                   "Routes to discs that were written, by why.");
  families.add(neighbours.routes_installed, {{"why", "new"}});
  families.add(neighbours.routes_repaired, {{"why", "repair"}});
  families.add(neighbours.routes_renewed, {{"why", "renewal"}});
}

void add_neighbours(Families& families, const neigh::Snapshot& neighbours) {
  add_limits(families, neighbours.table);
  add_entries(families, neighbours);
  families.gauge("head_neighbour_discs", "Discs, by how their neighbour entry is.");
  families.add(neighbours.held, {{"binding", "held"}});
  families.add(neighbours.unready, {{"binding", "unready"}});
  families.add(neighbours.others, {{"binding", "none needed"}});
  families.gauge("head_neighbour_silent_hosts",
                 "Link-layer addresses at which no disc is answered for.");
  families.add(neighbours.silent_hosts);
  const neigh::Counters& counters = neighbours.counters;
  const std::pair<const char*, std::pair<const char*, std::uint64_t>> all[] = {
      {"head_neighbour_installed_total", {"Entries that the keeper wrote.", counters.installed}},
      {"head_neighbour_repairs_total",
       {"Entries that it wrote again, as something broke them.", counters.repaired}},
      {"head_neighbour_removed_total", {"Entries that it removed.", counters.removed}},
      {"head_neighbour_resolutions_total", {"Resolutions that it began.", counters.resolutions}},
      {"head_neighbour_solicitations_total",
       {"Neighbour solicitations that the keeper sent itself, beside the kernel.",
        counters.solicitations}},
      {"head_neighbour_conflicts_total",
       {"Times the wire said another address than the head had.", counters.conflicts}},
      {"head_neighbour_claims_refuted_total",
       {"Times another address was claimed for a pinned one, whose host answered.",
        counters.refuted}},
      {"head_neighbour_conflicts_settled_total",
       {"Times the wire and what the head was told agreed again.", counters.settled}},
      {"head_neighbour_flaps_total",
       {"Times an address began to change to and fro between hosts.", counters.flaps}},
      {"head_neighbour_questions_answered_total",
       {"Questions of the kernel's that it answered before the network.", counters.answered}},
      {"head_neighbour_failures_total", {"Entries that did not answer.", counters.failures}},
      {"head_neighbour_write_errors_total", {"Writes that the kernel refused.", counters.errors}},
      {"head_neighbour_notifications_lost_total",
       {"Times the kernel dropped notifications.", counters.notifications_lost}}};
  for (const auto& [name, rest] : all) {
    families.counter(name, rest.first);
    families.add(rest.second);
  }
  if (neighbours.mode == neigh::Mode::routes) add_routes(families, neighbours);
}

}  // namespace

std::string metrics_text(const Scrape& scrape) {
  Families families;
  add_head(families, scrape);
  add_groups(families, scrape);
  add_discs(families, scrape);
  add_neighbours(families, scrape.neighbours);
  return families.text();
}

}  // namespace head::control
