#include "head/neigh/ordered.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <random>
#include <set>
#include <vector>

using head::neigh::Ordered;

namespace {

struct Itself {
  int operator()(int value) const noexcept { return value; }
};
struct Pointed {
  int operator()(const std::unique_ptr<int>& value) const noexcept { return *value; }
};

}  // namespace

TEST_CASE("an ordered store does as a set does, whatever comes and goes", "[neigh]") {
  Ordered<int, Itself, 8> store;
  std::set<int> model;
  std::mt19937 random(GENERATE(1u, 2u, 3u));
  for (int step = 0; step < 4000; ++step) {
    // Fills up first, then empties.
    const bool grow = random() % 100 < (step < 2000 ? 70u : 25u);
    const int value = static_cast<int>(random() % 700);
    if (grow) {
      const auto [where, added] = store.insert(value);
      REQUIRE(added == model.insert(value).second);
      REQUIRE(*where == value);
    } else {
      REQUIRE(store.erase_key(value) == (model.erase(value) == 1));
    }
    REQUIRE(store.size() == model.size());
    const int asked = static_cast<int>(random() % 700);
    REQUIRE(store.contains(asked) == model.contains(asked));
    const auto bound = model.lower_bound(asked);
    const auto found = store.lower_bound(asked);
    REQUIRE((found == store.end()) == (bound == model.end()));
    if (bound != model.end()) REQUIRE(*found == *bound);
    if (step % 50 == 0)
      REQUIRE(std::vector(store.begin(), store.end()) == std::vector(model.begin(), model.end()));
  }
  while (!store.empty()) store.erase(store.begin());
  CHECK(store.begin() == store.end());
  CHECK(store.insert(1).second);
}

TEST_CASE("an ordered store holds what cannot be copied, where it is", "[neigh]") {
  Ordered<std::unique_ptr<int>, Pointed> store;
  for (int i = 0; i < 1000; ++i) CHECK(store.insert(std::make_unique<int>(i * 7919 % 1000)).second);
  const int* one = store.find(500)->get();
  CHECK(!store.insert(std::make_unique<int>(500)).second);
  for (int i = 0; i < 1000; ++i)
    if (i != 500) CHECK(store.erase_key(i));
  REQUIRE(store.size() == 1);
  CHECK(store.begin()->get() == one);
}
