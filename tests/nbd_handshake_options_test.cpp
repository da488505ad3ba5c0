// Replies to options, whichever they are to: what is wished for, what is bounded, what is refused.
#include "tests/nbd_handshake_script.hpp"

using namespace tests;

TEST_CASE("Structured replies and meta contexts are wishes", "[nbd]") {
  const auto end = Script()
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
    CHECK(refused(Script(start).reply(Option::set_meta_context, OptionReplyType::meta_context,
                                      context(1, "x-y:z"))) == HandshakeFailure::unexpected_reply);
    CHECK(refused(Script(start)
                      .reply(Option::set_meta_context, OptionReplyType::meta_context, context(1))
                      .reply(Option::set_meta_context, OptionReplyType::meta_context,
                             context(2))) == HandshakeFailure::unexpected_reply);
    CHECK(refused(Script(start).reply(Option::set_meta_context, OptionReplyType::meta_context,
                                      Script().text("abc"))) == HandshakeFailure::unexpected_reply);
  }
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
    return Script().put(header);
  };
  for (const std::uint32_t length : {65537u, 0x7fffffffu, 0xffffffffu})
    CHECK(refused(until_go().append(with_length(Option::go, OptionReplyType::info, length))) ==
          HandshakeFailure::reply_too_long);
  CHECK(refused(until_go().reply(Option::go, OptionReplyType::err_unknown,
                                 Script().text(std::string(4097, 'x')))) ==
        HandshakeFailure::reply_too_long);
  CHECK(refused(until_go().reply(Option::go, OptionReplyType::info)) ==
        HandshakeFailure::unexpected_reply);
  CHECK(refused(
            until_go().reply(Option::go, OptionReplyType::info,
                             Script().put(be16(std::uint16_t{1})).text(std::string(4097, 'x')))) ==
        HandshakeFailure::unexpected_reply);
  CHECK(refused(hello().reply(Option::structured_reply, OptionReplyType::ack,
                              Script().text("x"))) == HandshakeFailure::unexpected_reply);
}

TEST_CASE("H5: replies that do not end do not hold the client for ever", "[nbd]") {
  const auto endless = [](unsigned replies) {
    Script server = until_go();
    for (unsigned i = 1; i < replies; ++i)
      server.reply(Option::go, OptionReplyType::info, info_export(4096));
    return server.reply(Option::go, OptionReplyType::ack);
  };
  CHECK(accepted(endless(ClientHandshake::replies_max)).size == 4096);
  CHECK(refused(endless(ClientHandshake::replies_max + 1)) == HandshakeFailure::too_many_replies);
}

TEST_CASE("H11: a server that shuts down is left softly, whatever was asked", "[nbd]") {
  const auto error = OptionReplyType::err_shutdown;
  for (const Script& server : {hello().reply(Option::structured_reply, error),
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

TEST_CASE("H11: any error, in answer to any option, ends or goes on, but is no surprise", "[nbd]") {
  const auto after = [](const Script& before, Option option, std::uint32_t error) {
    ClientHandshake client("disk");
    const auto outcome =
        play(client, Script(before).reply(option, static_cast<OptionReplyType>(error)).all);
    CAPTURE(static_cast<int>(option), error);
    REQUIRE(outcome.what != What::done);  // Nothing was described yet.
    if (outcome.what != What::failed) return;
    CHECK(client.failure() != HandshakeFailure::none);
    CHECK(client.problem().back() == '.');
    CHECK(last_option(outcome) == static_cast<std::uint32_t>(Option::abort));
  };
  const Script granted = hello().reply(Option::structured_reply, OptionReplyType::ack);
  for (std::uint32_t number = 1; number <= 12; ++number) {
    const std::uint32_t error = 1u << 31 | number;
    after(hello(), Option::structured_reply, error);
    after(granted, Option::set_meta_context, error);
    after(until_go(), Option::go, error);
  }
}

TEST_CASE("H12: TLS that nobody asked for is not agreed to, nor what follows it", "[nbd]") {
  // We never ask for it, so an agreement is a lie, with or without another greeting behind it.
  for (const Script& behind : {Script(), good()})
    for (const Script& before : {hello(), until_go()})
      CHECK(refused(Script(before).reply(Option::starttls, OptionReplyType::ack).append(behind)) ==
            HandshakeFailure::bad_reply);
}

TEST_CASE("H12: a server that wants TLS first is refused, never trusted", "[nbd]") {
  CHECK(refused(hello().reply(Option::structured_reply, OptionReplyType::err_tls_reqd)) ==
        HandshakeFailure::tls_required);
}

TEST_CASE("H13: the client never waits for more than one bounded piece", "[nbd]") {
  // play() checks every piece; here, that the longest permitted reply is one.
  CHECK(accepted(until_go()
                     .reply(Option::go, OptionReplyType::info,
                            Script().put(be16(std::uint16_t{99})).text(std::string(65534, 'x')))
                     .reply(Option::go, OptionReplyType::info, info_export(4096))
                     .reply(Option::go, OptionReplyType::ack))
            .size == 4096);
}
