#include "netlink/format.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>

namespace netlink {

std::string to_string(const Ip6& address) {
  char text[INET6_ADDRSTRLEN];
  return ::inet_ntop(AF_INET6, address.data(), text, sizeof text) ? text : "";
}

std::optional<Ip6> parse_ip6(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN] = {};
  if (text.size() >= sizeof terminated || text.find('\0') != std::string_view::npos) return {};
  std::copy(text.begin(), text.end(), terminated);
  Ip6 address;
  if (::inet_pton(AF_INET6, terminated, address.data()) != 1) return {};
  return address;
}

std::string to_string(const Prefix& prefix) {
  return to_string(prefix.address) + "/" + std::to_string(prefix.bits);
}

std::optional<Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return {};
  const auto address = parse_ip6(text.substr(0, slash));
  const std::string_view bits = text.substr(slash + 1);
  Prefix prefix;
  const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), prefix.bits);
  if (!address || error != std::errc() || end != bits.data() + bits.size() || prefix.bits > 128)
    return {};
  prefix.address = *address;
  if (first_of(prefix) != *address) return {};
  return prefix;
}

std::string to_string(const Mac& mac) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(3 * mac.size());
  for (const std::uint8_t byte : mac) {
    if (!text.empty()) text += ':';
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::optional<Mac> parse_mac(std::string_view text) {
  Mac mac;
  if (text.size() != 3 * mac.size() - 1) return {};
  for (std::size_t i = 0; i < mac.size(); ++i) {
    const char* first = text.data() + 3 * i;
    const auto [end, error] = std::from_chars(first, first + 2, mac[i], 16);
    if (error != std::errc() || end != first + 2) return {};
    if (i + 1 < mac.size() && *end != ':') return {};
  }
  return mac;
}

std::string_view nud_name(std::uint16_t state) noexcept {
  switch (state) {
    case nud::none:
      return "NONE";
    case nud::incomplete:
      return "INCOMPLETE";
    case nud::reachable:
      return "REACHABLE";
    case nud::stale:
      return "STALE";
    case nud::delay:
      return "DELAY";
    case nud::probe:
      return "PROBE";
    case nud::failed:
      return "FAILED";
    case nud::noarp:
      return "NOARP";
    case nud::permanent:
      return "PERMANENT";
  }
  return "?";
}

std::string marks(const Neighbour& neighbour) {
  std::string text;
  const auto add = [&](std::string_view word) {
    if (!text.empty()) text += ' ';
    text += word;
  };
  if (neighbour.flags & ntf::router) add("router");
  if (neighbour.flags & ntf::proxy) add("proxy");
  if (neighbour.flags & ntf::ext_learned) add("extern_learn");
  if (neighbour.ext_flags & ntf::ext_managed) add("managed");
  if (neighbour.ext_flags & ntf::ext_validated) add("extern_valid");
  if (neighbour.protocol) add("proto " + std::to_string(neighbour.protocol));
  return text;
}

std::string_view owner_name(const Neighbour& neighbour) noexcept {
  if (neighbour.ours()) return "ours";
  constexpr std::uint8_t by_kernel = 2;  // RTPROT_KERNEL
  // Nobody but a program makes these, and few programs sign what they make.
  const bool made = (neighbour.state & (nud::permanent | nud::noarp)) != 0 ||
                    (neighbour.flags & ntf::ext_learned) != 0 || neighbour.ext_flags != 0;
  const bool unsigned_entry = neighbour.protocol == 0 || neighbour.protocol == by_kernel;
  return made || !unsigned_entry ? "other" : "kernel";
}

std::string to_line(const Neighbour& neighbour, std::string_view device) {
  std::string line = to_string(neighbour.key.address);
  line.append(" dev ").append(device).append(" lladdr ");
  line += neighbour.lladdr ? to_string(*neighbour.lladdr) : "-";
  if (const std::string words = marks(neighbour); !words.empty()) line.append(" ").append(words);
  return line.append(" ").append(nud_name(neighbour.state));
}

}  // namespace netlink
