// Addresses, link-layer addresses and neighbour states to text and back, the way iproute2 writes
// them. Parsing is strict: the whole text or nothing.
#pragma once

#include "netlink/neighbour.hpp"
#include "netlink/route.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace netlink {

std::string to_string(const Ip6& address);  // RFC 5952, as inet_ntop(3) writes it.
// The same texts at the end of another: where there are many, most of the time goes to the strings.
void append(std::string& text, const Ip6& address);
void append(std::string& text, const Mac& mac);
std::optional<Ip6> parse_ip6(std::string_view text);

std::string to_string(const Prefix& prefix);  // "fd00::/8"
// No bits may be set beyond its length.
std::optional<Prefix> parse_prefix(std::string_view text);

std::string to_string(const Mac& mac);  // "52:54:00:12:34:56"
std::optional<Mac> parse_mac(std::string_view text);

std::string_view nud_name(std::uint16_t state) noexcept;  // "STALE"; "NONE" for 0; "?" otherwise.

// "router extern_learn managed proto 72": the marks of an entry, "" when it has none.
std::string marks(const Neighbour& neighbour);

// What the kernel has of an entry as members of a JSON object, each behind a comma: "lladdr" where
// it is known, "marks", "owner", "state" (as the caller calls it), and the ages in seconds
// ("confirmed_s", "updated_s", "used_s").
void append_members(std::string& json, const Neighbour& neighbour, std::string_view state);

// Whose entry it is: "ours", "kernel" (it resolved it by itself) or "other".
std::string_view owner_name(const Neighbour& neighbour) noexcept;

// One line as `ip -d -6 neigh` has it: "2001:db8::1 dev eth0 lladdr 52:54:00:12:34:56 extern_learn
// proto 72 STALE"; "-" in place of an unknown link-layer address.
std::string to_line(const Neighbour& neighbour, std::string_view device);

}  // namespace netlink
