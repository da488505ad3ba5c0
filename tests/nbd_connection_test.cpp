// The production connection against tails that lie. Each case is one thing that a tail may say and
// what becomes of the request: answered, or given back unanswered because the connection is over.
// The numbers are explained in HAZARDS.md.
#include "tests/nbd_connection_talk.hpp"
#include "tests/seeds.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <string_view>

using namespace tests;
using nbd::wire::Chunk;

namespace {

Bytes& data(Bytes& to, std::uint64_t offset, std::string_view text, bool done) {
  return to << sim::chunk(Chunk::offset_data, static_cast<std::uint32_t>(8 + text.size()), done)
            << be64(offset) << text;
}

Bytes& hole(Bytes& to, std::uint64_t offset, std::uint32_t size, bool done) {
  return to << sim::chunk(Chunk::offset_hole, 12, done) << be64(offset) << be32(size);
}

Bytes error_body(std::uint32_t error, std::string_view message) {
  Bytes body;
  body << be32(error) << be16(static_cast<std::uint16_t>(message.size())) << message;
  return body;
}

void check_broken(const Bytes& said, Asked& request, const std::string& why,
                  bool structured = true) {
  const auto seed = GENERATE(range(0u, seeds(20)));
  Talk talk(said, structured, seed);
  talk.ask({&request});
  CAPTURE(seed, talk.problem);
  CHECK(talk.answers.empty());
  CHECK(talk.back == std::vector<nbd::Request*>{&request});
  CHECK(talk.problem.find(why) != std::string::npos);
}

}  // namespace

TEST_CASE("replies that follow the protocol are answers", "[nbd][sim]") {
  const auto seed = GENERATE(range(0u, seeds(300)));
  CAPTURE(seed);
  Bytes said;
  Asked read(Command::read, 4096, 8);

  SECTION("a structured read, in one chunk") {
    data(said, 4096, "datadata", true);
  }
  SECTION("in chunks out of order, the end on its own") {
    data(said, 4102, "ta", false);
    data(said, 4096, "da", false);
    data(said, 4098, "tada", false) << sim::chunk(Chunk::none, 0, true);
  }
  Talk talk(said, true, seed);
  talk.ask({&read});
  REQUIRE(talk.answers.size() == 1);
  CHECK(talk.answers[0].second == 0);
  CHECK(std::string(reinterpret_cast<const char*>(read.bytes.data()), 8) == "datadata");
}

TEST_CASE("who waits for answers can learn that packets were lost", "[nbd][sim]") {
  Asked read(Command::read, 4096, 8);
  Talk talk(Bytes{});
  talk.ask({&read});
  REQUIRE(talk.connection.ready());
  const auto look = [&] {
    talk.io.advance(std::chrono::milliseconds(20));
    talk.connection.look_at_network();
    talk.connection.look_at_network();  // It is looking already.
    talk.go_on();
    return talk.losses;
  };
  talk.io.health.retransmitted = 1;
  CHECK(look() == 1);
  CHECK(look() == 1);
  talk.io.health.retransmitted = 2;
  CHECK(look() == 2);
  talk.io.health.retransmitted = 3;
  talk.connection.look_at_network();  // It did just now.
  talk.go_on();
  CHECK(talk.losses == 2);

  talk.io.advance(std::chrono::milliseconds(20));
  talk.connection.look_at_network();
  talk.connection.fail("in the middle of a look");
  talk.go_on();
  CHECK(talk.closed());
  talk.connection.look_at_network();  // There is nothing to look at.
  talk.go_on();
  CHECK(talk.losses == 2);
}

TEST_CASE("a hole reads as zeroes", "[nbd][sim]") {
  Bytes said;
  hole(said, 100, 5, false);
  data(said, 105, "abc", true);
  Asked read(Command::read, 100, 8);
  Talk talk(said);
  talk.ask({&read});
  REQUIRE(talk.answers.size() == 1);
  CHECK(std::string(reinterpret_cast<const char*>(read.bytes.data()), 8) ==
        std::string("\0\0\0\0\0abc", 8));
}

