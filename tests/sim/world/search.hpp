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
Outcome run(const Scenario& scenario, bool trace = false);

struct Find {
  Scenario scenario;
  check::Violation violation;
  std::uint64_t histories = 0;  // It took, this one included.
};

struct Sum {
  std::uint64_t histories = 0, events = 0, requests = 0;
  Duration simulated{};
};

// Seeds from `from` on, so many; `sum` is added to.
std::optional<Find> search(const Profile& profile, std::uint64_t from, std::uint64_t histories,
                           Sum& sum);
// A calm history by seed, again and again, with one misfortune before every event of it in turn;
// and with pairs of them, the second one some events after the first.
std::optional<Find> enumerate(std::uint64_t seed, bool pairs, Sum& sum);
// The same rule broken by as little as possible: fewer actions, fewer guests, a plainer tail.
Find shrink(const Find& find);

}  // namespace world
