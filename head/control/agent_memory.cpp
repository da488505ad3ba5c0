// Whether there is memory for more discs: asked before any of them is taken in. What is attached
// already is never counted against whoever has it.
#include "head/control/agent.hpp"
#include "head/control/memory_account.hpp"

#include <algorithm>

namespace head::control {

void Agent::set_memory(const MemoryBudget& budget) {
  auto made = std::make_shared<const MemoryBudget>(budget);
  const std::lock_guard lock(lock_);
  memory_ = std::move(made);
}

std::optional<MemoryAccount> Agent::memory() const {
  const std::lock_guard lock(lock_);
  if (!memory_) return std::nullopt;
  return account_with({});
}

MemoryAccount Agent::account_with(std::span<const catalogue::DiscSpec> added) const {
  MemoryCounts counts{.discs = discs_.size()};
  for (const auto& [name, disc] : discs_) {
    counts.connections += disc.spec->connections;
    counts.guests += disc.stats->guests.load(std::memory_order_relaxed);
  }
  for (const catalogue::DiscSpec& spec : added) {
    if (discs_.count(spec.name) != 0) continue;  // It had failed, and was counted.
    ++counts.discs;
    counts.connections += spec.connections;
  }
  return memory_->account(counts);
}

std::optional<Refusal> Agent::objection_to(std::span<const catalogue::DiscSpec> added) const {
  const auto attached = [&](const auto& spec) { return discs_.count(spec.name) != 0; };
  if (!memory_ || std::all_of(added.begin(), added.end(), attached)) return std::nullopt;
  auto objection = account_with(added).objection();
  if (!objection) return std::nullopt;
  return Refusal{Refusal::Why::no_memory, std::move(*objection)};
}

}  // namespace head::control
