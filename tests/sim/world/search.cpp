#include "tests/sim/world/search.hpp"

#include "tests/sim/script_tail.hpp"
#include "tests/sim/world/world.hpp"

#include <algorithm>
#include <utility>

namespace world {

Outcome run(const Scenario& scenario, bool trace) {
  World world(scenario);
  if (trace) world.trace();
  Outcome outcome;
  outcome.violation = world.run();
  outcome.events = world.events();
  outcome.requests = world.requests();
  outcome.simulated = world.simulated();
  return outcome;
}

namespace {

// Runs it as one more history; what it broke, if it did.
std::optional<Find> attempt(const Scenario& scenario, Sum& sum) {
  const Outcome outcome = run(scenario);
  ++sum.histories;
  sum.events += outcome.events;
  sum.requests += outcome.requests;
  sum.simulated += outcome.simulated;
  if (!outcome.violation) return std::nullopt;
  return Find{.scenario = scenario, .violation = outcome.violation, .histories = sum.histories};
}

}  // namespace

std::optional<Find> search(const Profile& profile, std::uint64_t from, std::uint64_t histories,
                           Sum& sum) {
  for (std::uint64_t seed = from; seed < from + histories; ++seed) {
    Scenario scenario = profile.draw(seed);
    scenario.profile = profile.name;
    if (auto find = attempt(scenario, sum)) return find;
  }
  return std::nullopt;
}

namespace {

// What can be placed anywhere, and is survived.
std::vector<Action> misfortunes() {
  using namespace std::chrono_literals;
  return {
      {.act = Act::head_is_upgraded, .lasts = 5ms},
      {.act = Act::head_is_killed, .lasts = 40ms},
      {.act = Act::tail_cuts, .yes = true},
      {.act = Act::tail_cuts, .bytes = 7},
      {.act = Act::power_fails, .lasts = 3ms},
      {.act = Act::tail_ends, .lasts = 20ms},
      {.act = Act::tail_stops, .lasts = 20ms},
      {.act = Act::link_fails, .lasts = 30ms},
      {.act = Act::head_relocates},
      {.act = Act::head_is_stopped, .lasts = 10ms},
      {.act = Act::tail_vanishes, .lasts = 20ms},
      {.act = Act::guest_comes_anew},
      {.act = Act::head_holds, .lasts = 10ms},
      {.act = Act::head_detaches, .lasts = 10ms},
  };
}

Scenario with(const Scenario& scenario, Action action, std::uint64_t boundary) {
  Scenario more = scenario;
  action.boundary = boundary;
  more.actions.push_back(action);
  return more;
}

}  // namespace

std::optional<Find> enumerate(std::uint64_t seed, bool pairs, Sum& sum) {
  constexpr std::uint64_t apart[] = {1, 5, 25, 125};
  Scenario calm = find_profile("calm")->draw(seed);
  calm.profile = "calm";
  const std::uint64_t events = run(calm).events;
  for (const Action& first : misfortunes())
    for (std::uint64_t boundary = 1; boundary < events; boundary += pairs ? 11 : 1) {
      Scenario one = with(calm, first, boundary);
      if (!pairs) {
        if (auto find = attempt(one, sum)) return find;
        continue;
      }
      for (const Action& second : misfortunes())
        for (const std::uint64_t later : apart) {
          Scenario two = with(one, second, boundary + later);
          if (auto find = attempt(two, sum)) return find;
        }
    }
  return std::nullopt;
}

namespace {

class Shrinker {
 public:
  explicit Shrinker(Find find) : best_(std::move(find)) {}

  Find shrink() {
    for (std::size_t before = 0; before != best_.scenario.actions.size() && budget_ != 0;) {
      before = best_.scenario.actions.size();
      drop_actions();
    }
    simplify();
    drop_actions();
    return best_;
  }

 private:
  // Keeps it where it breaks the same rule; chance may have it otherwise, so it gets a few.
  bool keep(Scenario scenario) {
    constexpr int chances = 4;
    for (int i = 0; i < chances && budget_ != 0; ++i) {
      --budget_;
      const Outcome outcome = run(scenario);
      if (outcome.violation.rule == best_.violation.rule) {
        best_.scenario = scenario;
        best_.violation = outcome.violation;
        return true;
      }
      scenario.seed += 1'000'003;
    }
    return false;
  }

  void drop_actions() {
    for (std::size_t size = best_.scenario.actions.size() / 2; size != 0; size /= 2)
      for (std::size_t from = 0; from < best_.scenario.actions.size();) {
        Scenario fewer = best_.scenario;
        const auto begin = fewer.actions.begin() + static_cast<std::ptrdiff_t>(from);
        const std::size_t drops = std::min(size, fewer.actions.size() - from);
        fewer.actions.erase(begin, begin + static_cast<std::ptrdiff_t>(drops));
        if (!keep(fewer)) from += size;
      }
  }

  void simplify() {
    const auto with = [this](auto change) {
      Scenario plainer = best_.scenario;
      change(plainer);
      keep(plainer);
    };
    with([](Scenario& s) { s.guests.resize(1); });
    with([](Scenario& s) { s.head.connections = 1; });
    with([](Scenario& s) { s.tail.block_minimum = 0, s.tail.payload_maximum = 32u << 20; });
    with([](Scenario& s) { s.tail.flags = sim::all_flags; });
    with([](Scenario& s) { s.tail.structured = true; });
    with([](Scenario& s) { s.tail.shuffle = 0; });
    with([](Scenario& s) { s.tail.cached = 0; });
    with([](Scenario& s) { s.tail.workers = 1; });
    with([](Scenario& s) { s.link.pieces = 0; });
    for (std::size_t i = 0; i < best_.scenario.actions.size(); ++i) {
      with([i](Scenario& s) { s.actions[i].ask.fua = false; });
      with([i](Scenario& s) {
        s.actions[i].ask.count = std::min<std::uint64_t>(s.actions[i].ask.count, 1);
      });
    }
  }

  Find best_;
  unsigned budget_ = 10'000;  // Histories.
};

}  // namespace

Find shrink(const Find& find) {
  return Shrinker(find).shrink();
}

}  // namespace world
