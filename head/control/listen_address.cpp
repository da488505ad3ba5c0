#include "head/control/listen_address.hpp"

#include "iouring/socket.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

namespace head::control {

namespace {

struct HostAndPort {
  std::string host;  // Without brackets.
  bool brackets = false;
  std::optional<std::string_view> port{};
};

// HOST, HOST:PORT, [HOST] or [HOST]:PORT.
std::optional<HostAndPort> split(std::string_view text) {
  HostAndPort parts;
  std::string_view after;
  if (!text.empty() && text.front() == '[') {
    const auto end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    parts.host = text.substr(1, end - 1);
    parts.brackets = true;
    after = text.substr(end + 1);
  } else {
    const auto end = std::min(text.find(':'), text.size());
    parts.host = text.substr(0, end);
    after = text.substr(end);
  }
  if (after.empty()) return parts;
  if (after.front() != ':') return std::nullopt;
  parts.port = after.substr(1);
  return parts;
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

// As C has it: a text that holds a null byte ends there, and is no address.
bool read_address(const HostAndPort& parts, ListenAddress& into) {
  if (parts.host.find('\0') != std::string::npos) return false;
  into.v6 = parts.brackets;
  return ::inet_pton(into.v6 ? AF_INET6 : AF_INET, parts.host.c_str(), into.address.data()) == 1;
}

}  // namespace

std::optional<ListenAddress> parse_listen_address(std::string_view text) {
  const auto parts = split(text);
  const auto port = parts && parts->port ? port_of(*parts->port) : std::nullopt;
  ListenAddress address;
  if (!port || !read_address(*parts, address)) return std::nullopt;
  address.port = *port;
  return address;
}

std::string to_string(const ListenAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(address.v6 ? AF_INET6 : AF_INET, address.address.data(), text.data(), text.size());
  return address.v6 ? fmt::format("[{}]:{}", text.data(), address.port)
                    : fmt::format("{}:{}", text.data(), address.port);
}

bool is_plain_host(std::string_view host) {
  const auto parts = split(host);
  if (!parts || (parts->port && !port_of(*parts->port))) return false;
  std::string name = parts->host;
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  ListenAddress ignored;
  return (!parts->brackets && name == "localhost") || read_address(*parts, ignored);
}

iouring::UniqueFd listen_at(const ListenAddress& address, int backlog) {
  sockaddr_storage where{};
  if (address.v6) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(where);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    std::memcpy(&v6.sin6_addr, address.address.data(), 16);
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(where);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    std::memcpy(&v4.sin_addr, address.address.data(), 4);
  }
  return iouring::tcp_listener(where, backlog);
}

ListenAddress address_of(const iouring::UniqueFd& listener) {
  sockaddr_storage where{};
  socklen_t size = sizeof where;
  ListenAddress address;
  if (::getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&where), &size) != 0) return address;
  address.v6 = where.ss_family == AF_INET6;
  if (address.v6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(where);
    address.port = ntohs(v6.sin6_port);
    std::memcpy(address.address.data(), &v6.sin6_addr, 16);
  } else {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(where);
    address.port = ntohs(v4.sin_port);
    std::memcpy(address.address.data(), &v4.sin_addr, 4);
  }
  return address;
}

}  // namespace head::control