TEST_CASE("an error is an answer, and the connection goes on", "[nbd][sim]") {
  Asked first(Command::read, 0, 8);
  Asked second(Command::flush, 0, 0);
  second.length = 0;
  Bytes said;
  int expected = EIO;
  SECTION("of a known type") {
    const Bytes body = error_body(EIO, "sorry");
    said << sim::chunk(Chunk::error, static_cast<std::uint32_t>(body.size()), true);
    said.insert(said.end(), body.begin(), body.end());
  }
  SECTION("after some of the data") {
    const Bytes body = error_body(ENOSPC, "");
    data(said, 0, "da", false) << sim::chunk(Chunk::error, 6, true);
    said.insert(said.end(), body.begin(), body.end());
    expected = ENOSPC;
  }
  SECTION("T7 of an unknown type") {
    const Bytes body = error_body(EIO, "new");
    said << sim::chunk(static_cast<Chunk>(1u << 15 | 77), 9, true);
    said.insert(said.end(), body.begin(), body.end());
  }
  SECTION("T7 with a number that the protocol does not have") {
    const Bytes body = error_body(9999, "");
    said << sim::chunk(Chunk::error, 6, true);
    said.insert(said.end(), body.begin(), body.end());
    expected = EINVAL;
  }
  said << simple(0, sim::cookie_of(1));
  Talk talk(said);
  talk.ask({&first, &second});
  REQUIRE(talk.answers.size() == 2);
  CHECK(talk.answers[0] == std::pair<nbd::Request*, int>{&first, expected});
  CHECK(talk.answers[1] == std::pair<nbd::Request*, int>{&second, 0});
}

