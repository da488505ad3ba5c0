// What goes beside the document: sockets, found again by the kernel's name for each; and the
// document itself, as a file in memory.
#include "head/control/handover.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unordered_map>
#include <utility>

namespace head::control {

using exports::HandedDisc;
using exports::HandedSession;

namespace {

constexpr std::uint64_t document_max = std::uint64_t{64} << 30;

}  // namespace

std::uint64_t cookie_of(int socket) noexcept {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) return 0;
  return cookie;
}

void note_cookies(std::vector<HandedDisc>& discs) noexcept {
  for (HandedDisc& disc : discs) {
    if (disc.listener) disc.cookie = cookie_of(disc.listener.fd());
    for (HandedSession& session : disc.sessions)
      if (session.socket) session.cookie = cookie_of(session.socket.fd());
    for (nbd::HandedConnection& connection : disc.connections)
      if (connection.socket) connection.cookie = cookie_of(connection.socket.fd());
  }
}

std::size_t take_descriptors(std::vector<HandedDisc>& discs,
                             std::vector<iouring::UniqueFd> descriptors) {
  std::unordered_map<std::uint64_t, iouring::UniqueFd> by_cookie;
  for (iouring::UniqueFd& fd : descriptors) {
    const std::uint64_t cookie = cookie_of(fd.fd());
    if (cookie != 0) by_cookie[cookie] = std::move(fd);
  }
  const auto take = [&](std::uint64_t cookie) {
    const auto at = by_cookie.find(cookie);
    return at == by_cookie.end() ? iouring::UniqueFd() : std::move(at->second);
  };
  std::size_t without = 0;
  for (HandedDisc& disc : discs) {
    if (disc.cookie != 0) disc.listener = take(disc.cookie);
    for (HandedSession& session : disc.sessions) session.socket = take(session.cookie);
    without += std::erase_if(disc.sessions, [](const auto& session) { return !session.socket; });
    for (nbd::HandedConnection& connection : disc.connections)
      connection.socket = take(connection.cookie);
    std::erase_if(disc.connections, [](const auto& connection) { return !connection.socket; });
  }
  return without;
}

std::vector<int> descriptors_of(std::span<const HandedDisc> discs) {
  std::vector<int> all;
  for (const HandedDisc& disc : discs)
    for (const HandedSession& session : disc.sessions)
      if (session.socket) all.push_back(session.socket.fd());
  for (const HandedDisc& disc : discs)
    if (disc.listener) all.push_back(disc.listener.fd());
  for (const HandedDisc& disc : discs)
    for (const nbd::HandedConnection& connection : disc.connections)
      if (connection.socket) all.push_back(connection.socket.fd());
  return all;
}

std::size_t count_staying(std::span<const HandedDisc> discs) noexcept {
  std::size_t count = 0;
  for (const HandedDisc& disc : discs) {
    count += disc.listener_stays ? 1 : 0;
    for (const HandedSession& session : disc.sessions) count += session.stays ? 1 : 0;
  }
  return count;
}

iouring::UniqueFd memory_file(std::span<const std::byte> bytes) noexcept {
  iouring::UniqueFd fd(iouring::adopt, ::memfd_create("headd-handover", MFD_CLOEXEC));
  while (fd && !bytes.empty()) {
    const ssize_t written = ::write(fd.fd(), bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return {};
    if (written > 0) bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return fd;
}

Result<std::vector<std::byte>, std::string> read_memory_file(int fd) {
  struct stat about {};
  if (::fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size < 0 ||
      static_cast<std::uint64_t>(about.st_size) > document_max)
    return Failure{std::string("what was handed over is not a file in memory; restart headd")};
  std::vector<std::byte> bytes(static_cast<std::size_t>(about.st_size));
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t got = ::pread(fd, bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      return Failure{fmt::format("what was handed over cannot be read: {}; restart headd",
                                 got < 0 ? std::strerror(errno) : "it is too short")};
    at += static_cast<std::size_t>(got);
  }
  return bytes;
}

}  // namespace head::control
