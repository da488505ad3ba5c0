// Looks for histories that break a rule, and makes them small.
#pragma once

#include "tests/sim/world/profiles.hpp"

#include <cstdint>
#include <functional>
#include <optional>

namespace world {

struct Outcome {
  check::Violation violation{};
  std::uint64_t events = 0;
  std::uint64_t requests = 0;
  Duration simulated{};
};
Outcome run(const Scenario& scenario);

struct Find {
  Scenario scenario;
  check::Violation violation;
  std::uint64_t histories = 0;  // It took, this one included.
};

struct Sum {
  std::uint64_t histories = 0, events = 0, requests = 0;
  Duration simulated{};
};

// Seeds from `from` on, so many. `told`: after each, for whoever counts.
std::optional<Find> search(const Profile& profile, std::uint64_t from, std::uint64_t histories,
                           Sum& sum);
// Places `action` before every event of the scenario in turn, from event `first` in steps of
// `step`.
std::optional<Find> enumerate(const Scenario& scenario, const Action& action, std::uint64_t first,
                              std::uint64_t step, Sum& sum);
// The same rule broken by as little as possible: fewer actions, fewer guests, a plainer tail.
Find shrink(const Find& find);

}  // namespace world
