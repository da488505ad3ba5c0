// A search through everything that can happen in the model: breadth first, so that the first trace
// to a fault is a shortest one, and each state once.
#pragma once

#include "tests/ownership/model.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace head::ownership {

struct Trace {
  std::vector<Step> steps;
  std::vector<std::string> sentences;  // One for each.
  std::string text() const;            // Numbered, a line each.
};

struct Found {
  std::size_t states = 0;
  bool complete = false;          // Every state was seen.
  std::map<Fault, Trace> traces;  // A shortest one to each kind of fault that there is.
  bool is_clean() const { return complete && traces.empty(); }
};

// Every state; or, where a fault is named, until that is found.
Found search(const Model& model, std::optional<Fault> until = std::nullopt);

// Histories that together make every step in every state, where `is_wanted` says yes to them.
std::vector<Trace> cover(const Model& model, bool (*is_wanted)(const Step&));

}  // namespace head::ownership
