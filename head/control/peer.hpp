// Who is at the other end of a Unix socket, as the kernel vouches for it (unix(7), SO_PEERCRED and
// SO_PEERGROUPS: as they were when the other end connected).
#pragma once

#include <optional>
#include <sys/types.h>
#include <vector>

namespace head::control {

struct Peer {
  uid_t uid = 0;
  std::vector<gid_t> groups{};
};

// Nothing where the kernel does not say.
std::optional<Peer> peer_of(int socket);

// Whether a peer may change something: root, whoever headd itself runs as, and the members of
// `operators`; where that is absent, whoever was let in.
bool may_change(const std::optional<Peer>& peer, std::optional<gid_t> operators, uid_t ours);

}  // namespace head::control
