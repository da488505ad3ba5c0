#include "netlink/socket.hpp"

#include "netlink/parse.hpp"

#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <thread>
#include <unistd.h>

namespace netlink {

static_assert(Socket::rtnetlink == NETLINK_ROUTE);

namespace {

constexpr std::size_t batch_size = 256;           // Measured: 32 to 1,024 to a send cost the same.
constexpr std::size_t receive_bytes = 64 * 1024;  // The kernel makes at most 32 KiB at a time.
constexpr int buffer_bytes = 8 * 1024 * 1024;     // A batch of nothing but errors takes 256 KiB.

void enter_namespace(const std::string& path) {
  if (path.empty()) {
    if (::unshare(CLONE_NEWNET) != 0)
      throw std::system_error(errno, std::system_category(), "cannot make a network namespace");
    return;
  }
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const int entered = fd < 0 ? -1 : ::setns(fd, CLONE_NEWNET);
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (entered != 0)
    throw std::system_error(error, std::system_category(),
                            "cannot enter the network namespace " + path);
}

void set_option(int fd, int level, int name, int value) noexcept {
  // Those who may not, or whose kernel does not know it, do without.
  ::setsockopt(fd, level, name, &value, sizeof value);
}

void set_buffer(int fd, int forced, int polite, int bytes) noexcept {
  if (::setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) == 0) return;
  set_option(fd, SOL_SOCKET, polite, bytes);
}

}  // namespace

std::error_code system_error(int positive_errno) noexcept {
  return {positive_errno, std::system_category()};
}

void run_in_namespace(const std::string& path, const std::function<void()>& work) {
  std::exception_ptr problem;
  std::thread([&] {
    try {
      enter_namespace(path);
      work();
    } catch (...) {
      problem = std::current_exception();
    }
  }).join();
  if (problem) std::rethrow_exception(problem);
}

void Socket::Closer::operator()(nl_sock* socket) const noexcept {
  nl_socket_free(socket);
}

