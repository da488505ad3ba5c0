// One netlink message at a time, built with libnl in memory that is used again for the next one:
// bulk requests cost no allocation each. For the inside of this room; it includes libnl.
#pragma once

#include "netlink/neighbour.hpp"

#include <netlink/attr.h>
#include <netlink/msg.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace netlink {

class Message {
 public:
  // Up to 4 KiB with everything put into it; the room's own messages are a tenth of that.
  Message() : message_(nlmsg_alloc_size(4096)) {
    if (!message_) throw std::bad_alloc();
  }

  template <class Header>
  Message& start(int type, int flags, std::uint32_t sequence, const Header& header) {
    nlmsghdr* begin = nlmsg_hdr(message_.get());
    begin->nlmsg_len = NLMSG_HDRLEN;  // As nlmsg_alloc() leaves it: what was there is forgotten.
    check(nlmsg_put(message_.get(), NL_AUTO_PORT, sequence, type, 0, flags) != nullptr);
    check(nlmsg_append(message_.get(), const_cast<Header*>(&header), sizeof header,
                       NLMSG_ALIGNTO) == 0);
    begin->nlmsg_pid = 0;
    return *this;
  }

  Message& put(int type, const Ip6& value) { return put(type, value.data(), value.size()); }
  Message& put(int type, const Mac& value) { return put(type, value.data(), value.size()); }
  Message& put(int type, std::uint8_t value) { return put(type, &value, sizeof value); }
  Message& put(int type, std::uint32_t value) { return put(type, &value, sizeof value); }
  Message& put(int type, std::uint64_t value) { return put(type, &value, sizeof value); }
  Message& put(int type, const std::string& value) {
    return put(type, value.c_str(), value.size() + 1);
  }

  Message& open(int type) {
    nest_ = nla_nest_start(message_.get(), type);
    check(nest_ != nullptr);
    return *this;
  }
  Message& close() {
    nla_nest_end(message_.get(), nest_);
    return *this;
  }

  void append_to(std::vector<std::byte>& out) const {
    const nlmsghdr* begin = nlmsg_hdr(message_.get());
    const auto* bytes = reinterpret_cast<const std::byte*>(begin);
    out.insert(out.end(), bytes, bytes + begin->nlmsg_len);
    out.resize(NLMSG_ALIGN(out.size()));
  }

 private:
  Message& put(int type, const void* value, std::size_t size) {
    check(nla_put(message_.get(), type, static_cast<int>(size), value) == 0);
    return *this;
  }
  static void check(bool fits) {
    if (!fits) throw std::bad_alloc();
  }

  struct Free {
    void operator()(nl_msg* message) const noexcept { nlmsg_free(message); }
  };
  std::unique_ptr<nl_msg, Free> message_;
  nlattr* nest_ = nullptr;
};

}  // namespace netlink
