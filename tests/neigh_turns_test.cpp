// Whose turn is next: as a sorted list would have it, whatever is put, given up and taken.
#include "head/neigh/turns.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <set>

using head::neigh::Turns;
using Instant = Turns<int>::Instant;
using namespace std::chrono_literals;

TEST_CASE("turns come as from a sorted list, and those given up are bounded", "[neigh]") {
  std::mt19937 random(11);
  Turns<int> turns;
  std::set<Turns<int>::Turn> model;
  std::map<int, Instant> when;  // Of each that is valid.
  const auto valid = [&](const Turns<int>::Turn& turn) {
    const auto found = when.find(turn.second);
    return found != when.end() && found->second == turn.first;
  };
  const auto give_up = [&](int key) {
    if (!when.contains(key)) return;
    model.erase({when[key], key});
    when.erase(key);
    turns.gave_up();
  };
  std::size_t most = 0;
  for (int step = 0; step < 50'000; ++step) {
    const int key = static_cast<int>(random() % 300);
    if (random() % 4 != 0) {
      give_up(key);
      when[key] = Instant() + std::chrono::milliseconds(random() % 50);
      model.insert({when[key], key});
      turns.put(when[key], key, valid);
    } else if (random() % 2 != 0) {
      give_up(key);
    } else if (const auto* first = turns.first(valid)) {
      REQUIRE(*first == *model.begin());
      when.erase(first->second);
      model.erase(model.begin());
      turns.pop();
    } else {
      REQUIRE(model.empty());
    }
    most = std::max(most, turns.size());
  }
  CHECK(most <= 2 * 300 + 64 + 1);
  while (const auto* first = turns.first(valid)) {
    REQUIRE(*first == *model.begin());
    when.erase(first->second);
    model.erase(model.begin());
    turns.pop();
  }
  CHECK(model.empty());
  CHECK(turns.size() == 0);
}
