// What one process hands to the next of a disc: what is known of it, its connections to the tail,
// and its guests, so that they notice nothing: their sockets and what of the conversation is in
// flight, as bytes of the two streams and nothing else.
//
//   said     what the guest has said and was not answered: its unanswered requests, each whole with
//            its payload, then what has come of the next one. Whoever goes on reads this first,
//            then the socket.
//   unsent   what is left of the answers that were begun. It is sent before anything else.
//
// A socket that no descriptor can be made of, as there are too many, stays in the loop that has it:
// `stays` is for that loop alone, which may take it back.
//
// So a request that is not answered is simply asked again, and there is one parser, the session's.
#pragma once

#include "head/export/server_handshake.hpp"
#include "head/nbd/handed_connection.hpp"
#include "head/nbd/legacy.hpp"
#include "iouring/io.hpp"
#include "iouring/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace head::exports {

struct HandedSession {
  iouring::UniqueFd socket{};
  iouring::Socket stays{};
  std::uint64_t cookie = 0;  // The socket's (SO_COOKIE): the kernel's name for it.
  std::uint64_t size = 0;    // Of the disc, as the guest knows it; 0: it does not.
  Terms terms{};             // Agreed on, where no handshake is under way.
  std::optional<ServerHandshake::Pause> handshake{};
  std::vector<std::byte> said{};
  std::vector<std::byte> unsent{};
  bool owes_flush_error = false;  // At its guest's next FLUSH or FUA.
};

struct HandedDisc {
  std::string name;
  iouring::UniqueFd listener{};
  iouring::Socket listener_stays{};
  std::uint64_t cookie = 0;
  std::vector<HandedSession> sessions{};
  nbd::Legacy legacy{};
  std::vector<nbd::HandedConnection> connections{};  // To the tail; those that could go along.
};

// Nobody goes on with what stays in this loop.
inline void close_staying(iouring::Io& io, HandedDisc& disc) noexcept {
  const auto close = [&io](iouring::Socket& socket) {
    if (socket) io.close(std::exchange(socket, {}), false);
  };
  close(disc.listener_stays);
  for (HandedSession& session : disc.sessions) close(session.stays);
}

}  // namespace head::exports
