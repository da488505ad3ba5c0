// A server's side of the handshake as a script, written out flat, because what the client asks does
// not depend on time; and the client played against it.
#pragma once

#include "head/nbd/handshake.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tests {

using namespace head;
using namespace head::nbd;
using wire::Option;
using wire::OptionReplyType;
using What = ClientHandshake::Step::What;

// What a server says.
class Script {
 public:
  template <class T>
  Script& put(const T& value) {
    const auto bytes = wire::bytes_of(value);
    all.insert(all.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Script& text(std::string_view text) {
    for (const char c : text) all.push_back(static_cast<std::byte>(c));
    return *this;
  }
  Script& append(const Script& other) {
    all.insert(all.end(), other.all.begin(), other.all.end());
    return *this;
  }
  Script& reply(Option option, OptionReplyType type, const Script& body = {}) {
    wire::OptionReply header;
    header.option = static_cast<std::uint32_t>(option);
    header.type = static_cast<std::uint32_t>(type);
    header.length = static_cast<std::uint32_t>(body.all.size());
    return put(header).append(body);
  }

  std::vector<std::byte> all;
};

inline constexpr std::uint16_t usual_flags =
    transmission_flag::has_flags | transmission_flag::send_flush | transmission_flag::send_fua;

inline Script hello(std::uint16_t flags = 3) {
  wire::NewstyleHello hello;
  hello.flags = flags;
  return Script().put(hello);
}
inline Script oldstyle(std::uint64_t size, std::uint32_t flags = usual_flags) {
  wire::OldstyleHello hello;
  hello.size = size;
  hello.flags = flags;
  return Script().put(hello);
}
inline Script info_export(std::uint64_t size, std::uint16_t flags = usual_flags) {
  wire::InfoExport info;
  info.size = size;
  info.flags = flags;
  return Script().put(info);
}
inline Script info_sizes(std::uint32_t minimum, std::uint32_t preferred, std::uint32_t maximum) {
  wire::InfoBlockSize info;
  info.minimum = minimum;
  info.preferred = preferred;
  info.payload_maximum = maximum;
  return Script().put(info);
}
inline Script context(std::uint32_t id, std::string_view name = "base:allocation") {
  return Script().put(be32(id)).text(name);
}

// As far as GO, with everything granted.
inline Script until_go() {
  return hello()
      .reply(Option::structured_reply, OptionReplyType::ack)
      .reply(Option::set_meta_context, OptionReplyType::meta_context, context(7))
      .reply(Option::set_meta_context, OptionReplyType::ack);
}
inline Script good(std::uint64_t size = 1 << 20) {
  return until_go()
      .reply(Option::go, OptionReplyType::info, info_export(size))
      .reply(Option::go, OptionReplyType::info, info_sizes(1, 4096, 32u << 20))
      .reply(Option::go, OptionReplyType::ack);
}

struct Outcome {
  What what = What::need;  // need: the script was too short.
  std::vector<std::byte> sent;
  std::size_t unread = 0;
};

inline Outcome play(ClientHandshake& client, std::span<const std::byte> server) {
  Outcome outcome;
  auto step = client.start();
  for (;;) {
    outcome.sent.insert(outcome.sent.end(), step.send.begin(), step.send.end());
    outcome.what = step.what;
    outcome.unread = server.size();
    if (step.what != What::need) return outcome;
    REQUIRE(step.expect >= 1);
    REQUIRE(step.expect <= ClientHandshake::reply_max);
    if (server.size() < step.expect) return outcome;
    const auto piece = server.first(step.expect);
    server = server.subspan(step.expect);
    step = client.step(piece);
  }
}

inline ExportInfo accepted(const Script& server) {
  ClientHandshake client("disk");
  const auto outcome = play(client, server.all);
  INFO(client.problem());
  REQUIRE(outcome.what == What::done);
  CHECK(outcome.unread == 0);
  CHECK(client.failure() == HandshakeFailure::none);
  return client.info();
}

inline HandshakeFailure refused(const Script& server) {
  ClientHandshake client("disk");
  const auto outcome = play(client, server.all);
  REQUIRE(outcome.what == What::failed);
  CHECK(client.problem().back() == '.');
  return client.failure();
}

inline HandshakeFailure with_info(const Script& info) {
  return refused(until_go()
                     .reply(Option::go, OptionReplyType::info, info_export(1 << 20))
                     .reply(Option::go, OptionReplyType::info, info)
                     .reply(Option::go, OptionReplyType::ack));
}

// The last option that the client sent.
inline std::uint32_t last_option(const Outcome& outcome) {
  const auto needle = Script().put(be64(wire::option_magic)).all;
  const auto at =
      std::find_end(outcome.sent.begin(), outcome.sent.end(), needle.begin(), needle.end());
  REQUIRE(at != outcome.sent.end());
  return wire::load<wire::OptionRequest>(std::span(&*at, 16)).option;
}

}  // namespace tests
