// The interfaces that discs are reached through, and their neighbour discovery settings: set once
// when the first disc uses an interface, put back when the keeper ends.
#pragma once

#include "head/neigh/snapshot.hpp"
#include "netlink/socket.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
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

// The settings before ours as text, a line for each interface, and back. Of another boot, or not
// understood: nothing. Pure.
using Originals = std::map<int, netlink::DeviceSettings>;  // By ifindex.
std::string to_text(const Originals& originals, std::string_view boot);
Originals parse_originals(std::string_view text, std::string_view boot);

class Devices {
 public:
  // `file`: where the settings as they were are kept, so that a run after one that was killed does
  // not take ours for them; "" for nowhere.
  explicit Devices(bool responder, std::string file = {});

  // Sets an interface that has not been seen yet. True when it asks by multicast again, without
  // which an NTF_EXT_VALIDATED entry keeps a wrong binding for ever.
  bool prepare(netlink::Socket& socket, int ifindex, const std::string& name);
  // Looks whether they are still as set, and sets them again.
  void recheck(netlink::Socket& socket);
  // The interface does not exist any more.
  void forget(int ifindex);
  void rename(int ifindex, const std::string& name);
  // Where validated entries remain (`validated`, by ifindex), asking by multicast again remains
  // too: nothing else heals such an entry once its binding is wrong.
  void restore(netlink::Socket& socket, const std::set<int>& validated);

  std::vector<DeviceStatus> status() const;

 private:
  void apply(netlink::Socket& socket, DeviceStatus& device);
  void keep_originals() const;

  const bool responder_;
  const std::string file_;
  Originals left_;  // By the run before.
  std::map<int, DeviceStatus> devices_;
};

}  // namespace head::neigh
