// A guest of one disc, as small as can be: a session on the disc's Unix socket, and 4 KiB requests
// on it. A request is timed from the moment it is asked for, so that one which waits because the
// session is not up yet, or because too many others wait, counts its whole
// wait.
#pragma once

#include "iouring/unique_fd.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace bench {

using Instant = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

struct Ask {
  Instant at{};
  std::uint64_t random = 0;  // Decides the offset.
  bool write = false;
};

class LoadClient {
 public:
  static constexpr std::uint32_t request_bytes = 4096;
  static constexpr std::size_t in_flight_usual = 16;
  static constexpr std::size_t waiting_max = 1000;

  struct Answer {
    Duration latency{};
    std::uint32_t error = 0;  // The server's.
  };

  // With so many requests in flight at most.
  explicit LoadClient(std::filesystem::path socket, std::size_t in_flight = in_flight_usual)
      : socket_(std::move(socket)), slots_(in_flight), taken_(in_flight) {}

  int fd() const noexcept { return fd_.fd(); }
  bool ready() const noexcept { return state_ == State::ready; }
  bool connected() const noexcept { return state_ != State::idle; }
  bool wants_to_send() const noexcept { return sent_ < out_.size(); }

  // Tries to connect; false when the server has no room at the moment.
  bool connect();
  // The session is over: what was not answered is asked again in the next one.
  void disconnect();
  // Takes a request in; false when too many wait already.
  bool ask(const Ask& ask);
  // The socket may be readable or writable. Appends what was answered. Throws std::runtime_error
  // when the session ends or the server breaks the protocol.
  void on_event(std::vector<Answer>& answers);
  // The ages of all requests without an answer.
  std::vector<Duration> unanswered(Instant now) const;

 private:
  enum class State : std::uint8_t { idle, greeting, size, ready };

  void receive(std::vector<Answer>& answers);
  std::size_t parse(std::span<const std::byte> bytes, std::vector<Answer>& answers);
  std::size_t on_reply(std::span<const std::byte> bytes, std::vector<Answer>& answers);
  void issue();
  void send();
  [[noreturn]] void fail(const std::string& why) const;

  std::filesystem::path socket_;
  iouring::UniqueFd fd_;
  State state_ = State::idle;
  std::uint64_t disc_bytes_ = 0;

  std::vector<Ask> slots_;
  std::vector<bool> taken_;
  std::deque<Ask> waiting_;

  std::vector<std::byte> in_;
  std::vector<std::byte> out_;
  std::size_t sent_ = 0;
};

}  // namespace bench
