#include "head/control/peer.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>

namespace head::control {

std::optional<Peer> peer_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  Peer peer{.uid = credentials.uid, .groups = std::vector<gid_t>(64)};
  for (;;) {
    size = static_cast<socklen_t>(peer.groups.size() * sizeof(gid_t));
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &size) == 0) break;
    if (errno != ERANGE) return std::nullopt;
    peer.groups.resize(size / sizeof(gid_t));  // So many there are.
  }
  peer.groups.resize(size / sizeof(gid_t));
  peer.groups.push_back(credentials.gid);
  return peer;
}

bool may_change(const std::optional<Peer>& peer, std::optional<gid_t> operators, uid_t ours) {
  if (!operators) return true;
  if (!peer) return false;
  return peer->uid == 0 || peer->uid == ours ||
         std::find(peer->groups.begin(), peer->groups.end(), *operators) != peer->groups.end();
}

}  // namespace head::control
