#include "tools/bench/load_client.hpp"

#include "head/base/big_endian.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>
#include <type_traits>

namespace bench {
namespace {

// "Newstyle negotiation", "Request message" and "Simple reply message" of doc/proto.md, of which
// this needs one path: fixed newstyle, EXPORT_NAME, simple replies.
constexpr std::size_t greeting_size = 18;
constexpr std::size_t export_size = 10;
constexpr std::size_t reply_size = 16;
constexpr std::uint64_t greeting_magic = 0x4e42444d41474943;  // NBDMAGIC
constexpr std::uint64_t option_magic = 0x49484156454f5054;    // IHAVEOPT
constexpr std::uint32_t request_magic = 0x25609513;
constexpr std::uint32_t reply_magic = 0x67446698;

template <class T>
T load(std::span<const std::byte> bytes, std::size_t at) {
  head::BigEndian<T> value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <class T>
void store(std::vector<std::byte>& to, std::type_identity_t<T> value) {
  const auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(head::BigEndian<T>(value));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

}  // namespace

bool LoadClient::connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = socket_.string();
  if (name.size() >= sizeof address.sun_path) fail("its path is too long for a socket");
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  iouring::UniqueFd fd(iouring::adopt,
                       ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) fail(std::string("no socket: ") + std::strerror(errno));
  if (::connect(fd.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EAGAIN) return false;
    fail(std::strerror(errno));
  }
  fd_ = std::move(fd);
  state_ = State::greeting;
  return true;
}

void LoadClient::disconnect() {
  fd_ = {};
  state_ = State::idle;
  in_.clear();
  out_.clear();
  sent_ = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (taken_[i]) waiting_.push_front(slots_[i]);
    taken_[i] = false;
  }
}

bool LoadClient::ask(const Ask& ask) {
  if (waiting_.size() >= waiting_max) return false;
  waiting_.push_back(ask);
  if (!ready()) return true;
  issue();
  send();
  return true;
}

void LoadClient::on_event(std::vector<Answer>& answers) {
  receive(answers);
  if (ready()) issue();
  send();
}

void LoadClient::receive(std::vector<Answer>& answers) {
  std::byte buffer[65536];
  for (;;) {
    const ssize_t size = ::recv(fd(), buffer, sizeof buffer, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size == 0) fail("the server ended the session");
    if (size < 0) fail(std::strerror(errno));
    in_.insert(in_.end(), buffer, buffer + size);
    std::size_t used = 0;
    while (const std::size_t more = parse(std::span(in_).subspan(used), answers)) used += more;
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(used));
  }
}

// Takes one message off the front; the bytes it had, 0 when it is not whole yet.
std::size_t LoadClient::parse(std::span<const std::byte> bytes, std::vector<Answer>& answers) {
  switch (state_) {
    case State::idle:
      return 0;
    case State::greeting:
      if (bytes.size() < greeting_size) return 0;
      if (load<std::uint64_t>(bytes, 0) != greeting_magic) fail("this is no NBD server");
      store<std::uint32_t>(out_, 3);  // Fixed newstyle, no zeroes.
      store<std::uint64_t>(out_, option_magic);
      store<std::uint32_t>(out_, 1);  // NBD_OPT_EXPORT_NAME, the default export
      store<std::uint32_t>(out_, 0);
      state_ = State::size;
      return greeting_size;
    case State::size:
      if (bytes.size() < export_size) return 0;
      disc_bytes_ = load<std::uint64_t>(bytes, 0);
      if (disc_bytes_ < request_bytes) fail("the disc is too small");
      state_ = State::ready;
      return export_size;
    case State::ready:
      return on_reply(bytes, answers);
  }
  return 0;
}

std::size_t LoadClient::on_reply(std::span<const std::byte> bytes, std::vector<Answer>& answers) {
  if (bytes.size() < reply_size) return 0;
  if (load<std::uint32_t>(bytes, 0) != reply_magic) fail("a reply has the wrong magic");
  const auto error = load<std::uint32_t>(bytes, 4);
  const auto cookie = load<std::uint64_t>(bytes, 8);
  if (cookie >= slots_.size() || !taken_[cookie]) fail("a reply to nothing that was asked");
  const Ask& ask = slots_[cookie];
  const std::size_t whole = reply_size + (ask.write || error != 0 ? 0 : request_bytes);
  if (bytes.size() < whole) return 0;
  answers.push_back({.latency = std::chrono::steady_clock::now() - ask.at, .error = error});
  taken_[cookie] = false;
  return whole;
}

void LoadClient::issue() {
  while (!waiting_.empty()) {
    const auto free = std::find(taken_.begin(), taken_.end(), false);
    if (free == taken_.end()) return;
    *free = true;
    const auto cookie = static_cast<std::size_t>(free - taken_.begin());
    const Ask ask = slots_[cookie] = waiting_.front();
    waiting_.pop_front();
    store<std::uint32_t>(out_, request_magic);
    store<std::uint16_t>(out_, 0);
    store<std::uint16_t>(out_, ask.write ? 1 : 0);
    store<std::uint64_t>(out_, cookie);
    store<std::uint64_t>(out_, ask.random % (disc_bytes_ / request_bytes) * request_bytes);
    store<std::uint32_t>(out_, request_bytes);
    if (ask.write) out_.insert(out_.end(), request_bytes, std::byte{0x5a});
  }
}

void LoadClient::send() {
  while (wants_to_send()) {
    const ssize_t size = ::send(fd(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
    if (size < 0 && errno == EAGAIN) return;
    if (size < 0) fail(std::strerror(errno));
    sent_ += static_cast<std::size_t>(size);
  }
  out_.clear();
  sent_ = 0;
}

std::vector<Duration> LoadClient::unanswered(Instant now) const {
  std::vector<Duration> ages;
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (taken_[i]) ages.push_back(now - slots_[i].at);
  for (const Ask& ask : waiting_) ages.push_back(now - ask.at);
  return ages;
}

void LoadClient::fail(const std::string& why) const {
  throw std::runtime_error(socket_.string() + ": " + why);
}

}  // namespace bench
