// The API's real server on a real Unix socket, over an agent with a fake keeper and fake data
// threads; and what its clients say and hear, as bytes.
#pragma once

#include "head/control/api_server.hpp"
#include "tests/control_fakes.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>

namespace head::test {

// One answer.
struct Heard {
  int status = 0;
  std::string raw;   // All of it.
  std::string text;  // Its body.
};

inline void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // The server has heard enough.
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

// Reads one answer, by its Content-Length; empty when the server closed without one.
inline std::optional<Heard> read_reply(int fd) {
  Heard heard;
  char piece[4096];
  std::size_t whole = std::string::npos;
  std::size_t header = std::string::npos;
  while (heard.raw.size() < whole) {
    pollfd ready{fd, POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 20'000) == 1);
    const ssize_t got = ::recv(fd, piece, sizeof piece, 0);
    if (got <= 0) break;
    heard.raw.append(piece, static_cast<std::size_t>(got));
    if (header != std::string::npos) continue;
    header = heard.raw.find("\r\n\r\n");
    if (header == std::string::npos) continue;
    const std::size_t at = heard.raw.find("Content-Length: ");
    REQUIRE(at < header);
    whole = header + 4 + std::stoul(heard.raw.substr(at + 16));
  }
  if (heard.raw.size() < whole) return std::nullopt;
  heard.status = std::stoi(heard.raw.substr(9));
  heard.text = heard.raw.substr(header + 4);
  return heard;
}

struct Daemon : Head {
  explicit Daemon(std::size_t most_discs = 100) : Head(2, most_discs) {
    server = std::make_unique<control::ApiServer>(
        *agent, control::Api::Options{.run_dir = folder.path, .version = "test"},
        iouring::UnixAccess{.mode = 0600});
  }

  iouring::UniqueFd connect() const {
    iouring::UniqueFd fd(iouring::adopt, ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    server->path().native().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::connect(fd.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return fd;
  }
  // Sends these bytes, whatever they are.
  Heard raw(std::string_view bytes) const { return raw(connect(), bytes); }
  static Heard raw(const iouring::UniqueFd& fd, std::string_view bytes) {
    send_all(fd.fd(), bytes);
    auto heard = read_reply(fd.fd());
    REQUIRE(heard);
    return *heard;
  }
  Heard ask(std::string_view method, std::string_view path, std::string_view body = "") const {
    return raw(fmt::format("{} {} HTTP/1.1\r\nHost: head\r\nContent-Length: {}\r\n\r\n{}", method,
                           path, body.size(), body));
  }

  std::unique_ptr<control::ApiServer> server;
};

}  // namespace head::test