Socket::Socket(const std::string& netns, int protocol)
    : socket_(nl_socket_alloc()), in_(receive_bytes) {
  if (!socket_) throw std::bad_alloc();
  int rc = 0;
  if (netns.empty()) {
    rc = nl_connect(socket_.get(), protocol);
  } else {
    run_in_namespace(netns, [&] { rc = nl_connect(socket_.get(), protocol); });
  }
  if (rc < 0)
    throw std::system_error(EIO, std::system_category(),
                            std::string("cannot open a netlink socket (") + nl_geterror(rc) + ")");
  set_buffer(fd(), SO_SNDBUFFORCE, SO_SNDBUF, buffer_bytes);
  set_receive_buffer(buffer_bytes);
  // A dump must hold what was asked for and nothing else; an error need not repeat its request.
  set_option(fd(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
  set_option(fd(), SOL_NETLINK, NETLINK_CAP_ACK, 1);
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

int Socket::fd() const noexcept {
  return nl_socket_get_fd(socket_.get());
}

std::uint32_t Socket::port() const noexcept {
  return nl_socket_get_local_port(socket_.get());
}

void Socket::set_receive_buffer(int bytes) noexcept {
  set_buffer(fd(), SO_RCVBUFFORCE, SO_RCVBUF, std::min(bytes, 1 << 29));
}

void Socket::join(int group) {
  if (const int rc = nl_socket_add_membership(socket_.get(), group); rc < 0)
    throw std::system_error(
        EIO, std::system_category(),
        std::string("cannot subscribe to the kernel's changes (") + nl_geterror(rc) + ")");
}

std::error_code Socket::transmit(Bytes bytes) noexcept {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  for (;;) {
    const ssize_t sent = ::sendto(fd(), bytes.data(), bytes.size(), 0,
                                  reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
    if (sent == static_cast<ssize_t>(bytes.size())) return {};
    if (sent >= 0) return system_error(EMSGSIZE);
    if (errno != EINTR) return system_error(errno);
  }
}

// rtnetlink answers while it is being sent to, so everything is there already: nothing to wait for,
// and an acknowledgement that is not there was lost.
std::error_code Socket::collect(std::size_t first, std::uint32_t first_sequence, std::uint32_t last,
                                std::vector<EntryError>& errors) {
  std::error_code lost;
  for (;;) {
    const ssize_t got = ::recv(fd(), in_.data(), in_.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {
      lost = system_error(ENOBUFS);
      continue;
    }
    if (got < 0) return lost ? lost : system_error(errno == EAGAIN ? ENODATA : errno);
    bool done = false;
    for_each_message(Bytes(in_).first(static_cast<std::size_t>(got)), [&](const MessageView& m) {
      if (m.type != NLMSG_ERROR) return;
      const auto error = parse_error(m.payload);
      if (!error || m.sequence - first_sequence > last - first_sequence) return;
      if (*error != 0)
        errors.push_back({first + (m.sequence - first_sequence), system_error(-*error)});
      done = done || m.sequence == last;
    });
    if (done) return lost;
  }
}

std::vector<EntryError> Socket::batch(std::size_t count, const Build& build) {
  std::vector<EntryError> errors;
  for (std::size_t first = 0; first < count; first += batch_size) {
    const std::size_t size = std::min(batch_size, count - first);
    const std::uint32_t first_sequence = sequence_;
    out_.clear();
    for (std::size_t i = 0; i < size; ++i) {
      const bool last = i + 1 == size;
      build(first + i, last ? NLM_F_REQUEST | NLM_F_ACK : NLM_F_REQUEST, sequence_++, out_);
    }
    const std::size_t errors_before = errors.size();
    std::error_code lost = transmit(out_);
    if (!lost) lost = collect(first, first_sequence, sequence_ - 1, errors);
    if (!lost) continue;
    errors.resize(
        errors_before);  // Which ones failed is not known, so all of them count as failed.
    for (std::size_t i = 0; i < size; ++i) errors.push_back({first + i, lost});
  }
  return errors;
}

std::error_code Socket::request(
    const std::function<void(std::uint16_t, std::uint32_t, std::vector<std::byte>&)>& build) {
  const auto errors = batch(1, [&](std::size_t, std::uint16_t flags, std::uint32_t sequence,
                                   std::vector<std::byte>& out) { build(flags, sequence, out); });
  return errors.empty() ? std::error_code() : errors.front().error;
}

std::error_code Socket::query(
    const std::function<void(std::uint32_t, std::vector<std::byte>&)>& build, bool dump,
    const Each& each) {
  const std::uint32_t sequence = sequence_++;
  out_.clear();
  build(sequence, out_);
  if (const std::error_code error = transmit(out_)) return error;

  bool interrupted = false;
  std::optional<int> answer;
  while (!answer) {
    const ssize_t got = ::recv(fd(), in_.data(), in_.size(), MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno == EAGAIN ? ETIMEDOUT : errno);
    if (static_cast<std::size_t>(got) > in_.size()) return system_error(EMSGSIZE);
    for_each_message(Bytes(in_).first(static_cast<std::size_t>(got)), [&](const MessageView& m) {
      if (m.sequence != sequence) return;
      interrupted = interrupted || (m.flags & NLM_F_DUMP_INTR) != 0;
      if (m.type == NLMSG_DONE || m.type == NLMSG_ERROR) {
        answer = parse_error(m.payload).value_or(0);
      } else {
        each(m.type, m.payload);
        if (!dump) answer = 0;
      }
    });
  }
  if (*answer != 0) return system_error(-*answer);
  return interrupted ? system_error(EAGAIN) : std::error_code();
}

std::uint64_t namespace_cookie() noexcept {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0) cookie = 0;
  ::close(fd);
  return cookie;
}

}  // namespace netlink
