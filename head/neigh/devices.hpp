// The interfaces that discs are reached through, and their neighbour discovery settings: set once
// when the first disc uses an interface, put back when the keeper ends.
#pragma once

#include "head/neigh/snapshot.hpp"
#include "netlink/socket.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace head::neigh {

// What suits discs: a wrong binding is found out within 1.3 s of its use, and whoever has the
// address is then asked for by multicast; entries outlive the loss of the carrier. Settings that
// are better already stay.
// With `responder`, the kernel asks us before it asks the network.
netlink::DeviceSettings suited(const netlink::DeviceSettings& now, bool responder = false) noexcept;

// What to leave behind: the settings as they were `before`, except what somebody else has changed
// since it was made to suit.
netlink::DeviceSettings put_back(const netlink::DeviceSettings& before,
                                 const netlink::DeviceSettings& now,
                                 bool responder = false) noexcept;

class Devices {
 public:
  explicit Devices(bool responder) noexcept : responder_(responder) {}

  // Sets an interface that has not been seen yet. True when it asks by multicast again, without
  // which an NTF_EXT_VALIDATED entry keeps a wrong binding for ever.
  bool prepare(netlink::Socket& socket, int ifindex, const std::string& name);
  // Looks whether they are still as set, and sets them again.
  void recheck(netlink::Socket& socket);
  // The interface does not exist any more.
  void forget(int ifindex) { devices_.erase(ifindex); }
  void rename(int ifindex, const std::string& name);
  // Where validated entries remain (`validated`, by ifindex), asking by multicast again remains
  // too: nothing else heals such an entry once its binding is wrong.
  void restore(netlink::Socket& socket, const std::set<int>& validated);

  std::vector<DeviceStatus> status() const;

 private:
  void apply(netlink::Socket& socket, DeviceStatus& device);

  const bool responder_;
  std::map<int, DeviceStatus> devices_;
};

}  // namespace head::neigh
