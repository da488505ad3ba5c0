// A server's bytes against the client's handshake: a script each, written out flat, because what
// the client asks does not depend on time. H1 to H13 are the faults that a strict client survives.
#include "head/nbd/handshake.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

using namespace head;
using namespace head::nbd;
using Catch::Matchers::Contains;

namespace {

using wire::Option;
using wire::OptionReplyType;
using What = ClientHandshake::Step::What;

class Bytes {
 public:
  template <class T>
  Bytes& put(const T& value) {
    const auto bytes = wire::bytes_of(value);
    all.insert(all.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Bytes& text(std::string_view text) {
    for (const char c : text) all.push_back(static_cast<std::byte>(c));
    return *this;
  }
  Bytes& append(const Bytes& other) {
    all.insert(all.end(), other.all.begin(), other.all.end());
    return *this;
  }
  Bytes& reply(Option option, OptionReplyType type, const Bytes& body = {}) {
    wire::OptionReply header;
    header.option = static_cast<std::uint32_t>(option);
    header.type = static_cast<std::uint32_t>(type);
    header.length = static_cast<std::uint32_t>(body.all.size());
    return put(header).append(body);
  }

  std::vector<std::byte> all;
};

constexpr std::uint16_t usual_flags =
    transmission_flag::has_flags | transmission_flag::send_flush | transmission_flag::send_fua;

Bytes hello(std::uint16_t flags = 3) {
  wire::NewstyleHello hello;
  hello.flags = flags;
  return Bytes().put(hello);
}
Bytes oldstyle(std::uint64_t size, std::uint32_t flags = usual_flags) {
  wire::OldstyleHello hello;
  hello.size = size;
  hello.flags = flags;
  return Bytes().put(hello);
}
Bytes info_export(std::uint64_t size, std::uint16_t flags = usual_flags) {
  wire::InfoExport info;
  info.size = size;
  info.flags = flags;
  return Bytes().put(info);
}
Bytes info_sizes(std::uint32_t minimum, std::uint32_t preferred, std::uint32_t maximum) {
  wire::InfoBlockSize info;
  info.minimum = minimum;
  info.preferred = preferred;
  info.payload_maximum = maximum;
  return Bytes().put(info);
}
Bytes context(std::uint32_t id, std::string_view name = "base:allocation") {
  return Bytes().put(be32(id)).text(name);
}

// As far as GO, with everything granted.
Bytes until_go() {
  return hello()
      .reply(Option::structured_reply, OptionReplyType::ack)
      .reply(Option::set_meta_context, OptionReplyType::meta_context, context(7))
      .reply(Option::set_meta_context, OptionReplyType::ack);
}
Bytes good(std::uint64_t size = 1 << 20) {
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

Outcome play(ClientHandshake& client, std::span<const std::byte> server) {
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

ExportInfo accepted(const Bytes& server) {
  ClientHandshake client("disk");
  const auto outcome = play(client, server.all);
  INFO(client.problem());
  REQUIRE(outcome.what == What::done);
  CHECK(outcome.unread == 0);
  CHECK(client.failure() == HandshakeFailure::none);
  return client.info();
}

HandshakeFailure refused(const Bytes& server) {
  ClientHandshake client("disk");
  const auto outcome = play(client, server.all);
  REQUIRE(outcome.what == What::failed);
  CHECK(client.problem().back() == '.');
  return client.failure();
}

HandshakeFailure with_info(const Bytes& info) {
  return refused(until_go()
                     .reply(Option::go, OptionReplyType::info, info_export(1 << 20))
                     .reply(Option::go, OptionReplyType::info, info)
                     .reply(Option::go, OptionReplyType::ack));
}

// The last option that the client sent.
std::uint32_t last_option(const Outcome& outcome) {
  const auto needle = Bytes().put(be64(wire::option_magic)).all;
  const auto at =
      std::find_end(outcome.sent.begin(), outcome.sent.end(), needle.begin(), needle.end());
  REQUIRE(at != outcome.sent.end());
  return wire::load<wire::OptionRequest>(std::span(&*at, 16)).option;
}

}  // namespace

TEST_CASE("A fixed newstyle server gives everything that was asked", "[nbd]") {
  ClientHandshake client("disk");
  const auto outcome = play(client, good().all);
  REQUIRE(outcome.what == What::done);
  CHECK(client.info() == ExportInfo{.size = 1 << 20,
                                    .flags = usual_flags,
                                    .block_minimum = 1,
                                    .block_preferred = 4096,
                                    .payload_maximum = 32u << 20,
                                    .structured_replies = true,
                                    .base_allocation = true});
  CHECK(client.context() == 7);
  CHECK(client.note().empty());

  Bytes sent;
  sent.put(be32(3u));
  const auto option = [&](Option number, std::uint32_t length) {
    wire::OptionRequest request;
    request.option = static_cast<std::uint32_t>(number);
    request.length = length;
    sent.put(request);
  };
  option(Option::structured_reply, 0);
  option(Option::set_meta_context, 4 + 4 + 4 + 4 + 15);
  sent.put(be32(4u)).text("disk").put(be32(1u)).put(be32(15u)).text("base:allocation");
  option(Option::go, 4 + 4 + 2 + 2 * 2);
  sent.put(be32(4u)).text("disk").put(be16(std::uint16_t{2}));
  sent.put(be16(std::uint16_t{0})).put(be16(std::uint16_t{3}));
  CHECK(outcome.sent == sent.all);
}

TEST_CASE("An oldstyle server says what it has in 152 bytes", "[nbd]") {
  const ExportInfo info = accepted(oldstyle(10 << 20));
  CHECK(info == ExportInfo{.size = 10 << 20, .flags = usual_flags, .block_minimum = 512});

  ClientHandshake client("disk");
  CHECK(play(client, oldstyle(4096).all).sent.empty());
}

TEST_CASE("A newstyle server that is not fixed is asked by EXPORT_NAME", "[nbd]") {
  Bytes server = hello(0);
  server.put(be64(4096u)).put(be16(usual_flags)).text(std::string(124, '\0'));
  const ExportInfo info = accepted(server);
  CHECK(info.size == 4096);
  CHECK(info.block_minimum == 512);
  CHECK(!info.structured_replies);
}

TEST_CASE("GO falls back to EXPORT_NAME when it is not supported, and only then", "[nbd]") {
  Bytes server = hello(3)
                     .reply(Option::structured_reply, OptionReplyType::err_unsup)
                     .reply(Option::go, OptionReplyType::err_unsup);
  server.put(be64(8192u)).put(be16(usual_flags));
  CHECK(accepted(server).size == 8192);

  for (const auto error : {OptionReplyType::err_policy, OptionReplyType::err_invalid,
                           OptionReplyType::err_platform, OptionReplyType::err_unknown,
                           OptionReplyType::err_too_big, static_cast<OptionReplyType>(~0u)}) {
    ClientHandshake client("disk");
    const auto outcome = play(client, until_go().reply(Option::go, error).all);
    CHECK(outcome.what == What::failed);
    CHECK(last_option(outcome) == static_cast<std::uint32_t>(Option::abort));
  }
}

TEST_CASE("Structured replies and meta contexts are wishes", "[nbd]") {
  const auto end = Bytes()
                       .reply(Option::go, OptionReplyType::info, info_export(1 << 20))
                       .reply(Option::go, OptionReplyType::ack);
  SECTION("no structured replies: no meta context is asked for") {
    const auto info =
        accepted(hello().reply(Option::structured_reply, OptionReplyType::err_policy).append(end));
    CHECK(!info.structured_replies);
    CHECK(!info.base_allocation);
  }
  SECTION("no such meta context") {
    const auto info = accepted(hello()
                                   .reply(Option::structured_reply, OptionReplyType::ack)
                                   .reply(Option::set_meta_context, OptionReplyType::ack)
                                   .append(end));
    CHECK(info.structured_replies);
    CHECK(!info.base_allocation);
  }
  SECTION("an error after a context takes the context back") {
    const auto info =
        accepted(hello()
                     .reply(Option::structured_reply, OptionReplyType::ack)
                     .reply(Option::set_meta_context, OptionReplyType::meta_context, context(1))
                     .reply(Option::set_meta_context, OptionReplyType::err_invalid)
                     .append(end));
    CHECK(!info.base_allocation);
  }
  SECTION("a context that was not asked for breaks the rules") {
    const auto start = hello().reply(Option::structured_reply, OptionReplyType::ack);
    CHECK(refused(Bytes(start).reply(Option::set_meta_context, OptionReplyType::meta_context,
                                     context(1, "x-y:z"))) == HandshakeFailure::unexpected_reply);
    CHECK(refused(Bytes(start)
                      .reply(Option::set_meta_context, OptionReplyType::meta_context, context(1))
                      .reply(Option::set_meta_context, OptionReplyType::meta_context,
                             context(2))) == HandshakeFailure::unexpected_reply);
    CHECK(refused(Bytes(start).reply(Option::set_meta_context, OptionReplyType::meta_context,
                                     Bytes().text("abc"))) == HandshakeFailure::unexpected_reply);
  }
}

TEST_CASE("Flags that mean nothing here are cleared", "[nbd]") {
  const auto info =
      accepted(hello()
                   .reply(Option::structured_reply, OptionReplyType::err_unsup)
                   .reply(Option::go, OptionReplyType::info,
                          info_export(4096, 0xffff & ~transmission_flag::send_write_zeroes))
                   .reply(Option::go, OptionReplyType::ack));
  CHECK(!info.has(transmission_flag::send_df));
  CHECK(!info.has(transmission_flag::send_fast_zero));
  CHECK(!info.has(transmission_flag::send_resize));
  CHECK(!info.has(1 << 15));
  CHECK(info.has(transmission_flag::can_multi_conn));
}

TEST_CASE("H1: a stream cut at any byte is incomplete, never done", "[nbd]") {
  for (const Bytes& server : {good(), oldstyle(4096)})
    for (std::size_t cut = 0; cut < server.all.size(); ++cut) {
      CAPTURE(cut);
      ClientHandshake client("disk");
      REQUIRE(play(client, std::span(server.all).first(cut)).what == What::need);
    }
}

TEST_CASE("H1: any other magic number is not a server of ours", "[nbd]") {
  for (std::size_t i = 0; i < 16; ++i) {
    Bytes server = good();
    server.all[i] ^= std::byte{0x20};
    CHECK(refused(server) == HandshakeFailure::not_nbd);
  }
  for (std::size_t i = 18; i < 26; ++i) {
    Bytes server = good();
    server.all[i] ^= std::byte{0x20};
    CHECK(refused(server) == HandshakeFailure::bad_reply);
  }
}

TEST_CASE("H2: handshake flags that are not known are not echoed", "[nbd]") {
  Bytes server = good();
  server.all[16] = std::byte{0xff};
  server.all[17] = std::byte{0xff};
  ClientHandshake client("disk");
  const auto outcome = play(client, server.all);
  CHECK(outcome.what == What::done);
  CHECK(wire::load<be32>(outcome.sent) == 3u);

  ClientHandshake other("disk");
  CHECK(wire::load<be32>(play(other, hello(1).all).sent) == 1u);
  ClientHandshake third("disk");
  CHECK(wire::load<be32>(play(third, hello(0xfffc).all).sent) == 0u);
}

TEST_CASE("H3: a reply to an option that was not sent breaks the rules", "[nbd]") {
  CHECK(refused(hello().reply(Option::go, OptionReplyType::ack)) == HandshakeFailure::bad_reply);
  CHECK(refused(until_go().reply(Option::set_meta_context, OptionReplyType::ack)) ==
        HandshakeFailure::bad_reply);
}

TEST_CASE("H4: lengths are bounded before anything is read", "[nbd]") {
  const auto with_length = [](Option option, OptionReplyType type, std::uint32_t length) {
    wire::OptionReply header;
    header.option = static_cast<std::uint32_t>(option);
    header.type = static_cast<std::uint32_t>(type);
    header.length = length;
    return Bytes().put(header);
  };
  for (const std::uint32_t length : {65537u, 0x7fffffffu, 0xffffffffu})
    CHECK(refused(until_go().append(with_length(Option::go, OptionReplyType::info, length))) ==
          HandshakeFailure::reply_too_long);
  CHECK(refused(until_go().reply(Option::go, OptionReplyType::err_unknown,
                                 Bytes().text(std::string(4097, 'x')))) ==
        HandshakeFailure::reply_too_long);
  CHECK(refused(until_go().reply(Option::go, OptionReplyType::info)) ==
        HandshakeFailure::unexpected_reply);
  CHECK(
      refused(until_go().reply(Option::go, OptionReplyType::info,
                               Bytes().put(be16(std::uint16_t{1})).text(std::string(4097, 'x')))) ==
      HandshakeFailure::unexpected_reply);
  CHECK(refused(hello().reply(Option::structured_reply, OptionReplyType::ack, Bytes().text("x"))) ==
        HandshakeFailure::unexpected_reply);
}

TEST_CASE("H5: replies that do not end do not hold the client for ever", "[nbd]") {
  const auto endless = [](unsigned replies) {
    Bytes server = until_go();
    for (unsigned i = 1; i < replies; ++i)
      server.reply(Option::go, OptionReplyType::info, info_export(4096));
    return server.reply(Option::go, OptionReplyType::ack);
  };
  CHECK(accepted(endless(ClientHandshake::replies_max)).size == 4096);
  CHECK(refused(endless(ClientHandshake::replies_max + 1)) == HandshakeFailure::too_many_replies);
}

TEST_CASE("Information that is not known is ignored, in any order", "[nbd]") {
  const auto info =
      accepted(until_go()
                   .reply(Option::go, OptionReplyType::info, info_sizes(512, 4096, 1 << 20))
                   .reply(Option::go, OptionReplyType::info,
                          Bytes().put(be16(std::uint16_t{999})).text("whatever"))
                   .reply(Option::go, OptionReplyType::info,
                          Bytes().put(be16(std::uint16_t{2})).text("a disk"))
                   .reply(Option::go, OptionReplyType::info, info_export(8192))
                   .reply(Option::go, OptionReplyType::ack));
  CHECK(info.size == 8192);
  CHECK(info.payload_maximum == 1 << 20);
}

TEST_CASE("H6: GO acknowledged without a description of the export", "[nbd]") {
  CHECK(refused(until_go().reply(Option::go, OptionReplyType::ack)) ==
        HandshakeFailure::no_export_info);
  CHECK(refused(until_go()
                    .reply(Option::go, OptionReplyType::info, info_sizes(1, 4096, 1 << 20))
                    .reply(Option::go, OptionReplyType::ack)) == HandshakeFailure::no_export_info);
}

TEST_CASE("H7: information of the wrong length", "[nbd]") {
  for (const Bytes& info : {info_export(4096), info_sizes(1, 4096, 1 << 20)}) {
    Bytes shorter = info, longer = info;
    shorter.all.pop_back();
    longer.all.push_back(std::byte{0});
    CHECK(with_info(shorter) == HandshakeFailure::unexpected_reply);
    CHECK(with_info(longer) == HandshakeFailure::unexpected_reply);
  }
}

TEST_CASE("H8: block sizes that do not go together", "[nbd]") {
  constexpr auto bad = HandshakeFailure::bad_block_size;
  CHECK(with_info(info_sizes(0, 4096, 1 << 20)) == bad);
  CHECK(with_info(info_sizes(3, 4096, 1 << 20)) == bad);
  CHECK(with_info(info_sizes(128 << 10, 128 << 10, 1 << 20)) == bad);
  CHECK(with_info(info_sizes(4096, 512, 1 << 20)) == bad);
  CHECK(with_info(info_sizes(1, 256, 1 << 20)) == bad);
  CHECK(with_info(info_sizes(1, 4097, 1 << 20)) == bad);
  CHECK(with_info(info_sizes(1, 4096, 4095)) == bad);
  CHECK(with_info(info_sizes(1, 0, 0)) == bad);
}

TEST_CASE("Block sizes are taken as given, the payload up to 32 MiB", "[nbd]") {
  const auto sizes = [](std::uint32_t minimum, std::uint32_t preferred, std::uint32_t maximum) {
    const auto info = accepted(
        until_go()
            .reply(Option::go, OptionReplyType::info, info_export(1 << 20))
            .reply(Option::go, OptionReplyType::info, info_sizes(minimum, preferred, maximum))
            .reply(Option::go, OptionReplyType::ack));
    return std::array{info.block_minimum, info.block_preferred, info.payload_maximum};
  };
  CHECK(sizes(65536, 65536, 65536) == std::array{65536u, 65536u, 65536u});
  CHECK(sizes(1, 4096, 0xffffffff) == std::array{1u, 4096u, 32u << 20});
  CHECK(sizes(4096, 1u << 31, 0xffffffff) == std::array{4096u, 32u << 20, 32u << 20});
  CHECK(sizes(512, 4096, 1000000) == std::array{512u, 4096u, 999936u});
}

TEST_CASE("H9: sizes that cannot be a disc's", "[nbd]") {
  constexpr auto bad = HandshakeFailure::bad_size;
  CHECK(refused(oldstyle(0)) == bad);
  CHECK(refused(oldstyle(std::uint64_t{1} << 63)) == bad);
  CHECK(refused(oldstyle(std::numeric_limits<std::uint64_t>::max())) == bad);
  CHECK(refused(oldstyle(511)) == bad);
  CHECK(refused(good(0)) == bad);
  CHECK(accepted(oldstyle(std::numeric_limits<std::int64_t>::max() - 511)).size ==
        std::numeric_limits<std::int64_t>::max() - 511);
}

TEST_CASE("H9: bytes after the last whole block are left out, and that is noted", "[nbd]") {
  ClientHandshake client("disk");
  REQUIRE(play(client, oldstyle(513).all).what == What::done);
  CHECK(client.info().size == 512);
  CHECK_THAT(client.note(), Contains("513 bytes") && Contains("its last 1 cannot"));

  CHECK(accepted(good(513)).size == 513);  // The server takes blocks of one byte.
}

TEST_CASE("H10: an export without flags breaks the rules", "[nbd]") {
  CHECK(refused(oldstyle(4096, 0)) == HandshakeFailure::no_flags);
  CHECK(refused(oldstyle(4096, transmission_flag::send_flush)) == HandshakeFailure::no_flags);
}

TEST_CASE("H11: a server that shuts down is left softly, whatever was asked", "[nbd]") {
  const auto error = OptionReplyType::err_shutdown;
  for (const Bytes& server : {hello().reply(Option::structured_reply, error),
                              hello()
                                  .reply(Option::structured_reply, OptionReplyType::ack)
                                  .reply(Option::set_meta_context, error),
                              until_go().reply(Option::go, error)}) {
    ClientHandshake client("disk");
    const auto outcome = play(client, server.all);
    CHECK(outcome.what == What::failed);
    CHECK(client.failure() == HandshakeFailure::shutting_down);
    CHECK(last_option(outcome) == static_cast<std::uint32_t>(Option::abort));
  }
}

TEST_CASE("H11: each error of a server has its reason, with the server's own words", "[nbd]") {
  const auto go = [](OptionReplyType type) {
    ClientHandshake client("disk");
    play(client, until_go().reply(Option::go, type, Bytes().text("so\nthere")).all);
    CHECK_THAT(client.problem(), Contains("so?there") || Contains("breaks the NBD protocol"));
    return client.failure();
  };
  CHECK(go(OptionReplyType::err_unknown) == HandshakeFailure::export_unknown);
  CHECK(go(OptionReplyType::err_policy) == HandshakeFailure::refused);
  CHECK(go(OptionReplyType::err_too_big) == HandshakeFailure::refused);
  CHECK(go(OptionReplyType::err_tls_reqd) == HandshakeFailure::tls_required);
  CHECK(go(OptionReplyType::err_block_size_reqd) == HandshakeFailure::block_size_required);
}

TEST_CASE("H12: a server that wants TLS first is refused, never trusted", "[nbd]") {
  CHECK(refused(hello().reply(Option::structured_reply, OptionReplyType::err_tls_reqd)) ==
        HandshakeFailure::tls_required);
}

TEST_CASE("H13: the client never waits for more than one bounded piece", "[nbd]") {
  // play() checks every piece; here, that the longest permitted reply is one.
  CHECK(accepted(until_go()
                     .reply(Option::go, OptionReplyType::info,
                            Bytes().put(be16(std::uint16_t{99})).text(std::string(65534, 'x')))
                     .reply(Option::go, OptionReplyType::info, info_export(4096))
                     .reply(Option::go, OptionReplyType::ack))
            .size == 4096);
}
