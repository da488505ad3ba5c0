#include "netlink/format.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <tuple>

namespace netlink {

namespace {

constexpr char digits[] = "0123456789abcdef";

std::uint16_t word(const Ip6& address, std::size_t i) noexcept {
  return static_cast<std::uint16_t>(address[2 * i] << 8 | address[2 * i + 1]);
}

// Words that are zero, the longest run of two at least, the first of equals.
struct Zeros {
  std::size_t begin = 8, count = 0;
};

Zeros longest_zeros(const Ip6& address) noexcept {
  Zeros best, here;
  for (std::size_t i = 0; i < 8; ++i) {
    if (word(address, i) != 0) {
      here.count = 0;
      continue;
    }
    if (here.count++ == 0) here.begin = i;
    if (here.count >= 2 && here.count > best.count) best = here;
  }
  return best;
}

char* put_hex(char* at, std::uint16_t word) noexcept {
  for (int shift = word >= 0x1000  ? 12
                   : word >= 0x100 ? 8
                   : word >= 0x10  ? 4
                                   : 0;
       shift >= 0; shift -= 4)
    *at++ = digits[word >> shift & 15];
  return at;
}

}  // namespace

void append(std::string& text, const Ip6& address) {
  char written[INET6_ADDRSTRLEN];
  const Zeros zeros = longest_zeros(address);
  const bool mapped = zeros.count == 5 && word(address, 5) == 0xffff;
  if (zeros.begin == 0 && (zeros.count == 6 || mapped)) {  // It ends as an IPv4 address does.
    if (::inet_ntop(AF_INET6, address.data(), written, sizeof written)) text += written;
    return;
  }
  char* at = written;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == zeros.begin) {
      *at++ = ':';
      i += zeros.count - 1;
      if (i == 7) *at++ = ':';
      continue;
    }
    if (i != 0) *at++ = ':';
    at = put_hex(at, word(address, i));
  }
  text.append(written, at);
}

std::string to_string(const Ip6& address) {
  std::string text;
  append(text, address);
  return text;
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

void append(std::string& text, const Mac& mac) {
  char written[3 * std::tuple_size_v<Mac>];
  char* at = written;
  for (const std::uint8_t byte : mac) {
    *at++ = digits[byte >> 4];
    *at++ = digits[byte & 15];
    *at++ = ':';
  }
  text.append(written, at - 1);
}

std::string to_string(const Mac& mac) {
  std::string text;
  append(text, mac);
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

namespace {

void append_marks(std::string& text, const Neighbour& neighbour) {
  const std::size_t begin = text.size();
  const auto add = [&](std::string_view word) {
    if (text.size() != begin) text += ' ';
    text += word;
  };
  if (neighbour.flags & ntf::router) add("router");
  if (neighbour.flags & ntf::proxy) add("proxy");
  if (neighbour.flags & ntf::ext_learned) add("extern_learn");
  if (neighbour.ext_flags & ntf::ext_managed) add("managed");
  if (neighbour.ext_flags & ntf::ext_validated) add("extern_valid");
  if (neighbour.protocol) add("proto " + std::to_string(neighbour.protocol));
}

void append_seconds(std::string& text, std::uint32_t ms) {
  text.append(std::to_string(ms / 1000)) += '.';
  for (const std::uint32_t place : {100, 10, 1})
    text += static_cast<char>('0' + ms % 1000 / place % 10);
}

}  // namespace

std::string marks(const Neighbour& neighbour) {
  std::string text;
  append_marks(text, neighbour);
  return text;
}

void append_members(std::string& json, const Neighbour& neighbour, std::string_view state) {
  if (neighbour.lladdr) {
    append(json += R"(,"lladdr":")", *neighbour.lladdr);
    json += '"';
  }
  append_marks(json += R"(,"marks":")", neighbour);
  json.append(R"(","owner":")").append(owner_name(neighbour));
  json.append(R"(","state":")").append(state);
  append_seconds(json += R"(","confirmed_s":)", neighbour.confirmed_ms);
  append_seconds(json += R"(,"updated_s":)", neighbour.updated_ms);
  append_seconds(json += R"(,"used_s":)", neighbour.used_ms);
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
