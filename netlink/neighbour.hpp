// Neighbours as plain values: what the kernel's IPv6 neighbour table holds, what somebody wants it
// to hold, and the pure functions that compare the two. No socket, no libnl, no policy beyond
// "which entries are ours and which must be left alone".
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace netlink {

using Ip6 = std::array<std::uint8_t, 16>;
using Mac = std::array<std::uint8_t, 6>;

// NUD_*, NTF_* and NTF_EXT_* of linux/neighbour.h, which knows the newest ones only on new systems.
namespace nud {
inline constexpr std::uint16_t none = 0x00, incomplete = 0x01, reachable = 0x02, stale = 0x04,
                               delay = 0x08, probe = 0x10, failed = 0x20, noarp = 0x40,
                               permanent = 0x80;
inline constexpr std::uint16_t valid = permanent | noarp | reachable | probe | stale | delay;
}  // namespace nud
namespace ntf {
inline constexpr std::uint8_t use = 0x01, proxy = 0x08, ext_learned = 0x10, router = 0x80;
inline constexpr std::uint32_t ext_managed = 0x01, ext_locked = 0x02, ext_validated = 0x04;
}  // namespace ntf

// The mark of our entries: their NDA_PROTOCOL. A number like RTPROT_*, free in the kernel's header,
// in iproute2's rt_protos and in FRR; `ip -d -6 neigh` shows it as "proto 72".
inline constexpr std::uint8_t our_protocol = 72;

struct NeighbourKey {
  int ifindex = 0;
  Ip6 address{};
  bool operator==(const NeighbourKey&) const = default;
  // By interface, then by address, byte by byte. Tables are sorted and searched by it all the time,
  // so that it compares the address as two numbers.
  constexpr std::strong_ordering operator<=>(const NeighbourKey& other) const noexcept {
    if (const auto order = ifindex <=> other.ifindex; order != 0) return order;
    const auto [high, low] = numbers();
    const auto [other_high, other_low] = other.numbers();
    return high != other_high ? high <=> other_high : low <=> other_low;
  }

 private:
  constexpr std::array<std::uint64_t, 2> numbers() const noexcept {
    auto halves = std::bit_cast<std::array<std::uint64_t, 2>>(address);
    if constexpr (std::endian::native == std::endian::little)
      for (std::uint64_t& half : halves) half = __builtin_bswap64(half);
    return halves;
  }
};

struct Neighbour {
  NeighbourKey key;
  std::optional<Mac> lladdr;    // Absent while the kernel is still resolving.
  std::uint16_t state = 0;      // nud::
  std::uint8_t flags = 0;       // ntf:: (the 8-bit ones)
  std::uint8_t protocol = 0;    // Who made it; our_protocol is us.
  std::uint32_t ext_flags = 0;  // ntf::ext_
  // Ages in milliseconds, as of the dump; the kernel counts them in hundredths of a second.
  std::uint32_t confirmed_ms = 0, used_ms = 0, updated_ms = 0;

  // Somebody who makes an entry of ours permanent (`ip neigh replace`) keeps our mark, and clears
  // NTF_EXT_LEARNED, which pins of ours have: it is theirs from then on.
  bool ours() const noexcept {
    const bool replaced = (state & nud::permanent) != 0 && (flags & ntf::ext_learned) == 0;
    return protocol == our_protocol && !replaced;
  }
  bool usable() const noexcept { return lladdr && (state & nud::valid) != 0; }
};

// An entry to be written. `state` is nud::stale; nud::probe where the binding is in doubt and is to
// be verified at once; or nud::permanent, which no advertisement changes, for as long as a pin is
// held firm. Nothing else may keep a wrong binding from healing.
struct Entry {
  NeighbourKey key;
  Mac lladdr{};
  std::uint16_t state = nud::stale;
  bool validated = false;  // Ask for NTF_EXT_EXT_VALIDATED as well (kernels that have it).
  bool fresh = false;      // Nothing was there: it is made only if that is still so.
  bool exempt = true;      // Ask for NTF_EXT_LEARNED: it is never collected.
  bool managed = false;    // Ask for NTF_EXT_MANAGED: only to find out whether there is such.
  bool operator==(const Entry&) const = default;
};

// A neighbour that the network is to be asked for; the asking makes an entry.
struct Question {
  NeighbourKey key;
  bool fresh = false;  // As for an Entry.
  bool exempt = true;
  bool operator==(const Question&) const = default;
};

// What somebody wants: this neighbour kept, at this link-layer address if it is known.
struct Desired {
  NeighbourKey key;
  std::optional<Mac> lladdr;
  bool validated = false;
  bool exempt = true;  // As for an Entry.
  bool firm = false;   // As nud::permanent; only with `exempt`, by which it is told from others'.
};

enum class Verdict : std::uint8_t {
  right,    // Nothing to do.
  set,      // Write it, with the desired link-layer address.
  learned,  // The wire says another link-layer address (or the first one): that one is kept.
  resolve,  // Nobody knows the link-layer address, or the known one does not answer.
  foreign,  // Somebody else's entry: it stays as it is.
};

struct Judgement {
  Verdict verdict = Verdict::right;
  Mac lladdr{};                      // set, learned: which one is right.
  std::uint16_t state = nud::stale;  // set, learned: the state to write it in.
  bool write = false;                // learned: the entry lacks our marks and must be written too.
  bool fresh = false;                // set, resolve: there is nothing that may be replaced.
};

// What is to be done about one desired entry, given what the kernel has (nullptr: nothing).
Judgement judge(const Desired& desired, const Neighbour* actual) noexcept;

struct Learned {
  NeighbourKey key;
  Mac lladdr{};
};

// What must change for `actual` to become `desired`. Entries that are neither ours nor desired are
// someone else's business and never appear. Applied once, nothing is left to plan.
struct Plan {
  std::vector<Entry> set;
  std::vector<NeighbourKey> remove;
  std::vector<Question> resolve;
  std::vector<Learned> learned;
  std::vector<NeighbourKey> foreign;

  bool empty() const noexcept { return set.empty() && remove.empty() && resolve.empty(); }
};

// Both sorted by key, without duplicates.
Plan plan(std::span<const Desired> desired, std::span<const Neighbour> actual);

// The entry with that key in a span sorted by key, or nullptr.
const Neighbour* find(std::span<const Neighbour> sorted, const NeighbourKey& key) noexcept;

// Whether such an address can be the link-layer address of one machine: not zero, not multicast,
// not broadcast.
bool is_unicast(const Mac& mac) noexcept;

// As a number of 48 bits, the first byte on top; higher bits mean nothing.
constexpr std::uint64_t number_of(const Mac& mac) noexcept {
  std::uint64_t number = 0;
  for (const std::uint8_t byte : mac) number = number << 8 | byte;
  return number;
}
constexpr Mac mac_of(std::uint64_t number) noexcept {
  Mac mac{};
  for (std::size_t i = mac.size(); i-- > 0; number >>= 8)
    mac[i] = static_cast<std::uint8_t>(number);
  return mac;
}
bool is_multicast(const Ip6& address) noexcept;
bool is_unspecified(const Ip6& address) noexcept;
bool is_loopback(const Ip6& address) noexcept;  // ::1
bool is_link_local(const Ip6& address) noexcept;

}  // namespace netlink
