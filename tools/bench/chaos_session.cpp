#include "tools/bench/chaos_session.hpp"

#include "tests/check/pattern.hpp"

#include <cerrno>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace bench::chaos {

using namespace nbd_bytes;

namespace {

// FLUSH, FUA, TRIM, WRITE_ZEROES, CAN_MULTI_CONN
constexpr std::uint16_t offered = 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 8;
constexpr std::size_t payload_max = 1 << 20;

}  // namespace

bool Session::is_delivered() const {
  int queued = 0;
  return out_.empty() && ::ioctl(fd_.fd(), SIOCOUTQ, &queued) == 0 && queued == 0;
}

void Session::greet() {
  if (state_ != State::silent) return;
  put<std::uint64_t>(out_, greeting_magic);
  put<std::uint64_t>(out_, option_magic);
  put<std::uint16_t>(out_, 3);  // Fixed newstyle, no zeroes.
  state_ = State::flags;
}

void Session::receive() {
  in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(std::exchange(used_, 0)));
  std::byte buffer[65536];
  while (!ended_) {
    const ssize_t size = ::recv(fd_.fd(), buffer, sizeof buffer, 0);
    gone_ = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
    if (size <= 0) break;
    in_.insert(in_.end(), buffer, buffer + size);
  }
}

std::optional<Request> Session::next() {
  while (!ended_ && state_ != State::silent && state_ != State::serving) {
    const auto bytes = std::span<const std::byte>(in_).subspan(used_);
    const std::size_t more = state_ == State::options ? on_option(bytes) : bytes.size() < 4 ? 0 : 4;
    if (more == 0) break;
    if (state_ == State::flags) state_ = State::options;
    used_ += more;
  }
  const auto bytes = std::span<const std::byte>(in_).subspan(used_);
  if (ended_ || state_ != State::serving || bytes.size() < request_size) return std::nullopt;
  Request request{.flags = get<std::uint16_t>(bytes, 4),
                  .type = get<std::uint16_t>(bytes, 6),
                  .cookie = get<std::uint64_t>(bytes, 8),
                  .offset = get<std::uint64_t>(bytes, 16),
                  .length = get<std::uint32_t>(bytes, 24),
                  .payload = {}};
  if (get<std::uint32_t>(bytes, 0) != request_magic || request.type == cmd_disconnect ||
      is_wrong(request)) {
    end();
    return std::nullopt;
  }
  const std::size_t size = request_size + (request.type == cmd_write ? request.length : 0);
  if (bytes.size() < size) return std::nullopt;
  request.payload.assign(bytes.begin() + request_size,
                         bytes.begin() + static_cast<std::ptrdiff_t>(size));
  used_ += size;
  return request;
}

bool Session::is_wrong(const Request& request) const {
  const bool data = request.type == cmd_write || request.type == cmd_read;
  if (!data && !request.is_change()) return false;
  return (data && request.length > payload_max) || request.offset > bytes_ ||
         request.length > bytes_ - request.offset ||
         (request.offset | request.length) % check::sector_bytes != 0;
}

std::size_t Session::on_option(std::span<const std::byte> bytes) {
  if (bytes.size() < 16) return 0;
  const auto option = get<std::uint32_t>(bytes, 8), length = get<std::uint32_t>(bytes, 12);
  if (get<std::uint64_t>(bytes, 0) != option_magic || length > 65536) {
    end();
    return 0;
  }
  if (bytes.size() < 16 + length) return 0;
  const auto reply = [&](std::uint32_t type, std::uint32_t size) {
    put<std::uint64_t>(out_, 0x3e889045565a9);
    put<std::uint32_t>(out_, option);
    put<std::uint32_t>(out_, type);
    put<std::uint32_t>(out_, size);
  };
  constexpr std::uint32_t export_name = 1, abort = 2, info = 6, go = 7;
  if (option == abort) {
    end();
  } else if (option == export_name) {
    put<std::uint64_t>(out_, bytes_);
    put<std::uint16_t>(out_, offered);
    state_ = State::serving;
  } else if (option == info || option == go) {
    reply(3, 12);  // NBD_REP_INFO: NBD_INFO_EXPORT
    put<std::uint16_t>(out_, 0);
    put<std::uint64_t>(out_, bytes_);
    put<std::uint16_t>(out_, offered);
    reply(1, 0);  // NBD_REP_ACK
    if (option == go) state_ = State::serving;
  } else {
    reply(0x8000'0001, 0);  // NBD_REP_ERR_UNSUP
  }
  return 16 + length;
}

void Session::reply(const Bytes& bytes) {
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}

void Session::send(bool byte_by_byte) {
  while (!out_.empty()) {
    const std::size_t most = byte_by_byte ? 1 : out_.size();
    const ssize_t size = ::send(fd_.fd(), out_.data(), most, MSG_NOSIGNAL);
    if (size < 0 && errno != EAGAIN) out_.clear();
    if (size <= 0) return;
    out_.erase(out_.begin(), out_.begin() + size);
    if (byte_by_byte) return;  // The next one in the next round.
  }
}

void Session::end(bool last_words) {
  ended_ = true;
  last_words_ |= last_words;
}

void Session::close_if_over() {
  if (gone_ || (ended_ && (!last_words_ || out_.empty()))) fd_ = {};
}

}  // namespace bench::chaos
