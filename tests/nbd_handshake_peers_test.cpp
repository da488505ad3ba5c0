// The handshake against the servers that people run, up to the first bytes read from them.
#include "head/nbd/handshake.hpp"
#include "tests/nbd_real_server.hpp"
#include "tests/skip.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <fstream>

using namespace head;
using namespace head::nbd;
using Catch::Matchers::Contains;
using Start = tests::RealServer::Start;

namespace {

bool missing(const char* program) {
  if (tests::is_installed(program)) return false;
  tests::skip(std::string(program) + " is not installed");
  return true;
}

// A server of its own, and how far the handshake with it came.
class Peer {
 public:
  Peer(const std::vector<std::string>& command, Start how, const std::string& export_name)
      : client(export_name), server_(command, how) {
    auto step = client.start();
    while (step.what == ClientHandshake::Step::What::need) {
      REQUIRE(server_.send(step.send));
      const auto bytes = server_.receive(step.expect);
      REQUIRE(bytes.size() == step.expect);
      step = client.step(bytes);
    }
  }

  // What it serves, once 4 KiB at offset 8192 were read, which every server here filled with 'x'.
  const ExportInfo& opened() {
    INFO(client.problem());
    REQUIRE(client.failure() == HandshakeFailure::none);
    wire::Request request;
    request.type = static_cast<std::uint16_t>(Command::read);
    request.cookie = 77u;
    request.offset = 8192u;
    request.length = 4096u;
    REQUIRE(server_.send(wire::bytes_of(request)));
    std::uint32_t left = 4096;
    while (!take_chunk(left)) {
    }
    CHECK(left == 0);
    wire::Request goodbye;
    goodbye.type = static_cast<std::uint16_t>(Command::disconnect);
    CHECK(server_.send(wire::bytes_of(goodbye)));
    return client.info();
  }

  ClientHandshake client;

 private:
  // True for the last one.
  bool take_chunk(std::uint32_t& left) {
    const auto start = receive<reply_start_size>();
    auto header = decode_reply_start(start);
    REQUIRE(header);
    CHECK(header->cookie == 77);
    CHECK(header->structured == client.info().structured_replies);
    if (!header->structured) {
      REQUIRE(header->error == 0);
      take_data(left, left);
      return true;
    }
    header = complete_reply(*header, receive<reply_length_size>());
    REQUIRE(header);
    if (header->chunk() == wire::Chunk::none) return true;
    REQUIRE(header->chunk() == wire::Chunk::offset_data);
    const Content content = decode_offset_data(*header, receive<8>());
    REQUIRE(inside(content.offset, content.length, 8192, 4096));
    take_data(content.length, left);
    return header->done();
  }

  void take_data(std::uint32_t size, std::uint32_t& left) {
    REQUIRE(size <= left);
    CHECK(server_.receive(size) == std::vector<std::byte>(size, std::byte{'x'}));
    left -= size;
  }

  template <std::size_t size>
  std::array<std::byte, size> receive() {
    const auto bytes = server_.receive(size);
    REQUIRE(bytes.size() == size);
    std::array<std::byte, size> all;
    std::copy(bytes.begin(), bytes.end(), all.begin());
    return all;
  }

  tests::RealServer server_;
};

// A file of one MiB and one byte, so that rounding shows.
std::string image(const tests::Folder& folder) {
  const std::string path = folder / "disc.img";
  std::ofstream(path) << std::string((1 << 20) + 1, 'x');
  return path;
}

// nbdkit with one MiB of 'x', and with `options` before what it serves.
std::vector<std::string> nbdkit(const std::vector<std::string>& options = {},
                                const std::vector<std::string>& more = {}) {
  std::vector<std::string> command = {"nbdkit", "-s"};
  command.insert(command.end(), options.begin(), options.end());
  command.insert(command.end(), {"data", "data=\"x\"*1048576", "size=1M"});
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

}  // namespace

TEST_CASE("nbdkit opens by GO, with structured replies and extents", "[nbd][peers]") {
  if (missing("nbdkit")) return;
  Peer peer(nbdkit(), Start::inetd, "any name");
  const ExportInfo info = peer.opened();
  CHECK(info.size == 1 << 20);
  CHECK(info.structured_replies);
  CHECK(info.base_allocation);
  CHECK(info.has(transmission_flag::send_fua));
}

TEST_CASE("nbdkit opens by the oldstyle handshake", "[nbd][peers]") {
  if (missing("nbdkit")) return;
  Peer peer(nbdkit({"-o"}), Start::inetd, "");
  const ExportInfo info = peer.opened();
  CHECK(info.size == 1 << 20);
  CHECK(info.block_minimum == 512);
  CHECK(!info.structured_replies);
}

TEST_CASE("nbdkit without structured replies opens all the same", "[nbd][peers]") {
  if (missing("nbdkit")) return;
  Peer peer(nbdkit({"--no-sr"}), Start::inetd, "");
  const ExportInfo info = peer.opened();
  CHECK(!info.structured_replies);
  CHECK(!info.base_allocation);
}

TEST_CASE("nbdkit's block sizes are taken over", "[nbd][peers]") {
  if (missing("nbdkit")) return;
  Peer peer(nbdkit({"--filter=blocksize-policy"},
                   {"blocksize-minimum=4096", "blocksize-preferred=64K", "blocksize-maximum=1M",
                    "blocksize-error-policy=error"}),
            Start::inetd, "");
  const ExportInfo info = peer.opened();
  CHECK(info.block_minimum == 4096);
  CHECK(info.block_preferred == 65536);
  CHECK(info.payload_maximum == 1 << 20);
}

TEST_CASE("nbd-server opens, and an unknown export is named", "[nbd][peers]") {
  if (missing("nbd-server")) return;
  const tests::Folder folder;
  const std::string configuration = folder / "config";
  std::ofstream(configuration) << "[generic]\n[disk]\nexportname = " << image(folder) << "\n";
  const std::vector<std::string> command = {"nbd-server", "-d", "0", "-C", configuration};
  SECTION("the export it has") {
    Peer peer(command, Start::inetd, "disk");
    CHECK(peer.opened().size >= 1 << 20);
  }
  SECTION("an export it has not") {
    const Peer peer(command, Start::inetd, "another");
    CHECK(peer.client.failure() == HandshakeFailure::export_unknown);
    CHECK_THAT(peer.client.problem(), Contains("\"another\""));
  }
}

TEST_CASE("qemu-nbd opens with its block sizes, and an unknown export is named", "[nbd][peers]") {
  if (missing("qemu-nbd")) return;
  const tests::Folder folder;
  const std::vector<std::string> command = {"qemu-nbd", "-f", "raw", "-x", "disk", image(folder)};
  SECTION("the export it has") {
    Peer peer(command, Start::socket_activation, "disk");
    const ExportInfo info = peer.opened();
    CHECK(info.structured_replies);
    CHECK(info.base_allocation);
    CHECK(info.payload_maximum == 32u << 20);
    CHECK(info.has(transmission_flag::send_write_zeroes));
  }
  SECTION("an export it has not") {
    const Peer peer(command, Start::socket_activation, "another");
    CHECK(peer.client.failure() == HandshakeFailure::export_unknown);
  }
}
