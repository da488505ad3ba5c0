// Discs by number, for tests of the keeper in a namespace of their own: what is wanted for each,
// and what became of it.
#pragma once

#include "head/neigh/keeper.hpp"
#include "netlink/table.hpp"
#include "tests/numbered.hpp"
#include "tests/scratch_namespace.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace tests {

using namespace head::neigh;
using namespace netlink;
using namespace std::chrono_literals;
using scratch::eventually;
using scratch::sh;

inline Want disc(unsigned number, std::optional<Mac> lladdr) {
  return {.disc = "disc" + std::to_string(number),
          .address = address(number),
          .claim = {.lladdr = lladdr, .source = Source::operator_},
          .dev = "",
          .stats = std::make_shared<head::stats::DiscStats>()};
}

inline std::vector<Want> discs(unsigned count) {
  std::vector<Want> made;
  for (unsigned i = 0; i < count; ++i) made.push_back(disc(i, mac(i)));
  return made;
}

// The names of the first `count` discs.
inline std::vector<std::string> names(unsigned count) {
  std::vector<std::string> made;
  for (unsigned i = 0; i < count; ++i) made.push_back("disc" + std::to_string(i));
  return made;
}

// What the keeper reported, by disc. It reports a want once.
class Reports {
 public:
  ~Reports() { CHECK(repeated_ == 0); }
  Keeper::Ready ready() {
    return [this](const std::string& disc, const BindingStatus& status) {
      const std::lock_guard lock(lock_);
      if (!reports_.try_emplace(disc, status).second) ++repeated_;
    };
  }
  std::size_t count() const {
    const std::lock_guard lock(lock_);
    return reports_.size();
  }
  BindingStatus of(const std::string& disc) const {
    REQUIRE(eventually([&] {
      const std::lock_guard lock(lock_);
      return reports_.contains(disc);
    }));
    const std::lock_guard lock(lock_);
    return reports_.at(disc);
  }

 private:
  mutable std::mutex lock_;
  std::map<std::string, BindingStatus> reports_;
  unsigned repeated_ = 0;
};

// How many of the first `count` discs have an entry of ours with the right address.
inline unsigned in_place(int ifindex, unsigned count) {
  std::vector<Neighbour> all;
  REQUIRE(!dump(all, ifindex));
  unsigned right = 0;
  for (unsigned i = 0; i < count; ++i) {
    const Neighbour* found = find(all, {ifindex, address(i)});
    right += found && found->ours() && found->lladdr == mac(i) && found->state == nud::stale &&
             (found->flags & ntf::ext_learned);
  }
  return right;
}

}  // namespace tests
