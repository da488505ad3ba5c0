// Where a disc is: an NBD URI over TCP and IPv6, as the NBD URI specification (doc/uri.md) and
// RFC 3986 and RFC 6874 write it:
//
//   nbd://[2001:db8::7]:10809/disk        nbd://[fe80::1%25eth0]//disk      nbd://[fd00::1]
//          address       port  name              zone id       name "/disk"        empty name
//
// A Uri that came out of parse_uri() keeps every bound below, and parse_uri(to_string(uri)) gives
// the same one back.
#pragma once

#include "head/base/result.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace head::nbd {

inline constexpr std::uint16_t default_port = 10809;  // IANA's.
inline constexpr std::size_t export_name_max = 4096;  // Bytes; the protocol's bound on strings.

struct Uri {
  std::array<std::uint8_t, 16>
      address{};                      // Neither "::", nor multicast, nor a mapped IPv4 address.
  std::string zone;                   // An interface, by name or index; empty: none given.
  std::uint16_t port = default_port;  // Not 0.
  std::string export_name;            // UTF-8 without NUL; may be empty.

  bool operator==(const Uri&) const = default;
};

// The error is one sentence that names what is wrong and what to write instead, without its full
// stop: others name the disc before it and go on after it. Refused, besides what is malformed:
// TLS, Unix sockets, host names, IPv4, user names and query parameters.
Result<Uri, std::string> parse_uri(std::string_view text);

// Canonical: the address as RFC 5952 has it, the port only where it is not the default.
std::string to_string(const Uri& uri);

}  // namespace head::nbd
