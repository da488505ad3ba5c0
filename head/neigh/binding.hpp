// Which link-layer address a disc's address means, who says so, and who is right when two disagree.
// Plain values and pure functions: nothing here knows the kernel.
//
//   a newer generation wins; without one the wire beats whoever was told beforehand
#pragma once

#include "netlink/neighbour.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace head::neigh {

using Instant = std::chrono::steady_clock::time_point;

enum class Source : std::uint8_t {
  none,
  catalogue,     // The state directory had it.
  operator_,     // Somebody said so through the API.
  announcement,  // A neighbour advertisement that nobody asked for; not verified yet.
  wire,          // The kernel learned it, by neighbour discovery.
};
std::string_view to_string(Source source) noexcept;

struct Binding {
  std::optional<netlink::Mac> lladdr{};  // Absent: nobody knows.
  Source source = Source::none;
  std::uint64_t generation = 0;  // Of the catalogue; the wire has none, and keeps it.
  bool operator==(const Binding&) const = default;
};

// A next hop is made of its tail's link-layer address, and pinned there as discs are.
inline Binding tail_claim(const std::optional<netlink::Mac>& lladdr) {
  return {.lladdr = lladdr, .source = Source::catalogue, .generation = 1};
}

enum class Ruling : std::uint8_t {
  confirmed,  // It says what is held already.
  first,      // Nobody had known.
  moved,      // It is right, and another address was held before.
  overruled,  // What is held is newer, or was seen on the wire.
};

// What a claim does to what is held. Changes nothing.
Ruling rule(const Binding& held, const Binding& claim) noexcept;

// What is held after the claim.
Binding merge(const Binding& held, const Binding& claim) noexcept;

// Two who both claim an address make it change to and fro. So many changes within a while are
// flapping: nobody is told of each any more, until it has been calm for as long.
class Flaps {
 public:
  static constexpr unsigned many = 5;
  static constexpr std::chrono::seconds while_{10};
  static constexpr std::chrono::seconds tell_every{1};

  // A change. True when it is to be told and acted upon.
  bool count(Instant now) noexcept;
  // When somebody may be told again, where count() said no; and that this was done.
  Instant tells_again() const noexcept { return told_ + tell_every; }
  void told(Instant now) noexcept { told_ = now; }
  bool flapping(Instant now) const noexcept { return changes_ >= many && now - last_ < while_; }

 private:
  Instant last_{}, told_{};
  std::uint8_t changes_ = 0;
};

}  // namespace head::neigh
