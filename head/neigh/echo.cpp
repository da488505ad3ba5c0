#include "head/neigh/echo.hpp"

#include "iouring/unique_fd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace head::neigh {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int rounds = 3;
constexpr std::uint32_t ipv6_header = 40;
constexpr int buffer_bytes = 4 << 20;      // Answers are as large as questions.
constexpr std::size_t heard_most = 4'096;  // At once: anybody may send some.

iouring::UniqueFd open_socket() {
  iouring::UniqueFd fd(iouring::adopt,
                       ::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
  if (!fd) return fd;
  icmp6_filter filter;
  ICMP6_FILTER_SETBLOCKALL(&filter);
  ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
  ::setsockopt(fd.fd(), IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
  // As large as the interface takes, whatever was learned of the way.
  const int probe = IPV6_PMTUDISC_PROBE, whole = 1;
  ::setsockopt(fd.fd(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, &probe, sizeof probe);
  ::setsockopt(fd.fd(), IPPROTO_IPV6, IPV6_DONTFRAG, &whole, sizeof whole);
  for (const int which : {SO_RCVBUFFORCE, SO_SNDBUFFORCE})
    ::setsockopt(fd.fd(), SOL_SOCKET, which, &buffer_bytes, sizeof buffer_bytes);
  return fd;
}

class Echoes {
 public:
  Echoes(int fd, std::span<EchoTrial> trials) : fd_(fd), trials_(trials) {}

  bool all_answered() const noexcept {
    return std::all_of(trials_.begin(), trials_.end(), [](const EchoTrial& trial) {
      return !is_large(trial) || (trial.small && trial.large);
    });
  }

  void ask() {
    for (std::size_t i = 0; i < trials_.size(); ++i) {
      if (!is_large(trials_[i])) continue;
      if (!trials_[i].small) ask(i, EchoTrial::small_packet);
      if (!trials_[i].large) ask(i, trials_[i].packet);
      hear();
    }
  }

  void hear() noexcept {
    icmp6_hdr header;
    sockaddr_in6 from{};
    iovec part{.iov_base = &header, .iov_len = sizeof header};  // The rest is cut off.
    msghdr message{};
    message.msg_name = &from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    for (std::size_t i = 0; i < heard_most; ++i) {
      message.msg_namelen = sizeof from;
      const ssize_t got = ::recvmsg(fd_, &message, MSG_TRUNC);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return;
      if (static_cast<std::size_t>(got) < sizeof header || header.icmp6_id != id_) continue;
      const std::size_t number = ntohs(header.icmp6_seq);
      if (number >= trials_.size()) continue;
      EchoTrial& trial = trials_[number];
      if (!is_large(trial)) continue;
      if (std::memcmp(&from.sin6_addr, trial.address.data(), trial.address.size()) != 0) continue;
      const auto packet = static_cast<std::uint32_t>(got) + ipv6_header;
      trial.small |= packet == EchoTrial::small_packet;
      trial.large |= packet == trial.packet;
    }
  }

 private:
  static bool is_large(const EchoTrial& trial) noexcept {
    return trial.packet > EchoTrial::small_packet;
  }
  void ask(std::size_t number, std::uint32_t packet) {
    bytes_.assign(packet - ipv6_header, std::byte{0});
    icmp6_hdr header{};
    header.icmp6_type = ICMP6_ECHO_REQUEST;
    header.icmp6_id = id_;
    header.icmp6_seq = htons(static_cast<std::uint16_t>(number));
    std::memcpy(bytes_.data(), &header, sizeof header);
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    std::memcpy(&to.sin6_addr, trials_[number].address.data(), sizeof to.sin6_addr);
    // The kernel fills the checksum in.
    const ssize_t sent = ::sendto(fd_, bytes_.data(), bytes_.size(), MSG_DONTWAIT,
                                  reinterpret_cast<const sockaddr*>(&to), sizeof to);
    // What is too large for the interface by now (EMSGSIZE) its connections do not send any more
    // either. ENOBUFS is what a virtual interface says where the other end drops it.
    const bool left = sent > 0 || errno == ENOBUFS;
    if (left && packet == trials_[number].packet) ++trials_[number].sent;
  }

  const int fd_;
  const std::span<EchoTrial> trials_;
  const std::uint16_t id_ = static_cast<std::uint16_t>(Clock::now().time_since_epoch().count() ^
                                                       static_cast<std::int64_t>(::getpid()));
  std::vector<std::byte> bytes_;
};

}  // namespace

bool EchoTrial::swallows_large() const noexcept {
  return small && !large && sent == rounds;
}

std::error_code try_echoes(std::span<EchoTrial> trials, std::chrono::milliseconds patience) {
  const iouring::UniqueFd fd = open_socket();
  if (!fd) return {errno, std::system_category()};
  Echoes echoes(fd.fd(), trials);
  for (int round = 0; round < rounds && !echoes.all_answered(); ++round) {
    echoes.ask();
    const auto end = Clock::now() + patience / rounds;
    for (;;) {
      echoes.hear();
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
      if (echoes.all_answered() || left.count() <= 0) break;
      pollfd ready{.fd = fd.fd(), .events = POLLIN, .revents = 0};
      ::poll(&ready, 1, static_cast<int>(left.count()));
    }
  }
  return {};
}

}  // namespace head::neigh
