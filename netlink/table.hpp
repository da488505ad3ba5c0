// The kernel's IPv6 neighbour table: read as a stream, written in batches. Everything here does
// what it is told; what is to be written is decided elsewhere. One thread at a time.
#pragma once

#include "netlink/neighbour.hpp"
#include "netlink/socket.hpp"

#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

namespace netlink {

class Table {
 public:
  explicit Table(const std::string& netns = {}) : socket_(netns) {}

  Socket& socket() noexcept { return socket_; }

  // Whether the kernel lets this socket change its table; EPERM without CAP_NET_ADMIN. Changes
  // nothing.
  std::error_code permission();

  // All entries, or one interface's, sorted by key; `into` is replaced. Needs no privilege.
  std::error_code dump(std::vector<Neighbour>& into, int ifindex = 0);

  // ENOENT when there is none.
  std::error_code get(const NeighbourKey& key, Neighbour& into);

  // Those of the keys that have an entry, sorted by key; `into` is replaced. More than a few keys
  // cost as much as a dump.
  std::error_code get(std::span<const NeighbourKey> keys, std::vector<Neighbour>& into);

  // Creates or replaces, marked as ours and exempt from garbage collection. A fresh one is never
  // replaced: EEXIST says that somebody was faster. Returns what failed.
  std::vector<EntryError> set(std::span<const Entry> entries);

  // An entry that is not there counts as removed. Looks at no mark: only give it ours.
  std::vector<EntryError> remove(std::span<const NeighbourKey> keys);

  // Makes the kernel ask the network now, without any traffic, for entries that have no usable
  // link-layer address; the entry is marked as ours and exempt meanwhile. EEXIST as for set().
  std::vector<EntryError> resolve(std::span<const Question> questions);

 private:
  Socket socket_;
};

// The whole table of the caller's namespace, or one interface's part, for those who only look.
std::error_code dump(std::vector<Neighbour>& into, int ifindex = 0);

}  // namespace netlink
