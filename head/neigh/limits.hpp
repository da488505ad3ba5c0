// The neighbour table's limits, raised to what the discs need and no further; read back, and looked
// at again every so often, because `sysctl --system` can undo them. What this headd has raised is
// lowered again, never below what it found when it began, once far less has been enough for a
// while, nobody else has written them since, and others do not fill the room.
#pragma once

#include "head/neigh/snapshot.hpp"
#include "netlink/socket.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace head::neigh {

class Limits {
 public:
  // `netns` is where they can be written: the initial network namespace. When that cannot be
  // entered, the limits are only read, and status().problem says so.
  Limits(const std::string& netns, std::uint32_t max);

  // Whether they are too low for `discs` entries of ours, `ours` of which are in the table already.
  // Reads the table; false as well when that fails, and status().problem says so.
  bool too_low(std::uint64_t discs, std::uint64_t ours);

  // Raises them if they are. True when they were.
  bool ensure(std::uint64_t discs, std::uint64_t ours);
  // Lowers them again where that is due; after too_low(), which says what is needed.
  void lower(std::chrono::steady_clock::time_point now);

  const TableStatus& status() const noexcept { return status_; }

 private:
  std::uint64_t others(std::uint64_t ours) const noexcept;
  bool write(const netlink::TableLimits& limits);
  void fail(std::string problem);

  std::uint32_t max_;
  netlink::Socket reader_;
  std::optional<netlink::Socket> writer_;
  std::string no_writer_;
  TableStatus status_;
  netlink::TableLimits needed_;   // As last compared; at least as they were at the start.
  bool looked_ = false;           // The table could be read, last.
  netlink::TableLimits written_;  // By us, last; zeros before.
  std::chrono::steady_clock::time_point much_less_since_{};  // Is needed; the epoch: it is not.
};

}  // namespace head::neigh
