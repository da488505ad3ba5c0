// An IP address and a port to listen at, as head.toml writes it: "[::1]:9847", "127.0.0.1:9847".
// And which names of a host mean an address by itself.
#pragma once

#include "iouring/unique_fd.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace head::control {

struct ListenAddress {
  bool v6 = true;
  std::array<std::uint8_t, 16> address{};  // The first four, if it is IPv4.
  std::uint16_t port = 0;                  // 0: any that is free.

  bool operator==(const ListenAddress&) const = default;
};

// Nothing when it is none; the port is from 1 to 65535.
std::optional<ListenAddress> parse_listen_address(std::string_view text);
std::string to_string(const ListenAddress& address);

// Whether `host`, a Host header's value, is a literal address or localhost, with or without a port.
// What it says instead of such a one is somebody's name, and names can be made to lead anywhere.
bool is_plain_host(std::string_view host);

// A listening TCP socket there. Throws std::system_error.
iouring::UniqueFd listen_at(const ListenAddress& address, int backlog);
// Where it listens.
ListenAddress address_of(const iouring::UniqueFd& listener);

}  // namespace head::control
