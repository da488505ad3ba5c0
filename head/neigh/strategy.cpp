#include "head/neigh/strategy.hpp"

namespace head::neigh {

std::string_view to_string(Strategy strategy) noexcept {
  for (const Rung& rung : ladder)
    if (rung.strategy == strategy) return rung.name;
  return "?";
}

std::optional<Strategy> parse_strategy(std::string_view name) noexcept {
  for (const Rung& rung : ladder)
    if (rung.name == name) return rung.strategy;
  return std::nullopt;
}

bool possible(Strategy strategy, const netlink::Capabilities& kernel) noexcept {
  switch (strategy) {
    case Strategy::validated:
      return kernel.validated && kernel.ext_learned;
    case Strategy::learned:
      return kernel.ext_learned;
    case Strategy::plain:
      break;
  }
  return true;
}

Choice choose(std::optional<Strategy> forced, const netlink::Capabilities& kernel) {
  Choice choice{.strategy = Strategy::plain, .problem = ""};
  for (const Rung& rung : ladder) {
    if (forced && rung.strategy < *forced) continue;
    if (!possible(rung.strategy, kernel)) continue;
    choice.strategy = rung.strategy;
    break;
  }
  if (forced && choice.strategy != *forced)
    choice.problem = "neighbours.strategy is \"" + std::string(to_string(*forced)) +
                     "\", which this kernel cannot: \"" + std::string(to_string(choice.strategy)) +
                     "\" is used; set it to \"auto\"";
  return choice;
}

}  // namespace head::neigh
