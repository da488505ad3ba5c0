// A tail that says what it was told to say, as soon as it is connected to, whatever it hears.
#pragma once

#include "head/nbd/volume.hpp"
#include "head/nbd/wire.hpp"
#include "tests/sim/sim_io.hpp"

#include <string_view>

namespace sim {

class ScriptTail final : public Peer {
 public:
  explicit ScriptTail(Bytes script) : script_(std::move(script)) {}

  bool on_bytes(Bytes& from_us, Bytes& to_us) override {
    from_us.clear();
    to_us.insert(to_us.end(), script_.begin(), script_.end());
    script_.clear();
    return true;
  }

 private:
  Bytes script_;
};

template <class T>
Bytes& operator<<(Bytes& to, const T& value) {
  const auto bytes = head::nbd::wire::bytes_of(value);
  to.insert(to.end(), bytes.begin(), bytes.end());
  return to;
}

inline Bytes& operator<<(Bytes& to, std::string_view text) {
  for (const char c : text) to.push_back(std::byte(c));
  return to;
}

// A reply to an option of the handshake.
void option_reply(Bytes& to, head::nbd::wire::Option option, head::nbd::wire::OptionReplyType type,
                  const Bytes& body = {});

// Of a tail that can do everything.
inline constexpr std::uint16_t all_flags =
    0x0fff & ~(head::nbd::transmission_flag::read_only | head::nbd::transmission_flag::rotational |
               head::nbd::transmission_flag::send_resize);

// Everything that a well-behaved tail says until transmission begins: an export of 1 MiB that can
// do everything, and base:allocation under the number 7 when `structured`.
Bytes greeting(bool structured);

// The cookie of the first request on a fresh connection, and so on.
constexpr std::uint64_t cookie_of(std::uint32_t request) {
  return std::uint64_t{1} << 32 | request;
}

// The header of a structured reply chunk.
head::nbd::wire::StructuredReply chunk(head::nbd::wire::Chunk type, std::uint32_t length, bool done,
                                       std::uint64_t cookie = cookie_of(0));

}  // namespace sim
