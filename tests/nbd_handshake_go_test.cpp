// GO, and what a server says of an export in answer to it.
#include "tests/nbd_handshake_script.hpp"

using namespace tests;
using Catch::Matchers::Contains;

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

  Script sent;
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

TEST_CASE("GO falls back to EXPORT_NAME when it is not supported, and only then", "[nbd]") {
  Script server = hello(3)
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

TEST_CASE("Information that is not known is ignored, in any order", "[nbd]") {
  const auto info =
      accepted(until_go()
                   .reply(Option::go, OptionReplyType::info, info_sizes(512, 4096, 1 << 20))
                   .reply(Option::go, OptionReplyType::info,
                          Script().put(be16(std::uint16_t{999})).text("whatever"))
                   .reply(Option::go, OptionReplyType::info,
                          Script().put(be16(std::uint16_t{2})).text("a disk"))
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
  for (const Script& info : {info_export(4096), info_sizes(1, 4096, 1 << 20)}) {
    Script shorter = info, longer = info;
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

TEST_CASE("H11: each error of a server has its reason, with the server's own words", "[nbd]") {
  const auto go = [](OptionReplyType type) {
    ClientHandshake client("disk");
    play(client, until_go().reply(Option::go, type, Script().text("so\nthere")).all);
    CHECK_THAT(client.problem(), Contains("so?there") || Contains("breaks the NBD protocol"));
    return client.failure();
  };
  CHECK(go(OptionReplyType::err_unknown) == HandshakeFailure::export_unknown);
  CHECK(go(OptionReplyType::err_policy) == HandshakeFailure::refused);
  CHECK(go(OptionReplyType::err_too_big) == HandshakeFailure::refused);
  CHECK(go(OptionReplyType::err_tls_reqd) == HandshakeFailure::tls_required);
  CHECK(go(OptionReplyType::err_block_size_reqd) == HandshakeFailure::block_size_required);
}
