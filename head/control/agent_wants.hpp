// What the agent's files share: how a disc is wanted of the keeper. Internal to the agent.
#pragma once

#include "head/control/agent.hpp"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

namespace head::control {

// Link-local addresses bring their interface along.
inline neigh::Want want_of(const catalogue::DiscSpec& spec, std::shared_ptr<stats::DiscStats> stats,
                           neigh::Source source) {
  return {.disc = spec.name,
          .address = spec.uri.address,
          .claim = {.lladdr = spec.lladdr,
                    .source = spec.lladdr ? source : neigh::Source::none,
                    .generation = spec.generation},
          .dev = spec.dev.empty() ? spec.uri.zone : spec.dev,
          .stats = std::move(stats)};
}

inline Refusal no_such_disc(const std::string& name) {
  return {Refusal::Why::no_such_disc,
          fmt::format("there is no disc {}; list them with `headctl discs`", name)};
}

inline Refusal upgrading() {
  return {Refusal::Why::upgrading,
          "another headd is taking over from this one; ask again in some seconds"};
}

}  // namespace head::control
