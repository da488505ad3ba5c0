// One client's connection: bytes in, bytes out, each request bounded in size and time. Internal to
// the HTTP server.
#pragma once

#include "head/control/http_lobby.hpp"
#include "iouring/unique_fd.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <sys/types.h>
#include <utility>

namespace head::control {

class HttpConnection {
 public:
  static constexpr std::size_t headers_max = 16 * 1024;  // Of one request, its first line included.

  HttpConnection(iouring::UniqueFd socket, HttpLobby& lobby)
      : socket_(std::move(socket)), lobby_(lobby) {}

  // Waits for the first byte of a request; false when the client is gone, idle for too long, or
  // makes way for another.
  bool wait_for_request();
  // The headers are accepted: the request may go on for `bytes` more.
  void expect_body(std::size_t bytes) noexcept { allowance_ = bytes; }
  // The request was read whole: what follows is the next one. Said of none, it ends after the
  // answer, because nobody knows where the next request would begin.
  void keep() noexcept { keep_ = true; }
  // It is answered.
  void finish() noexcept { under_way_ = false; }
  bool keeps() const noexcept { return keep_; }
  // Lets the client finish sending, so that it sees the answer rather than a reset; not one that
  // was waited for in vain, because somebody else wants its thread.
  void drain();

  // The server ends, and did not wait for the rest of the request.
  bool is_cut_off() const noexcept { return given_up_ && lobby_.is_ending(); }

  int socket() const noexcept { return socket_.fd(); }
  bool is_readable() const;
  // -1 when the request has had its bytes or its time, the client stalls and others wait, or the
  // client or the server is ending.
  ssize_t read(char* into, std::size_t size);
  ssize_t write(const char* from, std::size_t size);

 private:
  using Clock = HttpLobby::Clock;

  bool fill(Clock::time_point until, Clock::duration patience);
  bool wait(short events, Clock::time_point until, Clock::duration patience);

  iouring::UniqueFd socket_;
  HttpLobby& lobby_;
  Clock::time_point deadline_{};
  std::optional<Clock::time_point> answer_until_;  // From its first wait on.
  std::size_t allowance_ = 0;
  bool keep_ = false;
  bool under_way_ = true;  // A request or an answer; or whoever has just connected, and is to ask.
  bool given_up_ = false;  // The lobby has said no: this connection waits for nothing any more.
  std::array<char, 16 * 1024> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace head::control
