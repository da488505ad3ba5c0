#include "head/nbd/uri.hpp"

#include "head/base/utf8.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstring>
#include <net/if.h>
#include <optional>

namespace head::nbd {

namespace {

constexpr std::string_view form = "nbd://[IPV6-ADDRESS]:PORT/EXPORT";

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// RFC 3986, section 2.3.
bool is_unreserved(char c) {
  return is_alphanumeric(c) || (c != '\0' && std::strchr("-._~", c) != nullptr);
}

// RFC 3986, section 3.3: pchar, and the slash between segments.
bool is_path_character(char c) {
  return is_unreserved(c) || (c != '\0' && std::strchr("!$&'()*+,;=:@/", c) != nullptr);
}

// For a sentence: printable and of bounded length, whatever was typed.
std::string quoted(std::string_view text) {
  constexpr std::size_t shown_max = 96;
  std::string shown = "\"";
  for (const char c : text.substr(0, shown_max)) shown += c >= ' ' && c <= '~' ? c : '?';
  return shown + (text.size() > shown_max ? "...\"" : "\"");
}

Failure<std::string> refuse(std::string sentence) {
  return {std::move(sentence)};
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Nothing when a '%' is not followed by two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return decoded;
}

std::string percent_encode(std::string_view text, bool (*as_it_is)(char)) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (as_it_is(c)) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += digits[byte >> 4];
    encoded += digits[byte & 15];
  }
  return encoded;
}

std::optional<std::string> scheme_problem(std::string_view scheme) {
  std::string name(scheme);
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');

  if (name == "nbd") return std::nullopt;
  if (name == "nbds" || name == "nbds+unix")
    return "the scheme " + quoted(scheme) + " asks for TLS, which is not yet supported; write " +
           std::string(form) + " where the network between head and tail may be trusted";
  if (name == "nbd+unix")
    return "the scheme " + quoted(scheme) + " names a Unix socket, but a disc is remote; write " +
           std::string(form);
  return "the scheme " + quoted(scheme) + " is not an NBD one; write " + std::string(form);
}

// As the kernel's dev_valid_name() has it, so that a zone can be an interface at all.
bool is_interface_name(std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return c > ' ' && c <= '~' && c != '/' && c != ':'; });
}

// What stands between the brackets: address, then perhaps a zone after "%25" (RFC 6874), or after
// a bare "%" as people and getaddrinfo() write it. "%25" always means the percent sign.
std::optional<std::string> read_address(std::string_view host, Uri& uri) {
  const auto percent = host.find('%');
  if (percent != host.npos) {
    std::string_view zone = host.substr(percent + 1);
    std::optional<std::string> name(zone);
    if (zone.starts_with("25")) name = percent_decode(zone.substr(2));
    if (!name || !is_interface_name(*name))
      return "the zone id in " + quoted(host) +
             " is not an interface's name; write it as in [fe80::1%25eth0]";
    uri.zone = *name;
  }

  const std::string address(host.substr(0, percent));
  in6_addr parsed;
  if (address.find('\0') != address.npos || inet_pton(AF_INET6, address.c_str(), &parsed) != 1)
    return quoted(address) + " is not an IPv6 address; write " + std::string(form);
  if (IN6_IS_ADDR_V4MAPPED(&parsed))
    return quoted(address) +
           " is an IPv4 address in IPv6 clothes; discs have IPv6 addresses of "
           "their own, so give the tail one and write " +
           std::string(form);
  if (IN6_IS_ADDR_UNSPECIFIED(&parsed) || IN6_IS_ADDR_MULTICAST(&parsed))
    return quoted(address) + " is not the address of one host; write the tail's unicast address";
  std::memcpy(uri.address.data(), &parsed, sizeof parsed);
  return std::nullopt;
}

