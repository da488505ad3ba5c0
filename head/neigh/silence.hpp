// Hosts, by their link-layer addresses, at which a disc was asked for in vain. One such disc may
// have left; a host that answers for none of several is silent. What is sent because of a silent
// host has a small share of its own, however many discs are thought to be there: a few inquiries a
// second for all of them, fewer as time goes by, and one question to the host itself, which speaks
// for all. Pure; time is a parameter.
//
//   known ── doubt() ──► doubted ── asked three times, no answer ──► silent
//     ▲                     │                                          │
//     └──────── end() ──────┴──────────────────────────────────────────┘
#pragma once

#include "head/neigh/binding.hpp"
#include "netlink/neighbour.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

namespace head::neigh {

struct Host {
  int ifindex = 0;
  netlink::Mac lladdr{};
  auto operator<=>(const Host&) const = default;
};

class Silences {
 public:
  // Between inquiries for discs of one host: of one that answers, and of one that does not, at
  // first, after ten seconds, and after a minute. A disc that was not asked for since its host fell
  // silent has the first of these always: it may be the one that is there.
  static constexpr std::chrono::milliseconds inquiries_apart{50},
      silent_apart[3] = {std::chrono::milliseconds(330), std::chrono::milliseconds(1'000),
                         std::chrono::milliseconds(2'000)};
  static constexpr unsigned times = 3;
  static constexpr std::chrono::milliseconds apart{50};
  static constexpr std::chrono::seconds ask_every{1};  // One that is silent, or was doubted.
  static constexpr std::chrono::minutes calm_after{2};
  // A disc that was found elsewhere has those of its host asked for, if that falls silent within
  // this time; not again for so long.
  static constexpr std::chrono::seconds left_again{5};
  static constexpr std::size_t many = 256;  // From so many on, those that answer are forgotten.

  void doubt(const Host& host, Instant now) {
    Silence& silence = at(host);
    // One that goes to and fro is doubted ever more rarely.
    if (now - silence.answered > calm_after) silence.falls = 0;
    const auto again = ask_every * (1 << std::min(silence.falls, 6u));
    if (silence.state != State::known || now - silence.answered < again) return;
    silence.state = State::doubted;
    silence.asked = 0;
    silence.ask_at = now;
  }
  // Somebody has answered there. True when it was silent.
  bool end(const Host& host, Instant now) noexcept {
    const auto found = all_.find(host);
    if (found == all_.end()) return false;
    found->second.answered = now;
    return std::exchange(found->second.state, State::known) == State::silent;
  }
  void forget(const Host& host) noexcept { all_.erase(host); }
  bool is_silent(const Host& host) const noexcept {
    const auto found = all_.find(host);
    return found != all_.end() && found->second.state == State::silent;
  }
  // Since when; nothing where it is not.
  std::optional<Instant> silent_since(const Host& host) const noexcept {
    if (!is_silent(host)) return {};
    return all_.find(host)->second.silent_since;
  }
  // How many are.
  std::size_t count() const noexcept {
    return static_cast<std::size_t>(std::count_if(all_.begin(), all_.end(), [](const auto& one) {
      return one.second.state == State::silent;
    }));
  }

  // Whether a disc of that host may be asked for now; that is counted. While it is not known
  // whether the host answers, the share is that of a silent one.
  // `before`: when the disc was asked for last.
  bool take(const Host& host, Instant before, Instant now) {
    Silence& silence = at(host);
    const bool first = silence.state == State::silent && before < silence.silent_since;
    Instant& last = first ? silence.inquired_first : silence.inquired;
    if (now - last < (first ? silent_apart[0] : apart_of(silence, now))) return false;
    last = silence.inquired = now;
    return true;
  }
  // A disc was found elsewhere.
  void leave(const Host& host, Instant now) {
    at(host).left = now;
    doubt(host, now);
  }
  // Whether, because of that, the others are to be asked for: it is silent. True once.
  bool take_left(const Host& host, Instant now) noexcept {
    const auto found = all_.find(host);
    if (found == all_.end() || found->second.state != State::silent) return false;
    Silence& silence = found->second;
    const bool lately = silence.left != Instant{} && now - silence.left < left_again;
    const bool again =
        silence.asked_for_all == Instant{} || now - silence.asked_for_all >= left_again;
    if (!lately || !again) return false;
    silence.asked_for_all = now;
    return true;
  }

  // One that is to be asked itself now, for the disc after `asked_for`, if there is one; or that
  // has become silent by now.
  struct Turn {
    Host host;
    netlink::Ip6 asked_for{};  // The last time.
    bool fell_silent = false;
  };
  std::optional<Turn> due(Instant now) {
    for (auto& [host, silence] : all_) {
      if (silence.state == State::known || silence.ask_at > now) continue;
      const bool fell = silence.state == State::doubted && silence.asked >= times;
      if (fell) silence.state = State::silent;
      if (fell) silence.ask_at = now + ask_every;
      if (fell) silence.silent_since = now;
      silence.falls += fell;
      return Turn{host, silence.asked_for, fell};
    }
    return {};
  }
  void asked(const Host& host, const netlink::Ip6& disc, Instant now) {
    Silence& silence = at(host);
    silence.asked_for = disc;
    ++silence.asked;
    silence.ask_at = now + (silence.state == State::silent ? ask_every : Instant::duration(apart));
  }
  // It could not be sent: nothing follows from its not being answered.
  void unasked(const Host& host, Instant now) noexcept {
    const auto found = all_.find(host);
    if (found == all_.end() || found->second.state != State::doubted) return;
    found->second.asked = 0;
    found->second.ask_at = now + ask_every;
  }
  // When due() has one.
  std::optional<Instant> next() const noexcept {
    std::optional<Instant> soonest;
    for (const auto& [host, silence] : all_)
      if (silence.state != State::known)
        soonest = std::min(soonest.value_or(Instant::max()), silence.ask_at);
    return soonest;
  }

 private:
  enum class State : std::uint8_t { known, doubted, silent };
  struct Silence {
    State state = State::known;
    unsigned asked = 0;  // Since it was doubted.
    unsigned falls = 0;  // Times it fell silent lately.
    Instant answered{}, left{}, ask_at{}, inquired{}, inquired_first{}, asked_for_all{};
    Instant silent_since{};
    netlink::Ip6 asked_for{};
  };
  static Instant::duration apart_of(const Silence& silence, Instant now) noexcept {
    if (silence.state == State::known) return inquiries_apart;
    const auto age = now - silence.silent_since;
    if (silence.state == State::doubted || age < std::chrono::seconds(10)) return silent_apart[0];
    return silent_apart[age < std::chrono::minutes(1) ? 1 : 2];
  }
  // Of those that answer only the pace is lost.
  Silence& at(const Host& host) {
    if (all_.size() >= many && !all_.contains(host))
      std::erase_if(all_, [](const auto& one) { return one.second.state == State::known; });
    return all_[host];
  }

  std::map<Host, Silence> all_;
};

}  // namespace head::neigh
