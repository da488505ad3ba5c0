#include "iouring/departure.hpp"

#include <cstdint>
#include <cstring>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

namespace iouring {
namespace {

// The only kind that asks; the same bytes for every send, and nobody writes them.
struct Question {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint32_t))> bytes{};

  Question() noexcept {
    const cmsghdr header{.cmsg_len = CMSG_LEN(sizeof(std::uint32_t)),
                         .cmsg_level = SOL_SOCKET,
                         .cmsg_type = SO_TIMESTAMPING};
    const std::uint32_t flags = SOF_TIMESTAMPING_TX_SCHED;
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + CMSG_LEN(0), &flags, sizeof flags);
  }
};
const Question question;

}  // namespace

void Departure::clear() noexcept {
  message = {};
  message.msg_control = control.data();
  message.msg_controllen = control.size();
}

// io_uring leaves msg_controllen as the kernel filled it.
std::optional<WallInstant> Departure::at() const noexcept {
  auto* const all = const_cast<msghdr*>(&message);
  for (cmsghdr* one = CMSG_FIRSTHDR(all); one != nullptr; one = CMSG_NXTHDR(all, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_TIMESTAMPING) continue;
    if (one->cmsg_len < CMSG_LEN(sizeof(scm_timestamping))) continue;
    scm_timestamping stamps;
    std::memcpy(&stamps, CMSG_DATA(one), sizeof stamps);
    if (stamps.ts[0].tv_sec == 0) continue;
    return WallInstant(std::chrono::duration_cast<WallInstant::duration>(
        std::chrono::seconds(stamps.ts[0].tv_sec) +
        std::chrono::nanoseconds(stamps.ts[0].tv_nsec)));
  }
  return std::nullopt;
}

// Without the bytes of what was sent, which net.core.tstamp_allow_data may forbid to return.
void tell_departures(int fd) noexcept {
  const int flags = SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags);
}

void ask_for_departure(msghdr& message) noexcept {
  message.msg_control = const_cast<std::byte*>(question.bytes.data());
  message.msg_controllen = question.bytes.size();
}

}  // namespace iouring
