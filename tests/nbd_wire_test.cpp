#include "head/nbd/wire.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <limits>
#include <string>
#include <vector>

using namespace head;
using namespace head::nbd;

namespace {

std::vector<std::byte> chunk(wire::Chunk type, std::uint32_t length,
                             std::uint16_t flags = wire::reply_flag_done) {
  wire::StructuredReply reply;
  reply.flags = flags;
  reply.type = static_cast<std::uint16_t>(type);
  reply.cookie = std::uint64_t{0x0102030405060708};
  reply.length = length;
  const auto bytes = wire::bytes_of(reply);
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> error_body(std::uint32_t error, std::uint16_t message_length,
                                  const std::string& rest) {
  wire::ErrorHead head;
  head.error = error;
  head.message_length = message_length;
  const auto bytes = wire::bytes_of(head);
  std::vector<std::byte> body(bytes.begin(), bytes.end());
  for (const char c : rest) body.push_back(static_cast<std::byte>(c));
  return body;
}

ReplyHeader error_header(wire::Chunk type, std::size_t length) {
  const auto header = decode_reply_header(chunk(type, static_cast<std::uint32_t>(length)));
  REQUIRE(header);
  return *header;
}

}  // namespace

TEST_CASE("A simple reply is its error and its cookie", "[nbd]") {
  wire::SimpleReply reply;
  reply.error = 28u;
  reply.cookie = 77u;
  const auto header = decode_reply_header(wire::bytes_of(reply));
  REQUIRE(header);
  CHECK(!header->structured);
  CHECK(header->error == 28);
  CHECK(header->cookie == 77);
  CHECK(header->done());
}

TEST_CASE("T1: a reply with another magic number is refused", "[nbd]") {
  for (std::size_t i = 0; i < 4; ++i) {
    auto bytes = chunk(wire::Chunk::none, 0);
    bytes[i] ^= std::byte{1};
    const auto header = decode_reply_header(bytes);
    REQUIRE(!header);
    CHECK(header.error() == ProtocolError::bad_magic);
  }
  CHECK(!decode_reply_header({}));
  const auto whole = chunk(wire::Chunk::none, 0);
  CHECK(!decode_reply_header(std::span(whole).first(19)));
}

TEST_CASE("A structured reply can be read in two pieces", "[nbd]") {
  const auto bytes = chunk(wire::Chunk::offset_data, 4104, 0);
  const auto start = decode_reply_start(std::span(bytes).first<16>());
  REQUIRE(start);
  REQUIRE(start->structured);
  CHECK(start->cookie == 0x0102030405060708);
  const auto whole = complete_reply(*start, std::span(bytes).subspan<16, 4>());
  REQUIRE(whole);
  CHECK(whole->chunk() == wire::Chunk::offset_data);
  CHECK(whole->length == 4104);
  CHECK(!whole->done());
}

TEST_CASE("T6: a chunk's length fits its type", "[nbd]") {
  struct Row {
    wire::Chunk type;
    std::uint32_t length;
    bool good;
  };
  const auto row = GENERATE(
      Row{wire::Chunk::none, 0, true}, Row{wire::Chunk::none, 1, false},
      Row{wire::Chunk::offset_data, 0, false}, Row{wire::Chunk::offset_data, 8, false},
      Row{wire::Chunk::offset_data, 9, true}, Row{wire::Chunk::offset_data, ~0u, true},
      Row{wire::Chunk::offset_hole, 11, false}, Row{wire::Chunk::offset_hole, 12, true},
      Row{wire::Chunk::offset_hole, 13, false}, Row{wire::Chunk::block_status, 4, false},
      Row{wire::Chunk::block_status, 12, true}, Row{wire::Chunk::block_status, 13, false},
      Row{wire::Chunk::block_status, 0, false},
      Row{wire::Chunk::block_status, 4 + (8u << 20), true},
      Row{wire::Chunk::block_status, 12 + (8u << 20), false}, Row{wire::Chunk::error, 5, false},
      Row{wire::Chunk::error, 6, true}, Row{wire::Chunk::error, 4110, true},
      Row{wire::Chunk::error, 4111, false}, Row{wire::Chunk::error_offset, 13, false},
      Row{wire::Chunk::error_offset, 14, true}, Row{static_cast<wire::Chunk>(0x8077), 5, false},
      Row{static_cast<wire::Chunk>(0x8077), 6, true}, Row{static_cast<wire::Chunk>(3), 0, false},
      Row{static_cast<wire::Chunk>(6), 16, false});
  CAPTURE(static_cast<int>(row.type), row.length);
  CHECK(static_cast<bool>(decode_reply_header(chunk(row.type, row.length))) == row.good);
}

TEST_CASE("The chunk without content is the last one", "[nbd]") {
  const auto header = decode_reply_header(chunk(wire::Chunk::none, 0, 0));
  REQUIRE(!header);
  CHECK(header.error() == ProtocolError::not_done);
}

TEST_CASE("Unknown reply flags are ignored", "[nbd]") {
  const auto header = decode_reply_header(chunk(wire::Chunk::none, 0, 0xffff));
  REQUIRE(header);
  CHECK(header->done());
}

TEST_CASE("T7: an error chunk names an error and holds its message", "[nbd]") {
  SECTION("with a message") {
    const auto body = error_body(5, 3, "ohno");
    const auto error = decode_error_chunk(error_header(wire::Chunk::error, body.size()), body);
    REQUIRE(error);
    CHECK(error->error == 5);
    CHECK(error->message == "ohn");
    CHECK(!error->at);
  }
  SECTION("with an offset behind the message") {
    const auto body = error_body(28, 2, std::string("no\0\0\0\0\0\0\x10\0", 10));
    const auto error =
        decode_error_chunk(error_header(wire::Chunk::error_offset, body.size()), body);
    REQUIRE(error);
    CHECK(error->message == "no");
    CHECK(error->at == 4096u);
  }
  SECTION("that says no error") {
    const auto body = error_body(0, 0, "");
    const auto error = decode_error_chunk(error_header(wire::Chunk::error, body.size()), body);
    REQUIRE(!error);
    CHECK(error.error() == ProtocolError::no_error);
  }
  SECTION("whose message ends after the chunk") {
    const auto body = error_body(5, 5, "ohno");
    const auto error = decode_error_chunk(error_header(wire::Chunk::error, body.size()), body);
    REQUIRE(!error);
    CHECK(error.error() == ProtocolError::message_too_long);
  }
  SECTION("whose message runs into the offset") {
    const auto body = error_body(5, 3, std::string("no\0\0\0\0\0\0\x10\0", 10));
    CHECK(!decode_error_chunk(error_header(wire::Chunk::error_offset, body.size()), body));
  }
  SECTION("whose message is longer than a string may be") {
    const auto body = error_body(5, 4097, std::string(4097, 'x'));
    CHECK(!decode_error_chunk(error_header(wire::Chunk::error, body.size()), body));
  }
}

TEST_CASE("T9: an extent or a hole has bytes", "[nbd]") {
  wire::BlockDescriptor descriptor;
  descriptor.flags = 0xffu;
  CHECK(!decode_extent(std::span<const std::byte, 8>(wire::bytes_of(descriptor))));
  descriptor.length = 4096u;
  const auto extent = decode_extent(std::span<const std::byte, 8>(wire::bytes_of(descriptor)));
  REQUIRE(extent);
  CHECK(extent->length == 4096);
  CHECK(extent->flags == 3);

  wire::OffsetHole hole;
  hole.offset = 512u;
  CHECK(!decode_offset_hole(std::span<const std::byte, 12>(wire::bytes_of(hole))));
  hole.size = 1u;
  CHECK(decode_offset_hole(std::span<const std::byte, 12>(wire::bytes_of(hole)))->offset == 512);
}

TEST_CASE("T5: a stretch is inside another without wrapping around", "[nbd]") {
  constexpr auto top = std::numeric_limits<std::uint64_t>::max();
  CHECK(inside(0, 0, 0, 0));
  CHECK(inside(10, 5, 10, 5));
  CHECK(inside(12, 3, 10, 5));
  CHECK(!inside(12, 4, 10, 5));
  CHECK(!inside(9, 2, 10, 5));
  CHECK(!inside(top, 2, 10, 5));
  CHECK(!inside(top - 1, 4, 0, 100));
  CHECK(inside(top - 1, 1, top - 5, 5));
}

TEST_CASE("A request is read as it was written", "[nbd]") {
  wire::Request request;
  request.flags = std::uint16_t{command_flag::fua};
  request.type = static_cast<std::uint16_t>(Command::write);
  request.cookie = 9u;
  request.offset = std::uint64_t{1} << 40;
  request.length = 4096u;
  const auto header = decode_request(std::span<const std::byte, 28>(wire::bytes_of(request)));
  REQUIRE(header);
  CHECK(header->flags == command_flag::fua);
  CHECK(header->type == 1);
  CHECK(header->cookie == 9);
  CHECK(header->offset == std::uint64_t{1} << 40);
  CHECK(header->length == 4096);

  request.magic = wire::simple_reply_magic;
  CHECK(!decode_request(std::span<const std::byte, 28>(wire::bytes_of(request))));
}

TEST_CASE("Errors cross the wire as the protocol's, and come back as Linux's", "[nbd]") {
  for (const int error : {0, EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN})
    CHECK(errno_from_wire(wire_from_errno(error)) == error);
  CHECK(errno_from_wire(9999) == EINVAL);
  CHECK(errno_from_wire(2) == EINVAL);
  CHECK(wire_from_errno(EROFS) == EPERM);
  CHECK(wire_from_errno(EDQUOT) == ENOSPC);
  CHECK(wire_from_errno(ETIMEDOUT) == EIO);
}
