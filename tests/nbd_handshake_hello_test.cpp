// How a server begins, and the two old ways to describe an export: a hello that says all, and the
// answer to EXPORT_NAME.
#include "tests/nbd_handshake_script.hpp"

#include <limits>

using namespace tests;
using Catch::Matchers::Contains;

TEST_CASE("An oldstyle server says what it has in 152 bytes", "[nbd]") {
  const ExportInfo info = accepted(oldstyle(10 << 20));
  CHECK(info == ExportInfo{.size = 10 << 20, .flags = usual_flags, .block_minimum = 512});

  ClientHandshake client("disk");
  CHECK(play(client, oldstyle(4096).all).sent.empty());
}

TEST_CASE("A newstyle server that is not fixed is asked by EXPORT_NAME", "[nbd]") {
  Script server = hello(0);
  server.put(be64(4096u)).put(be16(usual_flags)).text(std::string(124, '\0'));
  const ExportInfo info = accepted(server);
  CHECK(info.size == 4096);
  CHECK(info.block_minimum == 512);
  CHECK(!info.structured_replies);
}

TEST_CASE("H1: a stream cut at any byte is incomplete, never done", "[nbd]") {
  for (const Script& server : {good(), oldstyle(4096)})
    for (std::size_t cut = 0; cut < server.all.size(); ++cut) {
      CAPTURE(cut);
      ClientHandshake client("disk");
      REQUIRE(play(client, std::span(server.all).first(cut)).what == What::need);
    }
}

TEST_CASE("H1: any other magic number is not a server of ours", "[nbd]") {
  for (std::size_t i = 0; i < 16; ++i) {
    Script server = good();
    server.all[i] ^= std::byte{0x20};
    CHECK(refused(server) == HandshakeFailure::not_nbd);
  }
  for (std::size_t i = 18; i < 26; ++i) {
    Script server = good();
    server.all[i] ^= std::byte{0x20};
    CHECK(refused(server) == HandshakeFailure::bad_reply);
  }
}

TEST_CASE("H2: handshake flags that are not known are not echoed", "[nbd]") {
  Script server = good();
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

TEST_CASE("H9: sizes that cannot be a disc's", "[nbd]") {
  constexpr auto bad = HandshakeFailure::bad_size;
  CHECK(refused(oldstyle(0)) == bad);
  CHECK(refused(oldstyle(std::uint64_t{1} << 63)) == bad);
  CHECK(refused(oldstyle(std::numeric_limits<std::uint64_t>::max())) == bad);
  CHECK(refused(oldstyle(511)) == bad);
  CHECK(refused(good(0)) == bad);
  ClientHandshake huge("disk"), empty("disk");
  play(huge, oldstyle(std::uint64_t{1} << 63).all);
  play(empty, oldstyle(0).all);
  CHECK_THAT(huge.problem(), Contains("no more than 2^63-1 bytes") && !Contains("one block"));
  CHECK_THAT(empty.problem(), Contains("at least one block"));
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

// Guests are offered blocks of one byte then, and those that have sectors say nothing.
TEST_CASE("H9: bytes that only guests without sectors can reach are noted", "[nbd]") {
  ClientHandshake client("disk"), whole("disk");
  REQUIRE(play(client, good(1025).all).what == What::done);
  CHECK(client.info().size == 1025);
  CHECK_THAT(client.note(), Contains("1025 bytes") && Contains("its last 1 cannot") &&
                                Contains("guests that use sectors"));
  REQUIRE(play(whole, good(1024).all).what == What::done);
  CHECK(whole.note().empty());
}

TEST_CASE("H10: an export without flags breaks the rules", "[nbd]") {
  CHECK(refused(oldstyle(4096, 0)) == HandshakeFailure::no_flags);
  CHECK(refused(oldstyle(4096, transmission_flag::send_flush)) == HandshakeFailure::no_flags);
}
