#include "tests/ownership/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace head::ownership {

namespace {

constexpr std::uint32_t none = UINT32_MAX;
constexpr std::size_t states_max = 4'000'000;  // Of some 100 bytes each.

// Every state that was seen, and how it was reached first: open addressing over their numbers.
class Seen {
 public:
  struct Origin {
    std::uint32_t from = none;
    Step step{};
  };

  Seen() : places_(1U << 16, none) {}

  // False: it was there.
  bool add(const State& state, Origin origin) {
    if (states_.size() * 2 > places_.size()) grow();
    std::uint32_t& place = place_of(state);
    if (place != none) return false;
    place = static_cast<std::uint32_t>(states_.size());
    states_.push_back(state);
    origins_.push_back(origin);
    return true;
  }

  // Of one that is there.
  std::uint32_t find(const State& state) { return place_of(state); }
  const State& operator[](std::size_t number) const { return states_[number]; }
  const Origin& origin(std::size_t number) const { return origins_[number]; }
  std::size_t size() const { return states_.size(); }

 private:
  std::uint32_t& place_of(const State& state) {
    const std::string_view bytes(reinterpret_cast<const char*>(&state), sizeof state);
    std::size_t at = std::hash<std::string_view>()(bytes) & (places_.size() - 1);
    while (places_[at] != none && states_[places_[at]] != state)
      at = (at + 1) & (places_.size() - 1);
    return places_[at];
  }
  void grow() {
    places_.assign(places_.size() * 4, none);
    for (std::size_t i = 0; i < states_.size(); ++i)
      place_of(states_[i]) = static_cast<std::uint32_t>(i);
  }

  std::vector<State> states_;
  std::vector<Origin> origins_;
  std::vector<std::uint32_t> places_;
};

Trace trace_to(const Model& model, const Seen& seen, std::uint32_t number) {
  Trace trace;
  for (; seen.origin(number).from != none; number = seen.origin(number).from) {
    const auto& origin = seen.origin(number);
    trace.steps.push_back(origin.step);
    trace.sentences.push_back(model.tell(origin.step, seen[origin.from], seen[number]));
  }
  std::reverse(trace.steps.begin(), trace.steps.end());
  std::reverse(trace.sentences.begin(), trace.sentences.end());
  return trace;
}

// The steps out of a state that were not made yet.
class Unmade {
 public:
  Unmade(const Model& model, bool (*is_wanted)(const Step&))
      : model_(model), is_wanted_(is_wanted) {}

  // Once for each state; what comes next is kept.
  void reach(const State& state, Seen::Origin origin) {
    if (!seen_.add(state, origin)) return;
    auto& next = left_.emplace_back();
    model_.next(state, next);
    std::erase_if(next, [this](const Model::Next& one) { return !is_wanted_(one.step); });
  }
  bool is_known(std::size_t number) const { return number < seen_.size(); }
  // From there on, as long as there is something that was not made; empty: there is nothing.
  Trace go_from(std::uint32_t number) {
    if (left_[number].empty()) return {};
    Trace trace = trace_to(model_, seen_, number);
    while (!left_[number].empty()) {
      const Model::Next next = left_[number].back();
      left_[number].pop_back();
      trace.steps.push_back(next.step);
      trace.sentences.push_back(model_.tell(next.step, seen_[number], next.state));
      reach(next.state, {.from = number, .step = next.step});
      number = seen_.find(next.state);
    }
    return trace;
  }

 private:
  const Model& model_;
  bool (*const is_wanted_)(const Step&);
  Seen seen_;
  std::vector<std::vector<Model::Next>> left_;
};

}  // namespace

std::string Trace::text() const {
  std::string text;
  for (std::size_t i = 0; i < sentences.size(); ++i)
    text += fmt::format("{:3}. {}.\n", i + 1, sentences[i]);
  return text;
}

Found search(const Model& model, std::optional<Fault> until) {
  Found found;
  Seen seen;
  seen.add(model.start(), {});
  std::vector<Model::Next> next;
  std::uint32_t at = 0;
  const auto is_found = [&] { return until && found.traces.contains(*until); };
  for (; at < seen.size() && seen.size() < states_max && !is_found(); ++at) {
    next.clear();
    const State state = seen[at];
    const bool goes_on = model.next(state, next);
    for (const Fault fault : model.faults(state, !goes_on))
      if (!found.traces.contains(fault)) found.traces[fault] = trace_to(model, seen, at);
    for (const auto& [step, to] : next) seen.add(to, {.from = at, .step = step});
  }
  found.states = seen.size();
  found.complete = at == seen.size();
  return found;
}

std::vector<Trace> cover(const Model& model, bool (*is_wanted)(const Step&)) {
  std::vector<Trace> histories;
  Unmade unmade(model, is_wanted);
  unmade.reach(model.start(), {});
  for (std::uint32_t number = 0; unmade.is_known(number); ++number)
    for (;;) {
      Trace trace = unmade.go_from(number);
      if (trace.steps.empty()) break;
      histories.push_back(std::move(trace));
    }
  return histories;
}

}  // namespace head::ownership
