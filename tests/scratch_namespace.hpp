// A network namespace of a test's own, with a veth pair in it, gone when the test is over. Tests
// that use it skip with a message where namespaces cannot be made.
#pragma once

#include "netlink/link.hpp"
#include "netlink/socket.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <system_error>
#include <thread>

namespace scratch {

// Runs a shell command in the calling thread's namespace; throws when it fails.
inline void sh(const std::string& command) {
  if (std::system(("{ " + command + "; } >/dev/null").c_str()) != 0)
    throw std::runtime_error("failed: " + command);
}

inline int ifindex_of(const std::string& name) {
  netlink::Socket socket;
  std::vector<netlink::Link> links;
  netlink::dump_links(socket, links);
  for (const auto& link : links)
    if (link.name == name) return link.ifindex;
  return 0;
}

// Calls `test(ifindex of "head0")` on a thread in a namespace with head0 and tail0, both up, head0
// with 2001:db8::1/64. What goes wrong there is thrown here.
inline void with_veth(const std::function<void(int)>& test) {
  try {
    netlink::run_in_namespace({}, [] {});
  } catch (const std::system_error& error) {
    WARN("skipped: " << error.what());
    return;
  }
  netlink::run_in_namespace({}, [&] {
    sh("ip link add head0 type veth peer name tail0");
    sh("ip link set lo up; ip link set head0 up; ip link set tail0 up");
    sh("ip -6 address add 2001:db8::1/64 dev head0 nodad");
    test(ifindex_of("head0"));
  });
}

// Waits, at most `limit`, until `condition` holds.
inline bool eventually(const std::function<bool()>& condition,
                       std::chrono::milliseconds limit = std::chrono::seconds(10)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace scratch
