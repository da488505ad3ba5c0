// A network namespace of a test's own, with a veth pair in it, gone when the test is over. Tests
// that use it skip with a message where namespaces cannot be made.
#pragma once

#include "netlink/link.hpp"
#include "netlink/route.hpp"
#include "netlink/socket.hpp"
#include "tests/skip.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace scratch {

// Runs a shell command in the calling thread's namespace; throws when it fails.
inline void sh(const std::string& command) {
  if (std::system(("{ " + command + "; } >/dev/null").c_str()) != 0)
    throw std::runtime_error("failed: " + command);
}

// The link of that name in the calling thread's namespace; one without a number where there is
// none.
inline netlink::Link link_of(const std::string& name) {
  netlink::Socket socket;
  std::vector<netlink::Link> links;
  netlink::dump_links(socket, links);
  for (const auto& link : links)
    if (link.name == name) return link;
  return {};
}

inline int ifindex_of(const std::string& name) {
  return link_of(name).ifindex;
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

// Calls `test(ifindex of "head0")` on a thread in a namespace with head0 and tail0, both up, head0
// with 2001:db8::1/64. What goes wrong there is thrown here.
inline void with_veth(const std::function<void(int)>& test) {
  try {
    netlink::run_in_namespace({}, [] {});
  } catch (const std::system_error& error) {
    tests::skip(error.what());
    return;
  }
  netlink::run_in_namespace({}, [&] {
    sh("ip link add head0 type veth peer name tail0");
    sh("ip link set lo up; ip link set head0 up; ip link set tail0 up");
    sh("ip -6 address add 2001:db8::1/64 dev head0 nodad");
    // The kernel's routes for an address follow it a little later.
    netlink::Socket socket;
    const netlink::Ip6 own{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    const bool routed = eventually([&] {
      netlink::Route route;
      return !netlink::find_route(socket, own, 0, route) && route.local;
    });
    if (!routed) throw std::runtime_error("head0 does not get its address");
    test(ifindex_of("head0"));
  });
}

// Takes CAP_NET_ADMIN from the calling thread and from those that it starts.
inline void drop_net_admin() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) throw std::runtime_error("capget");
  data[CAP_TO_INDEX(CAP_NET_ADMIN)].effective &= ~CAP_TO_MASK(CAP_NET_ADMIN);
  if (::syscall(SYS_capset, &header, data) != 0) throw std::runtime_error("capset");
}

// A machine at the other end of the cable: a child process with a namespace of its own, into which
// tail0 is moved.
class Tail {
 public:
  Tail() {
    int ready[2];
    if (::pipe2(ready, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const char made = ::unshare(CLONE_NEWNET) == 0;
      if (::write(ready[1], &made, 1) == 1)
        for (;;) ::pause();
      ::_exit(1);
    }
    char made = 0;
    const bool answered = ::read(ready[0], &made, 1) == 1 && made;
    ::close(ready[0]);
    ::close(ready[1]);
    if (!answered) throw std::runtime_error("no namespace for the tail");
    scratch::sh("ip link set tail0 netns " + std::to_string(pid_));
    sh("ip link set lo up; ip link set tail0 up");
  }
  Tail(const Tail&) = delete;
  Tail& operator=(const Tail&) = delete;
  ~Tail() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  void sh(const std::string& command) const {
    scratch::sh("nsenter -n -t " + std::to_string(pid_) + " sh -c '" + quoted(command) + "'");
  }
  netlink::Mac lladdr() const {
    netlink::Mac found{};
    netlink::run_in_namespace("/proc/" + std::to_string(pid_) + "/ns/net",
                              [&] { found = link_of("tail0").lladdr.value_or(found); });
    return found;
  }

 private:
  static std::string quoted(const std::string& text) {
    std::string made;
    for (const char c : text) made += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return made;
  }

  ::pid_t pid_ = -1;
};

// As with_veth(), with tail0 in a namespace of its own.
inline void with_tail(const std::function<void(int, Tail&)>& test) {
  with_veth([&](int ifindex) {
    Tail tail;
    test(ifindex, tail);
  });
}

}  // namespace scratch
