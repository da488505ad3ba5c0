// Which discs may be reached another way than before, and when to look. A change of a route puts
// the discs of its prefix in doubt; they are looked up some at a time, so that whatever happens to
// the routes of a head with many discs, looking costs a bounded part of the keeper's time and every
// disc gets its turn. Holds pointers only; whoever owns a disc takes it out before it goes, or gets
// another `address`.
#pragma once

#include "head/neigh/ordered.hpp"
#include "netlink/route.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
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

  void add(Disc* disc) { discs_.insert(disc); }
  void erase(Disc* disc) {
    discs_.erase_key(ByAddress()(disc));
    doubted_.erase_key(disc);
  }

  // Calls `each(Disc*)` for those at that address.
  template <class Each>
  void each(const netlink::Ip6& address, const Each& each) const {
    for (auto at = discs_.lower_bound(Place(address, nullptr));
         at != discs_.end() && (*at)->address == address; ++at)
      each(*at);
  }

  void doubt(Disc* disc, Instant now) {
    if (doubted_.empty()) pass_at_ = std::max(pass_at_, now + settle);
    doubted_.insert(disc);
  }
  void doubt_all(Instant now) {
    for (Disc* disc : discs_) doubt(disc, now);
  }
  // The discs whose address is in the prefix.
  void doubt(const netlink::Prefix& prefix, Instant now) {
    auto at = discs_.lower_bound(Place(netlink::first_of(prefix), nullptr));
    for (; at != discs_.end() && netlink::contains(prefix, (*at)->address); ++at) doubt(*at, now);
  }

  // Those to be looked up now; they are in doubt no longer.
  std::vector<Disc*> take(Instant now) {
    std::vector<Disc*> taken;
    if (doubted_.empty() || now < pass_at_) return taken;
    pass_at_ = now + pass_every;
    // Goes on where it stopped: discs that are doubted again and again keep no other one waiting.
    auto at = doubted_.lower_bound(last_);
    if (at != doubted_.end() && *at == last_) ++at;
    const std::size_t count = std::min(doubted_.size(), pass_max);
    for (; taken.size() < count; ++at) {
      if (at == doubted_.end()) at = doubted_.begin();
      taken.push_back(*at);
    }
    for (Disc* disc : taken) doubted_.erase_key(disc);
    last_ = taken.back();
    return taken;
  }

  std::optional<Instant> next() const {
    if (doubted_.empty()) return {};
    return pass_at_;
  }

 private:
  using Place = std::pair<netlink::Ip6, const Disc*>;
  struct ByAddress {
    Place operator()(const Disc* disc) const noexcept { return {disc->address, disc}; }
  };
  struct Itself {
    const Disc* operator()(const Disc* disc) const noexcept { return disc; }
  };

  Ordered<Disc*, ByAddress, 256> discs_;
  Ordered<Disc*, Itself, 256> doubted_;
  Disc* last_ = nullptr;  // Only ever compared: it may be gone.
  Instant pass_at_{};
};

}  // namespace head::neigh