std::optional<std::string> read_port(std::string_view text, Uri& uri) {
  if (text.empty()) return std::nullopt;
  unsigned port = 0;
  const std::string_view digits = text.substr(1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (text[0] != ':')
    return "after the address stands " + quoted(text) + "; write " + std::string(form);
  if (digits.empty()) return std::nullopt;  // RFC 3986, section 3.2.3: as if the colon were absent.
  if (error != std::errc() || end != digits.data() + digits.size() || port == 0 || port > 65535)
    return "the port " + quoted(digits) + " is not a number from 1 to 65535; leave it out for " +
           std::to_string(default_port);
  uri.port = static_cast<std::uint16_t>(port);
  return std::nullopt;
}

std::optional<std::string> read_authority(std::string_view authority, Uri& uri) {
  if (authority.empty()) return "the URI names no address; write " + std::string(form);
  if (const auto at = authority.find('@'); at != authority.npos)
    return "the user name " + quoted(authority.substr(0, at)) +
           " has no use without TLS, which is not yet supported; leave it and the @ out";
  if (authority[0] != '[') {
    const std::string host(authority.substr(0, authority.find(':')));
    in_addr v4;
    if (inet_pton(AF_INET, host.c_str(), &v4) == 1)
      return quoted(host) +
             " is an IPv4 address; discs have IPv6 addresses of their own, so write " +
             std::string(form);
    if (std::count(authority.begin(), authority.end(), ':') > 1)
      return "the address in " + quoted(authority) + " lacks its brackets; write " +
             std::string(form);
    return quoted(host) +
           " is a host name, and names are not looked up, because a disc is its "
           "address; write " +
           std::string(form);
  }
  const auto close = authority.find(']');
  if (close == authority.npos)
    return "the address in " + quoted(authority) + " lacks its closing bracket; write " +
           std::string(form);
  if (auto problem = read_address(authority.substr(1, close - 1), uri)) return problem;
  return read_port(authority.substr(close + 1), uri);
}

std::optional<std::string> read_export_name(std::string_view path, Uri& uri) {
  if (path.empty()) return std::nullopt;
  path.remove_prefix(1);  // The one slash that separates; "//disk" names "/disk".

  const auto odd = std::find_if_not(path.begin(), path.end(),
                                    [](char c) { return c == '%' || is_path_character(c); });
  if (odd != path.end())
    return "the export name has the character " + quoted(std::string_view(&*odd, 1)) +
           ", which a URI cannot hold; write it as " + percent_encode({&*odd, 1}, is_unreserved);
  const auto name = percent_decode(path);
  if (!name)
    return "the export name " + quoted(path) +
           " has a % without two hexadecimal digits; write a percent sign as %25";
  if (name->find('\0') != name->npos)
    return "the export name " + quoted(path) +
           " holds a NUL character, which the protocol "
           "forbids; leave out %00";
  if (!is_utf8(*name))
    return "the export name " + quoted(path) +
           " is not UTF-8, which the protocol demands; "
           "encode its characters as UTF-8, then as %XX";
  if (name->size() > export_name_max)
    return "the export name has " + std::to_string(name->size()) +
           " bytes, and the protocol's "
           "limit is " +
           std::to_string(export_name_max) + "; give the export a shorter name";
  uri.export_name = *name;
  return std::nullopt;
}

}  // namespace

Result<Uri, std::string> parse_uri(std::string_view text) {
  const auto colon = text.find("://");
  if (colon == text.npos)
    return refuse(quoted(text) + " is not an NBD URI; write " + std::string(form));
  if (auto problem = scheme_problem(text.substr(0, colon))) return refuse(*problem);

  std::string_view rest = text.substr(colon + 3);
  if (const auto mark = rest.find_first_of("?#"); mark != rest.npos)
    return refuse("the part " + quoted(rest.substr(mark)) +
                  " says nothing that is understood for nbd://; leave it out, or write ? as %3F "
                  "and # as %23 in an export name");

  const auto slash = std::min(rest.find('/'), rest.size());
  Uri uri;
  if (auto problem = read_authority(rest.substr(0, slash), uri)) return refuse(*problem);
  if (auto problem = read_export_name(rest.substr(slash), uri)) return refuse(*problem);
  return uri;
}

std::string to_string(const Uri& uri) {
  std::array<char, INET6_ADDRSTRLEN> address{};
  inet_ntop(AF_INET6, uri.address.data(), address.data(), address.size());

  std::string text = std::string("nbd://[") + address.data();
  if (!uri.zone.empty()) text += "%25" + percent_encode(uri.zone, is_unreserved);
  text += ']';
  if (uri.port != default_port) text += ':' + std::to_string(uri.port);
  if (!uri.export_name.empty()) text += '/' + percent_encode(uri.export_name, is_path_character);
  return text;
}

}  // namespace head::nbd
