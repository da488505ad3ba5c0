// Link-layer addresses at which a disc was asked for in vain lately: a host that is down, or that
// its discs have left. What is asked because of it then has a small share of its own, however many
// discs are thought to be there. Pure; time is a parameter.
#pragma once

#include "head/neigh/binding.hpp"
#include "head/neigh/pacer.hpp"
#include "netlink/neighbour.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace head::neigh {

struct Host {
  int ifindex = 0;
  netlink::Mac lladdr{};
  auto operator<=>(const Host&) const = default;
};

class Silences {
 public:
  static constexpr std::uint32_t inquiries_per_second = 3;
  // After one disc was found elsewhere the others are asked once; not again for so long.
  static constexpr std::chrono::seconds left_again{5};
  static constexpr std::chrono::minutes forget_after{5};
  static constexpr std::size_t many = 256;  // From so many on, old ones are forgotten.

  void note(const Host& host, Instant now) { at(host, now).silent = true; }
  // Somebody has answered there.
  void end(const Host& host) noexcept {
    if (const auto found = all_.find(host); found != all_.end()) found->second.silent = false;
  }
  bool is_silent(const Host& host) const noexcept {
    const auto found = all_.find(host);
    return found != all_.end() && found->second.silent;
  }
  // Whether a disc of that host may be asked for now; that is counted.
  bool take(const Host& host, Instant now) {
    return !is_silent(host) || at(host, now).share.take(now, 1) == 1;
  }
  // A disc has left it. True when the others are to be asked for.
  bool left(const Host& host, Instant now) {
    Silence& silence = at(host, now);
    if (silence.left != Instant{} && now - silence.left < left_again) return false;
    silence.left = now;
    return true;
  }

 private:
  struct Silence {
    Instant noted{}, left{};
    bool silent = false;
    Pacer share{inquiries_per_second, inquiries_per_second};
  };
  Silence& at(const Host& host, Instant now) {
    if (all_.size() >= many)
      std::erase_if(all_, [&](const auto& one) { return now - one.second.noted > forget_after; });
    Silence& found = all_[host];
    found.noted = now;
    return found;
  }

  std::map<Host, Silence> all_;
};

}  // namespace head::neigh
