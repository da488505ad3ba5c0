// What the agent tells. Each answer is gathered under the lock as pointers and counted outside it.
#include "head/control/agent.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <net/if.h>
#include <numeric>
#include <unordered_map>

namespace head::control {

namespace {

constexpr std::array<std::string_view, states> names = {"pending", "resolving",    "connecting",
                                                        "ready",   "reconnecting", "held",
                                                        "failing", "failed",       "detaching"};

State from(stats::DiscState state) noexcept {
  switch (state) {
    case stats::DiscState::connecting:
      return State::connecting;
    case stats::DiscState::ready:
      return State::ready;
    case stats::DiscState::reconnecting:
      return State::reconnecting;
    case stats::DiscState::held:
      return State::held;
    case stats::DiscState::failing:
      return State::failing;
    case stats::DiscState::detaching:
      break;
  }
  return State::detaching;
}

std::string_view waits_for(const DiscStatus& disc) noexcept {
  const bool ordered = disc.spec->order != disc::Order::serve;
  const bool has_way = disc.stats.ifindex != 0;
  switch (disc.state) {
    case State::pending:
      return "the state directory";
    case State::resolving:
      return "its neighbour entry";
    case State::connecting:
      return "a first connection to its tail";
    case State::ready:
      return disc.stats.waiting_since_ns != 0 ? "answers of its tail" : "";
    case State::reconnecting:
      return has_way ? "a connection to its tail" : "a way to its tail";
    case State::held:
      return ordered ? "`headctl resume`" : "its tail to offer the disc as it was";
    case State::failing:
      return ordered ? "`headctl resume`" : "a connection to its tail";
    case State::failed:
      return "being attached again";
    case State::detaching:
      break;
  }
  return "requests under way";
}

// "" for none, or one that is gone.
std::string interface_name(int ifindex) {
  std::array<char, IF_NAMESIZE> name{};
  if (ifindex == 0) return {};
  return ::if_indextoname(static_cast<unsigned>(ifindex), name.data()) ? name.data() : "";
}

}  // namespace

std::string_view to_string(State state) noexcept {
  return names[static_cast<std::size_t>(state)];
}

State Agent::state_of(const Disc& disc) noexcept {
  if (disc.going) return State::detaching;
  switch (disc.stage) {
    case Stage::pending:
      return State::pending;
    case Stage::resolving:
      return State::resolving;
    case Stage::opening:
    case Stage::failing:
      return State::connecting;
    case Stage::open:
      return from(disc.stats->state.load(std::memory_order_acquire));
    case Stage::failed:
      return State::failed;
    case Stage::detaching:
      break;
  }
  return State::detaching;
}

Agent::Gathered Agent::gather(const Disc& disc) {
  return {.spec = disc.spec,
          .state = state_of(disc),
          .problem = disc.problem,
          .thread = disc.thread,
          .stats = disc.stats};
}

DataThread::Reasons Agent::without_listener() const {
  DataThread::Reasons all;
  for (const auto& thread : threads_) all.merge(thread->without_listener());
  return all;
}

DiscStatus Agent::complete(Gathered gathered, const DataThread::Reasons& without_listener) {
  DiscStatus status{.spec = std::move(gathered.spec),
                    .state = gathered.state,
                    .problem = std::move(gathered.problem),
                    .waits_for = {},
                    .dev = {},
                    .thread = gathered.thread,
                    .stats = gathered.stats->snapshot(false)};
  if (status.state == State::ready) {
    status.problem.clear();
  } else if (status.state != State::failed && !status.stats.last_problem.empty()) {
    status.problem = status.stats.last_problem;
  }
  if (const auto deaf = without_listener.find(status.spec->name);
      deaf != without_listener.end() && status.problem.empty())
    status.problem =
        fmt::format("no guest can connect, and it is tried again every second: {}", deaf->second);
  if (status.state == State::ready && status.stats.ifindex == 0 && status.problem.empty())
    status.problem = "no way leads to its tail now; `headctl doctor` says why";
  if (status.state == State::ready && status.problem.empty()) status.problem = status.stats.note;
  status.waits_for = waits_for(status);
  return status;
}

std::optional<DiscStatus> Agent::disc(const std::string& name) const {
  Gathered gathered;
  {
    const std::lock_guard lock(lock_);
    const auto at = discs_.find(name);
    if (at == discs_.end()) return std::nullopt;
    gathered = gather(at->second);
  }
  DiscStatus status = complete(std::move(gathered), without_listener());
  status.dev = interface_name(status.stats.ifindex);
  return status;
}

std::vector<DiscStatus> Agent::discs() const {
  std::vector<DiscStatus> list;
  each_disc([&](const DiscStatus& disc) { list.push_back(disc); });
  return list;
}

void Agent::each_disc(const std::function<void(const DiscStatus&)>& tell) const {
  std::vector<Gathered> gathered;
  {
    const std::lock_guard lock(lock_);
    gathered.reserve(discs_.size());
    for (const auto& [name, disc] : discs_) gathered.push_back(gather(disc));
  }
  std::sort(gathered.begin(), gathered.end(),
            [](const Gathered& a, const Gathered& b) { return a.spec->name < b.spec->name; });
  const auto deaf = without_listener();
  std::unordered_map<int, std::string> interfaces;  // Few, and each name costs system calls.
  for (Gathered& one : gathered) {
    DiscStatus status = complete(std::move(one), deaf);
    const auto [at, first] = interfaces.try_emplace(status.stats.ifindex);
    if (first) at->second = interface_name(at->first);
    status.dev = at->second;
    tell(status);
  }
}

std::optional<ImportStatus> Agent::import_status(std::uint64_t id) const {
  const std::lock_guard lock(lock_);
  const auto import = find_import(id);
  if (!import) return std::nullopt;
  return count(*import);
}

ImportStatus Agent::count(ImportStatus import) const {
  for (const auto& [name, disc] : discs_) {
    if (disc.import != import.id) continue;
    const State state = state_of(disc);
    ++import.by_state[static_cast<std::size_t>(state)];
    if (!is_settled(state)) import.settled = false;
  }
  return import;
}

namespace {

// To the status of all, or to a latency.
void add_waits(auto& sum, const stats::DiscStats& disc) {
  disc.add_to(sum.stalls);
  disc.add_slow_openings_to(sum.slow_openings);
  sum.neighbour_stalls += disc.neighbour_stalls();
  sum.interface_waits += disc.interface_waits();
}

// The newest first.
void cut(std::vector<stats::Stall>& stalls, std::size_t most) {
  std::stable_sort(stalls.begin(), stalls.end(),
                   [](const auto& a, const auto& b) { return a.ended_ns > b.ended_ns; });
  if (stalls.size() > most) stalls.resize(most);
}

}  // namespace

AgentStatus Agent::status() const {
  AgentStatus status{.discs_max = discs_max_, .threads = threads_.size()};
  const std::lock_guard lock(lock_);
  status.discs = discs_.size();
  for (const auto& [name, disc] : discs_) {
    ++status.by_state[static_cast<std::size_t>(state_of(disc))];
    add_waits(status, *disc.stats);
    status.reconnects += disc.stats->reconnects.load(std::memory_order_relaxed);
    status.guests += disc.stats->guests.load(std::memory_order_relaxed);
    status.unflushed += disc.stats->kept_bytes.load(std::memory_order_relaxed);
  }
  return status;
}

std::optional<LatencyStatus> Agent::latency(const std::string& name) const {
  std::shared_ptr<stats::DiscStats> stats;
  {
    const std::lock_guard lock(lock_);
    const auto at = discs_.find(name);
    if (at == discs_.end()) return std::nullopt;
    stats = at->second.stats;
  }
  LatencyStatus latency;
  stats->add_to(latency.by_operation);
  add_waits(latency, *stats);
  return latency;
}

std::vector<DiscCounts> Agent::all_stats() const {
  std::vector<DiscCounts> all;
  const std::lock_guard lock(lock_);
  all.reserve(discs_.size());
  for (const auto& [name, disc] : discs_) all.push_back({disc.spec, disc.stats});
  return all;
}

LatencyStatus Agent::latency() const {
  LatencyStatus latency;
  for (const auto& [spec, stats] : all_stats()) {
    stats->add_to(latency.by_operation);
    add_waits(latency, *stats);
  }
  return latency;
}

StallStatus Agent::stalls(std::string_view name, std::size_t most) const {
  StallStatus status;
  for (const auto& thread : threads_) {
    const stats::StallLog& log = thread->stalls();
    status.recorded += log.recorded();
    status.openings_recorded += log.openings_recorded();
    for (const stats::Stall& stall : log.read())
      if (name.empty() || stall.disc() == name) status.stalls.push_back(stall);
    for (const stats::Stall& opening : log.read_openings())
      if (name.empty() || opening.disc() == name) status.openings.push_back(opening);
  }
  {
    const std::lock_guard lock(lock_);
    for (const auto& [disc, known] : discs_) {
      const auto since = known.stats->waiting_since_ns.load(std::memory_order_relaxed);
      if (since == 0 || (!name.empty() && disc != name)) continue;
      status.waiting.push_back({.disc = disc,
                                .state = state_of(known),
                                .in_flight = known.stats->in_flight.load(std::memory_order_relaxed),
                                .since_ns = since});
    }
  }
  cut(status.stalls, most);
  cut(status.openings, most);
  std::sort(status.waiting.begin(), status.waiting.end(),
            [](const auto& a, const auto& b) { return a.since_ns < b.since_ns; });
  status.waiting_total = status.waiting.size();
  if (status.waiting.size() > most) status.waiting.resize(most);
  return status;
}

void Agent::apply(const DataSettings& settings) {
  for (const auto& thread : threads_) thread->apply(settings);
}

bool Agent::data_threads_answer() {
  const bool all = silent_ == nullptr || *silent_ == 0;
  if (!all) return false;  // What they were asked is asked still.
  silent_ = std::make_shared<std::atomic<std::size_t>>(threads_.size());
  for (const auto& thread : threads_) thread->ask([silent = silent_] { --*silent; });
  return true;
}

neigh::Snapshot Agent::neighbours(neigh::Detail detail) const {
  return neighbours_->snapshot(detail);
}

std::vector<neigh::PastChange> Agent::changes(std::chrono::system_clock::time_point since) const {
  return neighbours_->changes(since);
}

}  // namespace head::control
