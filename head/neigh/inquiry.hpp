// Whether a neighbour is where it is held to be, asked by ourselves and beside the kernel's table,
// which anybody's claim can change meanwhile: first whoever is held, several times, and where
// nobody answers there, everybody. Which questions are due, and what the answers mean. Pure.
//
//   open ── held answers ──────────────────────────────► here
//     ├──── held is silent, somebody else answers ─────► elsewhere
//     └──── nobody answers ────────────────────────────► nobody
#pragma once

#include "head/neigh/binding.hpp"
#include "netlink/neighbour.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace head::neigh {

// Asks whoever has that link-layer address, or everybody, whether it has this address.
struct Solicitation {
  netlink::NeighbourKey who;
  std::optional<netlink::Mac> at{};  // Absent: everybody.
  bool operator==(const Solicitation&) const = default;
};

enum class Finding : std::uint8_t { open, here, elsewhere, nobody };

class Inquiry {
 public:
  static constexpr unsigned times = 3;  // Of each question; one packet is easily lost.
  static constexpr std::chrono::milliseconds apart{50}, again_if_unasked{100};

  enum class Manner : std::uint8_t {
    held_first,
    everybody,  // At once, whoever is held too: it has been silent lately.
    anybody,    // The same, and one question is enough for whoever answers.
  };

  Inquiry(const netlink::Mac& held, Manner manner, Instant now) noexcept
      : held_(held), manner_(manner), due_(now) {}

  // When something is to be asked next, or is found.
  Instant due() const noexcept { return due_; }
  std::optional<netlink::Mac> whom() const noexcept {
    const bool first = manner_ == Manner::held_first && asked_ < times;
    return first ? std::optional(held_) : std::nullopt;
  }
  void asked(Instant now) noexcept {
    if (asked_++ == 0) since_ = now;
    due_ = now + apart;
  }
  // It could not be sent: no time has passed for whoever was not asked.
  void unasked(Instant now) noexcept {
    --asked_;
    due_ = now + again_if_unasked;
  }
  // Answers were lost on our side.
  void begin_anew(Instant now) noexcept {
    asked_ = 0;
    other_.reset();
    due_ = now;
  }
  void answered(const netlink::Mac& who, Instant now) noexcept {
    if (asked_ == 0) return;  // By nobody who was asked.
    if (who == held_) {
      here_ = true;
      due_ = now;
    } else if (!other_) {
      other_ = who;
    }
  }

  Finding finding(Instant now) const noexcept {
    if (here_) return Finding::here;
    if (now < due_ || asked_ < (manner_ == Manner::anybody ? 1 : times)) return Finding::open;
    if (other_) return Finding::elsewhere;
    const unsigned all = manner_ == Manner::held_first ? 2 * times : times;
    return asked_ < all ? Finding::open : Finding::nobody;
  }
  const std::optional<netlink::Mac>& other() const noexcept { return other_; }
  Instant since() const noexcept { return since_; }

 private:
  netlink::Mac held_;
  Manner manner_;
  std::optional<netlink::Mac> other_;  // The first one beside it that answered.
  Instant due_, since_{};
  unsigned asked_ = 0;
  bool here_ = false;
};

// Those that are under way, at most one for each neighbour.
class Inquiries {
 public:
  // False where one is under way already.
  bool open(const netlink::NeighbourKey& key, const netlink::Mac& held, Inquiry::Manner manner,
            Instant now) {
    if (!all_.try_emplace(key, held, manner, now).second) return false;
    turns_.insert({now, key});
    return true;
  }
  void close(const netlink::NeighbourKey& key) {
    const auto found = all_.find(key);
    if (found == all_.end()) return;
    turns_.erase({found->second.due(), key});
    all_.erase(found);
  }
  const Inquiry* find(const netlink::NeighbourKey& key) const noexcept {
    const auto found = all_.find(key);
    return found == all_.end() ? nullptr : &found->second;
  }
  // Does that to it, and gives it the turn that is right then.
  template <class Change>
  void change(const netlink::NeighbourKey& key, const Change& change) {
    const auto found = all_.find(key);
    if (found == all_.end()) return;
    turns_.erase({found->second.due(), key});
    change(found->second);
    turns_.insert({found->second.due(), key});
  }
  void begin_anew(Instant now) {
    turns_.clear();
    for (auto& [key, inquiry] : all_) {
      inquiry.begin_anew(now);
      turns_.insert({now, key});
    }
  }
  // Whose turn is next, and when.
  std::optional<std::pair<Instant, netlink::NeighbourKey>> first() const {
    if (turns_.empty()) return {};
    return *turns_.begin();
  }

 private:
  std::map<netlink::NeighbourKey, Inquiry> all_;
  std::set<std::pair<Instant, netlink::NeighbourKey>> turns_;
};

}  // namespace head::neigh
