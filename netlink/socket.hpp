// One netlink socket, to rtnetlink mostly: requests in batches, dumps as a stream of messages, and
// the namespace it speaks to. Used by one thread at a time; every call returns when the kernel has
// answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <vector>

struct nl_sock;

namespace netlink {

using Bytes = std::span<const std::byte>;

// An entry of a batch that the kernel refused.
struct EntryError {
  std::size_t index = 0;  // Within what was asked for.
  std::error_code error;
};

// Runs `work` on a thread of its own in the network namespace at `path` ("/proc/1/ns/net"), or in a
// new empty one when `path` is empty. Rethrows what `work` throws; throws std::system_error when
// the namespace cannot be entered.
void run_in_namespace(const std::string& path, const std::function<void()>& work);

class Socket {
 public:
  static constexpr int rtnetlink = 0;  // NETLINK_ROUTE

  // Opens it in the namespace at `netns`, or in the caller's when that is empty; `protocol` is
  // rtnetlink, or another one of netlink(7). Throws std::system_error with a sentence.
  explicit Socket(const std::string& netns = {}, int protocol = rtnetlink);

  int fd() const noexcept;
  std::uint32_t port() const noexcept;  // The kernel's notifications name it as their cause.

  // Subscribes to an RTNLGRP_* group. Throws std::system_error.
  void join(int group);
  // As large as privileges allow; at most 2^30 bytes.
  void set_receive_buffer(int bytes) noexcept;

  // Sends `count` requests, each appended by `build(index, flags, sequence, out)`, hundreds to a
  // send, and asks for an acknowledgement of the last of each send only: the kernel reports what
  // failed without being asked.
  using Build =
      std::function<void(std::size_t, std::uint16_t, std::uint32_t, std::vector<std::byte>&)>;
  std::vector<EntryError> batch(std::size_t count, const Build& build);

  // One request with an acknowledgement.
  std::error_code request(const std::function<void(std::uint16_t flags, std::uint32_t sequence,
                                                   std::vector<std::byte>& out)>& build);

  // One request answered by one message or more. `each(type, payload)` sees the answers as they
  // come; the payload is valid during the call. A dump that the kernel calls inconsistent is
  // reported as EAGAIN at its end.
  using Each = std::function<void(std::uint16_t type, Bytes payload)>;
  std::error_code query(
      const std::function<void(std::uint32_t sequence, std::vector<std::byte>& out)>& build,
      bool dump, const Each& each);

 private:
  std::error_code transmit(Bytes bytes) noexcept;
  std::error_code collect(std::size_t first, std::uint32_t first_sequence, std::uint32_t last,
                          std::vector<EntryError>& errors);

  struct Closer {
    void operator()(nl_sock* socket) const noexcept;
  };
  std::unique_ptr<nl_sock, Closer> socket_;
  std::uint32_t sequence_ = 1;
  std::vector<std::byte> out_;
  std::vector<std::byte> in_;
};

std::error_code system_error(int positive_errno) noexcept;

// Which network namespace the caller is in, by a number that the kernel gives each of them
// (SO_NETNS_COOKIE, Linux 5.14). 0: this kernel does not tell.
std::uint64_t namespace_cookie() noexcept;

}  // namespace netlink
