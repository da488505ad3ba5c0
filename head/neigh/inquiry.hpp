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
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace head::neigh {

// Asks whoever has that link-layer address, or everybody, whether it has this address.
struct Solicitation {
  netlink::NeighbourKey who;
  std::optional<netlink::Mac> at{};  // Absent: everybody.
  bool of_host = false;              // Whether the host answers at all; no inquiry's question.
  bool operator==(const Solicitation&) const = default;
};

enum class Finding : std::uint8_t { open, here, elsewhere, nobody };

class Inquiry {
 public:
  static constexpr unsigned times = 3;  // Of each question; one packet is easily lost.
  static constexpr unsigned begun_anew_most = 20;
  static constexpr std::chrono::milliseconds apart{50}, again_if_unasked{1000};

  enum class Manner : std::uint8_t {
    held_first,
    everybody,  // At once, whoever is held too: it has been silent lately.
    once,       // The same, by one question.
  };

  Inquiry(const netlink::Mac& held, Manner manner, Instant now) noexcept
      : held_(held), manner_(manner), due_(now) {}

  void begin(Instant now) noexcept { due_ = now; }
  // When something is to be asked next, or is found.
  Instant due() const noexcept { return due_; }
  std::optional<netlink::Mac> whom() const noexcept {
    const bool first = manner_ == Manner::held_first && asked_ < times;
    return first ? std::optional(held_) : std::nullopt;
  }
  void asked(Instant now) noexcept {
    ++asked_;
    due_ = now + apart;
  }
  // It could not be sent: no time has passed for whoever was not asked.
  void unasked(Instant now) noexcept {
    if (asked_ > 0) --asked_;
    due_ = now + again_if_unasked;
  }
  // Answers were lost on our side: what was asked so far was in vain. Not for ever.
  void begin_anew() noexcept {
    if (asked_ == 0 || ++begun_anew_ > begun_anew_most) return;
    asked_ = 0;
    other_.reset();
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
    const unsigned enough = manner_ == Manner::once ? 1 : times;
    if (now < due_ || asked_ < enough) return Finding::open;
    // Who has been kept from hearing answers cannot say who is silent.
    if (other_) return begun_anew_ > begun_anew_most ? Finding::nobody : Finding::elsewhere;
    const unsigned all = manner_ == Manner::held_first ? 2 * times : enough;
    return asked_ < all ? Finding::open : Finding::nobody;
  }
  const std::optional<netlink::Mac>& other() const noexcept { return other_; }

 private:
  netlink::Mac held_;
  Manner manner_;
  std::optional<netlink::Mac> other_;  // The first one beside it that answered.
  Instant due_;
  unsigned asked_ = 0, begun_anew_ = 0;
  bool here_ = false;
};

// Those that are under way, at most one for each neighbour. So many at once; the others wait for
// their turn, but for urgent ones.
class Inquiries {
 public:
  static constexpr std::size_t at_once = 24;  // What 500 questions a second carry to their end.

  // False where one is under way, or waits, already.
  bool open(const netlink::NeighbourKey& key, const netlink::Mac& held, Inquiry::Manner manner,
            Instant now) {
    if (!all_.try_emplace(key, Entry{Inquiry(held, manner, now)}).second) return false;
    queue_.push_back(key);
    start_next(now);
    return true;
  }
  // It does not wait for its turn, and takes no place of those that do. Opened where it is not.
  void hurry(const netlink::NeighbourKey& key, const netlink::Mac& held, Inquiry::Manner manner,
             Instant now) {
    const auto [found, made] = all_.try_emplace(key, Entry{Inquiry(held, manner, now)});
    Entry& entry = found->second;
    if (entry.runs) return;
    entry.urgent = true;
    start(key, entry, now);
  }
  void close(const netlink::NeighbourKey& key, Instant now) {
    const auto found = all_.find(key);
    if (found == all_.end()) return;
    if (found->second.runs) {
      turns_.erase({found->second.inquiry.due(), key});
      running_ -= !found->second.urgent;
    }
    all_.erase(found);
    start_next(now);
  }
  const Inquiry* find(const netlink::NeighbourKey& key) const noexcept {
    const auto found = all_.find(key);
    return found == all_.end() ? nullptr : &found->second.inquiry;
  }
  // Does that to it, if it is under way, and gives it the turn that is right then. False: it is
  // not.
  template <class Change>
  bool change(const netlink::NeighbourKey& key, const Change& change) {
    const auto found = all_.find(key);
    if (found == all_.end() || !found->second.runs) return false;
    turns_.erase({found->second.inquiry.due(), key});
    change(found->second.inquiry);
    turns_.insert({found->second.inquiry.due(), key});
    return true;
  }
  void begin_anew() {
    for (auto& [key, entry] : all_) entry.inquiry.begin_anew();
  }
  // Whose turn is next, and when.
  std::optional<std::pair<Instant, netlink::NeighbourKey>> first() const {
    if (turns_.empty()) return {};
    return *turns_.begin();
  }

 private:
  struct Entry {
    Inquiry inquiry;
    bool runs = false, urgent = false;
  };
  void start(const netlink::NeighbourKey& key, Entry& entry, Instant now) {
    entry.inquiry.begin(now);
    entry.runs = true;
    running_ += !entry.urgent;
    turns_.insert({entry.inquiry.due(), key});
  }
  void start_next(Instant now) {
    while (!queue_.empty()) {
      const auto found = all_.find(queue_.front());
      const bool waits = found != all_.end() && !found->second.runs;  // Not closed, or hurried.
      if (waits && running_ >= at_once) return;
      if (waits) start(found->first, found->second, now);
      queue_.pop_front();
    }
  }

  std::map<netlink::NeighbourKey, Entry> all_;
  std::set<std::pair<Instant, netlink::NeighbourKey>> turns_;
  std::deque<netlink::NeighbourKey> queue_;
  std::size_t running_ = 0;  // But for urgent ones.
};

}  // namespace head::neigh
