// The client's half of the NBD handshake: bytes in, bytes out, no I/O. Whoever owns the connection
// sends what a step says and feeds back exactly as many bytes as it expects.
//
//   hello ─┬─ oldstyle ──────────────────────────────────────────────────────────┐
//          └─ flags ─┬─ STRUCTURED_REPLY ── SET_META_CONTEXT ── GO ──┬───────────┤ done
//                    │        (refused: no meta context)             │ ERR_UNSUP │
//                    └─ not fixed ───────────────────────────── EXPORT_NAME ─────┘
//
// Strict: a server that breaks the protocol, or offers an export that cannot be used, fails the
// handshake with a reason. Memory and the number of steps are bounded, whatever the server sends.
// How long the server may take is for the owner to bound.
#pragma once

#include "head/nbd/volume.hpp"
#include "head/nbd/wire.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace head::nbd {

enum class HandshakeFailure : std::uint8_t {
  none,
  not_nbd,              // The first 16 bytes are not a server's.
  bad_reply,            // A reply without its magic number, or to an option that was not sent.
  reply_too_long,       // Longer than reply_max, or a string longer than strings may be.
  too_many_replies,     // More than replies_max to one option.
  unexpected_reply,     // A type of reply that the option does not have, or of another length.
  no_export_info,       // GO acknowledged without NBD_INFO_EXPORT.
  bad_block_size,       // Block sizes that break the rules of "Size constraints".
  bad_size,             // No bytes, less than a block, or more than 2^63-1.
  no_flags,             // NBD_FLAG_HAS_FLAGS is not set.
  export_unknown,       // The server has no such export.
  tls_required,         // The server wants TLS first.
  refused,              // Another error reply to GO: policy, platform, invalid, too big.
  block_size_required,  // The server did not see that block sizes were asked for.
  shutting_down,        // NBD_REP_ERR_SHUTDOWN: come back later.
};

class ClientHandshake {
 public:
  static constexpr std::size_t reply_max = 65536;  // Bytes of one option reply.
  static constexpr unsigned replies_max = 64;      // To one option.

  struct Step {
    enum class What : std::uint8_t { need, done, failed };
    What what = What::need;
    // To be sent at once, in every case: a failure that the server need not learn of by a broken
    // connection ends with NBD_OPT_ABORT. Lives until the next step().
    std::span<const std::byte> send;
    // need: exactly so many bytes go to the next step(); 1..reply_max.
    std::size_t expect = 0;
  };

  // The name has at most wire::string_max bytes, as parse_uri() sees to.
  explicit ClientHandshake(std::string export_name);

  Step start();
  Step step(std::span<const std::byte> bytes);

  // Once done. Block sizes that the server did not give are 512, 4096 and 32 MiB; the size is a
  // multiple of the smallest; payload_maximum is one too, and at most 32 MiB. Flags that are
  // unknown, or that need what was not negotiated, are cleared.
  const ExportInfo& info() const noexcept { return info_; }
  // The id that stands for base:allocation on this connection, where info().base_allocation.
  std::uint32_t context() const noexcept { return context_; }
  // Something an operator should know although the export is usable; often empty.
  const std::string& note() const noexcept { return note_; }

  // Once failed: the reason, and a sentence that says what to do.
  HandshakeFailure failure() const noexcept { return failure_; }
  std::string problem() const;

 private:
  enum class State : std::uint8_t {
    hello,
    oldstyle,
    flags,
    reply_header,
    reply_body,
    export_name_reply,
    over
  };

  Step on_hello(std::span<const std::byte> bytes);
  Step on_oldstyle(std::span<const std::byte> bytes);
  Step on_flags(std::span<const std::byte> bytes);
  Step on_reply_header(std::span<const std::byte> bytes);
  Step on_reply(std::span<const std::byte> body);
  Step on_structured_reply(bool refused);
  Step on_meta_context(std::span<const std::byte> body, bool refused);
  Step on_go(std::span<const std::byte> body);
  Step on_go_error();
  Step on_export_name_reply(std::span<const std::byte> bytes);
  bool on_info(std::span<const std::byte> body);

  Step ask(wire::Option option);
  Step expect(State state, std::size_t bytes);
  Step conclude();
  Step fail(HandshakeFailure failure);         // The server broke the rules: hard disconnect.
  Step fail_softly(HandshakeFailure failure);  // It did not: NBD_OPT_ABORT first.

  template <class T>
  void put(const T& value);
  void put_text(std::string_view text);

  std::string name_;
  State state_ = State::hello;
  HandshakeFailure failure_ = HandshakeFailure::none;
  std::vector<std::byte> out_;

  bool no_zeroes_ = false;
  wire::Option asked_{};
  wire::OptionReplyType reply_{};
  std::size_t body_size_ = 0;
  unsigned replies_ = 0;

  ExportInfo info_;
  bool has_export_ = false;
  bool has_block_sizes_ = false;
  std::uint32_t context_ = 0;
  std::string note_;
  std::string said_;  // The server's message with an error, made printable.
};

}  // namespace head::nbd
