// One connection to a tail of head-bench chaos: the handshake (fixed newstyle), and the requests
// and replies (simple ones) as bytes. What the tail does with them is chaos_tail.cpp's.
#pragma once

#include "iouring/unique_fd.hpp"
#include "tools/bench/nbd_bytes.hpp"

#include <cstdint>
#include <optional>
#include <utility>

namespace bench::chaos {

struct Request {
  bool is_change() const {
    return type == nbd_bytes::cmd_write || type == nbd_bytes::cmd_trim ||
           type == nbd_bytes::cmd_zero;
  }

  std::uint16_t flags = 0, type = 0;
  std::uint64_t cookie = 0, offset = 0;
  std::uint32_t length = 0;
  nbd_bytes::Bytes payload;
};

class Session {
 public:
  // `bytes`: the size of the disc.
  Session(iouring::UniqueFd fd, unsigned id, std::uint64_t bytes)
      : fd_(std::move(fd)), id_(id), bytes_(bytes) {}

  unsigned id() const { return id_; }
  int fd() const { return fd_.fd(); }
  bool is_open() const { return static_cast<bool>(fd_); }
  bool has_ended() const { return ended_; }
  bool is_sending() const { return !out_.empty(); }
  bool is_delivered() const;  // What was sent, as far as the other end's kernel.

  void greet();
  // All that has come.
  void receive();
  // The next request that has arrived whole. One that is wrong, or a DISCONNECT, ends the session.
  std::optional<Request> next();
  void reply(const nbd_bytes::Bytes& bytes);
  void send(bool byte_by_byte);
  // Nothing more is read from it; with `last_words` what is to be sent is sent first.
  void end(bool last_words = false);
  // Where it is over, and nothing is to be sent.
  void close_if_over();

 private:
  enum class State : std::uint8_t { silent, flags, options, serving };

  std::size_t on_option(std::span<const std::byte> bytes);
  bool is_wrong(const Request& request) const;

  iouring::UniqueFd fd_;
  const unsigned id_;
  const std::uint64_t bytes_;
  State state_ = State::silent;
  nbd_bytes::Bytes in_, out_;
  std::size_t used_ = 0;  // Of what has come.
  bool gone_ = false, ended_ = false, last_words_ = false;
};

}  // namespace bench::chaos
