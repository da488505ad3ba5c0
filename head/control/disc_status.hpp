// What the agent tells of discs, as values.
#pragma once

#include "head/catalogue/disc_spec.hpp"
#include "head/stats/disc_stats.hpp"
#include "head/stats/stall_log.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace head::control {

enum class State : std::uint8_t {
  pending,
  resolving,
  connecting,
  ready,
  reconnecting,
  held,
  failing,
  failed,
  detaching
};
inline constexpr std::size_t states = 9;
std::string_view to_string(State state) noexcept;

constexpr bool is_ready(State state) noexcept {
  return state == State::ready;
}
// It is with its data thread.
constexpr bool is_attached(State state) noexcept {
  return state != State::pending && state != State::resolving;
}

// Whether waiting for such a disc to become ready makes sense no longer.
constexpr bool is_settled(State state) noexcept {
  return state == State::ready || state == State::held || state == State::failing ||
         state == State::failed || state == State::detaching;
}

struct DiscStatus {
  std::shared_ptr<const catalogue::DiscSpec> spec;
  State state = State::pending;
  std::string problem;                // Why it is not ready; "" when nothing is known to be wrong.
  std::string waits_for;              // What has to come; "" for nothing.
  std::string dev;                    // The interface it is reached by now; "" for none.
  std::optional<std::size_t> thread;  // The data thread it lives on.
  stats::DiscSnapshot stats{};        // Without latency.
};

// A disc, and what it counts: that may be read at any time.
struct DiscCounts {
  std::shared_ptr<const catalogue::DiscSpec> spec;
  std::shared_ptr<const stats::DiscStats> stats;
};

using StateCounts = std::array<std::size_t, states>;

struct ImportStatus {
  std::uint64_t id = 0;
  std::size_t total = 0;      // Discs in the list.
  std::size_t unchanged = 0;  // Of these, attached already.
  StateCounts by_state{};     // Of the others; what was detached since is in none.
  bool settled = true;        // All the others are ready, held, failing, failed or gone.
};

struct AgentStatus {
  std::size_t discs = 0;
  std::size_t discs_max = 0;
  std::size_t threads = 0;
  StateCounts by_state{};
  std::array<stats::StallSnapshot, stats::causes> stalls{};
  std::array<stats::StallSnapshot, stats::causes> slow_openings{};
  stats::StallSnapshot neighbour_stalls{};
  stats::StallSnapshot interface_waits{};
  std::uint64_t reconnects = 0;
  std::size_t guests = 0;
  std::uint64_t unflushed = 0;  // Bytes kept for replay.
};

// A disc whose guests wait, and that has answered nothing for a while (disc::Patience::limit).
struct Waiting {
  std::string disc;
  State state = State::ready;
  std::uint32_t in_flight = 0;
  std::int64_t since_ns = 0;  // steady_clock
};

struct StallStatus {
  std::vector<stats::Stall> stalls;    // The newest first.
  std::uint64_t recorded = 0;          // Of all discs, since the start; the last ones are kept.
  std::vector<stats::Stall> openings;  // First connections that took long, likewise,
  std::uint64_t openings_recorded = 0;
  std::vector<Waiting> waiting;   // Those that wait longest, the longest first,
  std::size_t waiting_total = 0;  // of so many.
};

struct LatencyStatus {
  std::array<stats::OperationSnapshot, stats::operations> by_operation;
  std::array<stats::StallSnapshot, stats::causes> stalls{};
  std::array<stats::StallSnapshot, stats::causes> slow_openings{};
  stats::StallSnapshot neighbour_stalls{};
  stats::StallSnapshot interface_waits{};
};

}  // namespace head::control
