// Which discs may be reached another way than before, and when to look. A change of a route puts
// the discs of its prefix in doubt; they are looked up some at a time, so that whatever happens to
// the routes of a head with many discs, looking costs a bounded part of the keeper's time and every
// disc gets its turn. Holds pointers only; whoever owns a disc takes it out before it goes.
#pragma once

#include "netlink/route.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace head::neigh {

template <class Disc>
class Doubts {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  static constexpr std::size_t pass_max = 512;  // Some milliseconds of look-ups.
  static constexpr std::chrono::milliseconds pass_every{2};
  static constexpr std::chrono::milliseconds settle{5};  // A change is told in several steps.

  void add(const netlink::Ip6& address, Disc* disc) { discs_.insert({address, disc}); }
  void erase(const netlink::Ip6& address, Disc* disc) {
    discs_.erase({address, disc});
    doubted_.erase(disc);
  }

  void doubt(Disc* disc, Instant now) {
    if (doubted_.empty()) pass_at_ = std::max(pass_at_, now + settle);
    doubted_.insert(disc);
  }
  void doubt_all(Instant now) {
    for (const auto& [address, disc] : discs_) doubt(disc, now);
  }
  // The discs whose address is in the prefix.
  void doubt(const netlink::Prefix& prefix, Instant now) {
    auto at = discs_.lower_bound({netlink::first_of(prefix), nullptr});
    for (; at != discs_.end() && netlink::contains(prefix, at->first); ++at) doubt(at->second, now);
  }

  // Those to be looked up now; they are in doubt no longer.
  std::vector<Disc*> take(Instant now) {
    std::vector<Disc*> taken;
    if (doubted_.empty() || now < pass_at_) return taken;
    pass_at_ = now + pass_every;
    // Goes on where it stopped: discs that are doubted again and again keep no other one waiting.
    auto at = doubted_.upper_bound(last_);
    while (!doubted_.empty() && taken.size() < pass_max) {
      if (at == doubted_.end()) at = doubted_.begin();
      taken.push_back(*at);
      at = doubted_.erase(at);
    }
    last_ = taken.back();
    return taken;
  }

  std::optional<Instant> next() const {
    if (doubted_.empty()) return {};
    return pass_at_;
  }

 private:
  std::set<std::pair<netlink::Ip6, Disc*>> discs_;
  std::set<Disc*> doubted_;
  Disc* last_ = nullptr;  // Only ever compared: it may be gone.
  Instant pass_at_{};
};

}  // namespace head::neigh
