#include "head/control/upgrade_channel.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <system_error>
#include <utility>

namespace head::control {

namespace {

constexpr std::size_t message_max = 2048;
constexpr timeval patience{.tv_sec = 3, .tv_usec = 0};

using Control = std::array<char, CMSG_SPACE(sizeof(int) * UpgradeChannel::descriptors_max)>;

}  // namespace

std::pair<UpgradeChannel, iouring::UniqueFd> UpgradeChannel::pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw std::system_error(errno, std::generic_category(), "a socket for the next headd");
  ::setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return {UpgradeChannel(iouring::UniqueFd(iouring::adopt, ends[0])),
          iouring::UniqueFd(iouring::adopt, ends[1])};
}

bool UpgradeChannel::say(std::string_view word, std::string_view sentence,
                         std::span<const int> descriptors) const noexcept {
  std::array<char, message_max> text{};
  const std::size_t head = std::min(word.size(), text.size() / 2);
  const std::size_t tail = std::min(sentence.size(), text.size() - head - 1);
  std::memcpy(text.data(), word.data(), head);
  text[head] = ' ';
  if (tail != 0) std::memcpy(text.data() + head + 1, sentence.data(), tail);
  iovec part{.iov_base = text.data(), .iov_len = head + 1 + tail};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) Control control{};
  if (descriptors.size() > descriptors_max) return false;
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr& header = *CMSG_FIRSTHDR(&message);
    header.cmsg_level = SOL_SOCKET;
    header.cmsg_type = SCM_RIGHTS;
    header.cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(&header), descriptors.data(), descriptors.size_bytes());
  }
  ssize_t sent = 0;
  do sent = ::sendmsg(socket_.fd(), &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

void UpgradeChannel::end() const noexcept {
  ::shutdown(socket_.fd(), SHUT_RDWR);
}

bool UpgradeChannel::is_over() const noexcept {
  char nothing = 0;
  const ssize_t got = ::recv(socket_.fd(), &nothing, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

std::optional<UpgradeChannel::Message> UpgradeChannel::hear(
    std::chrono::steady_clock::time_point until) const {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      until - std::chrono::steady_clock::now());
  pollfd wait{.fd = socket_.fd(), .events = POLLIN, .revents = 0};
  const int most = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 600'000));
  if (::poll(&wait, 1, most) <= 0) return std::nullopt;

  std::array<char, message_max> text{};
  iovec part{.iov_base = text.data(), .iov_len = text.size()};
  alignas(cmsghdr) Control control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket_.fd(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got <= 0) return std::nullopt;
  Message heard;
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    std::array<int, descriptors_max> numbers{};
    const std::size_t bytes = std::min(at->cmsg_len - CMSG_LEN(0), sizeof numbers);
    std::memcpy(numbers.data(), CMSG_DATA(at), bytes);
    for (std::size_t i = 0; i < bytes / sizeof(int); ++i)
      heard.descriptors.emplace_back(iouring::adopt, numbers[i]);
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) return std::nullopt;  // Some could not be made.
  const std::string_view said(text.data(), static_cast<std::size_t>(got));
  const std::size_t space = std::min(said.find(' '), said.size());
  heard.word = said.substr(0, space);
  if (space < said.size()) heard.sentence = said.substr(space + 1);
  return heard;
}

}  // namespace head::control