TEST_CASE("a tail that breaks the protocol loses the connection, not the request", "[nbd][sim]") {
  Bytes said;
  Asked read(Command::read, 4096, 8);
  Asked write(Command::write, 0, 8);
  Asked status(Command::block_status, 0, 4096);

  SECTION("T1 bad reply magic") {
    said << std::string_view("sixteen bytes...");
    check_broken(said, read, "magic");
  }
  SECTION("T2 an unknown cookie") {
    said << sim::chunk(Chunk::none, 0, true, sim::cookie_of(5));
    check_broken(said, read, "no request of ours");
  }
  SECTION("T2 a cookie of another generation") {
    said << sim::chunk(Chunk::none, 0, true, std::uint64_t{9} << 32);
    check_broken(said, read, "no request of ours");
  }
  SECTION("T4 a simple reply to READ where structured replies were agreed on") {
    said << simple(0) << std::string_view("datadata");
    check_broken(said, read, "simple reply");
  }
  SECTION("a structured reply that was not agreed on") {
    data(said, 4096, "datadata", true);
    check_broken(said, read, "not negotiated", false);
  }
  SECTION("T5 data before the request") {
    data(said, 4095, "data", true);
    check_broken(said, read, "outside");
  }
  SECTION("T5 data beyond the request") {
    data(said, 4100, "datadata", true);
    check_broken(said, read, "outside");
  }
  SECTION("T5 an offset that wraps") {
    data(said, ~std::uint64_t{0} - 2, "datadata", true);
    check_broken(said, read, "outside");
  }
  SECTION("T5 data twice") {
    data(said, 4096, "data", false);
    data(said, 4098, "tadata", true);
    check_broken(said, read, "overlaps");
  }
  SECTION("T5 data twice, ahead of its turn") {
    data(said, 4100, "da", false);
    data(said, 4101, "ta", true);
    check_broken(said, read, "overlaps");
  }
  SECTION("T5 a gap") {
    data(said, 4096, "dat", false);
    data(said, 4100, "data", true);
    check_broken(said, read, "does not cover");
  }
  SECTION("T5 nothing at all") {
    said << sim::chunk(Chunk::none, 0, true);
    check_broken(said, read, "does not cover");
  }
  SECTION("T5 no data in a data chunk") {
    said << sim::chunk(Chunk::offset_data, 8, true) << be64(std::uint64_t{4096});
    check_broken(said, read, "length");
  }
  SECTION("T5 a hole of nothing") {
    hole(said, 4096, 0, true);
    check_broken(said, read, "");
  }
  SECTION("T5 pieces where they were forbidden") {
    read.flags = nbd::command_flag::df;
    data(said, 4096, "data", false);
    data(said, 4100, "data", true);
    check_broken(said, read, "in pieces");
  }
  SECTION("T5 a hole over data") {
    data(said, 4096, "data", false);
    hole(said, 4099, 5, true);
    check_broken(said, read, "overlaps");
  }
  SECTION("T5 a hole that wraps") {
    hole(said, ~std::uint64_t{0} - 2, 8, true);
    check_broken(said, read, "outside");
  }
  SECTION("T6 a chunk of 4 GiB") {
    said << sim::chunk(Chunk::offset_data, 0xffffffff, true) << be64(std::uint64_t{4096});
    check_broken(said, read, "outside");
  }
  SECTION("T6 an error message of 64 KiB") {
    said << sim::chunk(Chunk::error, 70'000, true);
    check_broken(said, read, "");
  }
  SECTION("T7 an error that is none") {
    said << sim::chunk(Chunk::error, 6, true) << be32(0u) << be16(std::uint16_t{0});
    check_broken(said, read, "");
  }
  SECTION("T7 a message longer than its chunk") {
    said << sim::chunk(Chunk::error, 6, true) << be32(5u) << be16(std::uint16_t{40});
    check_broken(said, read, "");
  }
  SECTION("T7 an error at an offset outside the request") {
    said << sim::chunk(Chunk::error_offset, 14, true) << be32(5u) << be16(std::uint16_t{0})
         << be64(std::uint64_t{4095});
    check_broken(said, read, "outside");
  }
  SECTION("T7 an unknown chunk that is no error") {
    said << sim::chunk(static_cast<Chunk>(99), 0, true);
    check_broken(said, read, "");
  }
  SECTION("data in answer to a write") {
    data(said, 0, "datadata", true);
    check_broken(said, write, "nobody asked");
  }
  SECTION("T9 no extents") {
    said << sim::chunk(Chunk::block_status, 4, true) << be32(7u);
    check_broken(said, status, "");
  }
  SECTION("T9 a context that was not asked for") {
    said << sim::chunk(Chunk::block_status, 12, true) << be32(8u) << be32(4096u) << be32(0u);
    check_broken(said, status, "context");
  }
  SECTION("T9 an extent of nothing") {
    said << sim::chunk(Chunk::block_status, 12, true) << be32(7u) << be32(0u) << be32(0u);
    check_broken(said, status, "");
  }
  SECTION("T9 extents beyond the request") {
    said << sim::chunk(Chunk::block_status, 20, true) << be32(7u) << be32(4096u) << be32(0u)
         << be32(4096u) << be32(0u);
    check_broken(said, status, "beyond");
  }
  SECTION("T9 one extent that is too long is cut") {
    status.flags = nbd::command_flag::req_one;
    said << sim::chunk(Chunk::block_status, 12, true) << be32(7u) << be32(1u << 30) << be32(3u);
    Talk talk(said);
    talk.ask({&status});
    REQUIRE(talk.answers.size() == 1);
    CHECK(talk.answers[0].second == 0);
    REQUIRE(status.extents_filled == 1);
    CHECK(status.room[0].length == status.length);
    CHECK(status.room[0].flags == 3);
  }
  SECTION("T9 nothing but the end") {
    said << sim::chunk(Chunk::none, 0, true);
    check_broken(said, status, "without extents");
  }
  SECTION("T9 the same context twice") {
    for (const bool done : {false, true})
      said << sim::chunk(Chunk::block_status, 12, done) << be32(7u) << be32(512u) << be32(0u);
    check_broken(said, status, "two block statuses");
  }
  SECTION("T9 2^20 and one extents") {
    said << sim::chunk(Chunk::block_status, 4 + 8 * ((1u << 20) + 1), true) << be32(7u);
    check_broken(said, status, "");
  }
  SECTION("T2 an answer to what was refused before") {
    said << simple(ESHUTDOWN) << simple(0);
    check_broken(said, write, "shutting down");
  }
  SECTION("T12 the tail shuts down") {
    said << simple(ESHUTDOWN);
    check_broken(said, write, "shutting down");
  }
}

// The connection ended here once, and again each time the read was asked again.
TEST_CASE("a reply in more pieces than are kept track of is an answer", "[nbd][sim]") {
  constexpr auto pieces = static_cast<std::uint32_t>(nbd::Coverage::ahead_max + 10);
  Bytes said;
  Asked read(Command::read, 0, 2 * pieces);
  Asked flush(Command::flush, 0, 0);
  for (std::uint32_t i = 0; i < pieces; ++i) data(said, 2 * i + 1, "o", false);
  SECTION("for the owner to ask otherwise") {
    for (std::uint32_t i = 0; i < pieces; ++i) data(said, 2 * i, "e", i + 1 == pieces);
    said << simple(0, sim::cookie_of(1));
    Talk talk(said);
    talk.ask({&read, &flush});
    REQUIRE(talk.answers.size() == 2);
    CHECK(talk.answers[0] == std::pair<nbd::Request*, int>{&read, nbd::too_scattered});
    CHECK(talk.answers[1] == std::pair<nbd::Request*, int>{&flush, 0});
  }
  SECTION("unless it brings more bytes than were asked for") {
    for (std::uint32_t i = 0; i <= pieces; ++i) data(said, 0, "e", false);
    check_broken(said, read, "overlaps");
  }
  SECTION("and an error in it is the answer") {
    said << sim::chunk(Chunk::error, 6, true) << be32(5u) << be16(std::uint16_t{0});
    Talk talk(said);
    talk.ask({&read});
    REQUIRE(talk.answers.size() == 1);
    CHECK(talk.answers[0].second == EIO);
  }
}

TEST_CASE("a reply that finds no room beside another's pieces was only crowded out", "[nbd][sim]") {
  constexpr auto pieces = static_cast<std::uint32_t>(nbd::Coverage::ahead_max);
  Bytes said;
  Asked first(Command::read, 0, 2 * pieces);
  Asked second(Command::read, 1 << 20, 4);
  for (std::uint32_t i = 0; i < pieces; ++i) data(said, 2 * i + 1, "o", false);
  const auto reversed = [&](std::uint32_t offset, std::string_view text, bool done) {
    said << sim::chunk(Chunk::offset_data, 8 + 2, done, sim::cookie_of(1))
         << be64(std::uint64_t{offset}) << text;
  };
  reversed((1 << 20) + 2, "cd", false);
  reversed(1 << 20, "ab", true);
  for (std::uint32_t i = 0; i < pieces; ++i) data(said, 2 * i, "e", i + 1 == pieces);
  Talk talk(said);
  talk.ask({&first, &second});
  REQUIRE(talk.answers.size() == 2);
  CHECK(talk.answers[0] == std::pair<nbd::Request*, int>{&second, nbd::crowded_out});
  CHECK(talk.answers[1] == std::pair<nbd::Request*, int>{&first, 0});
}

TEST_CASE("T2 a second answer to an answered request ends the connection", "[nbd][sim]") {
  Bytes said;
  said << simple(0) << simple(0);
  Asked write(Command::write, 0, 8);
  Asked flush(Command::flush, 0, 0);
  flush.length = 0;
  Talk talk(said);
  talk.ask({&write, &flush});
  // The write counts as answered only once all of it had left; that is a race here.
  REQUIRE(talk.answers.size() + talk.back.size() == 2);
  CHECK(talk.back.back() == &flush);
  CHECK(talk.problem.find("no request of ours") != std::string::npos);
}

TEST_CASE("T5 a reply whose end is missing is no answer, however much it brought", "[nbd][sim]") {
  Bytes said;
  data(said, 4096, "datadata", false);
  Asked read(Command::read, 4096, 8);
  Talk talk(said);
  talk.ask({&read});
  CHECK(talk.connection.ready());
  CHECK(talk.answers.empty());
  CHECK(talk.back.empty());
  talk.connection.fail("nothing more came");
  talk.go_on();
  CHECK(talk.answers.empty());
  CHECK(talk.back == std::vector<nbd::Request*>{&read});
}

TEST_CASE("T5 a chunk after the end of its reply ends the connection", "[nbd][sim]") {
  const auto seed = GENERATE(range(1u, 30u));
  CAPTURE(seed);
  Bytes said;
  data(said, 4096, "datadata", true);
  data(said, 4096, "evil", true);
  Asked read(Command::read, 4096, 8);
  Asked flush(Command::flush, 0, 0);
  Talk talk(said, true, seed);
  talk.ask({&read, &flush});
  REQUIRE(talk.answers.size() + talk.back.size() == 2);  // As with a second answer.
  CHECK(talk.back.back() == &flush);
  CHECK(talk.problem.find("no request of ours") != std::string::npos);
  CHECK(std::string(reinterpret_cast<const char*>(read.bytes.data()), 8) == "datadata");
}

TEST_CASE("block status comes as extents of the request", "[nbd][sim]") {
  Bytes said;
  said << sim::chunk(Chunk::block_status, 20, true) << be32(7u) << be32(1024u) << be32(3u)
       << be32(1u << 20) << be32(0u);
  Asked status(Command::block_status, 0, 4096);
  Talk talk(said);
  talk.ask({&status});
  REQUIRE(talk.answers.size() == 1);
  REQUIRE(status.extents_filled == 2);
  CHECK(status.room[0].length == 1024);
  CHECK(status.room[0].flags == 3);
  CHECK(status.room[1].length == 3072);
}

TEST_CASE("T8 an error in answer to READ has no data behind it", "[nbd][sim]") {
  Bytes said;
  said << simple(EIO) << simple(0, sim::cookie_of(1)) << std::string_view("datadata");
  Asked failing(Command::read, 0, 8);
  Asked read(Command::read, 4096, 8);
  Talk talk(said, false);
  talk.ask({&failing, &read});
  REQUIRE(talk.answers.size() == 2);
  CHECK(talk.answers[0] == std::pair<nbd::Request*, int>{&failing, EIO});
  CHECK(talk.answers[1] == std::pair<nbd::Request*, int>{&read, 0});
}

TEST_CASE("a connection that lacks a file number says where to get more", "[nbd][sim]") {
  Talk talk(Bytes{});
  talk.io.faults.no_socket = EMFILE;
  talk.ask({});
  CHECK(talk.closed());
  CHECK(talk.problem.find("LimitNOFILE=") != std::string::npos);
}
