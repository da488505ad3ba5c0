// The handshake against the servers that people run, up to the first bytes read from them.
#include "head/nbd/handshake.hpp"
#include "tests/nbd_real_server.hpp"
#include "tests/skip.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace head;
using namespace head::nbd;
using tests::RealServer;
using What = ClientHandshake::Step::What;

namespace {

bool missing(const char* program) {
  if (tests::is_installed(program)) return false;
  tests::skip(std::string(program) + " is not installed");
  return true;
}

void shake_hands(RealServer& server, ClientHandshake& client, What expected) {
  auto step = client.start();
  while (step.what == What::need) {
    REQUIRE(server.send(step.send));
    const auto bytes = server.receive(step.expect);
    REQUIRE(bytes.size() == step.expect);
    step = client.step(bytes);
  }
  INFO(client.problem());
  REQUIRE(step.what == expected);
}

// Reads 4 KiB at offset 8192, which every server here filled with 'x', then says goodbye.
void read_something(RealServer& server, const ClientHandshake& client) {
  wire::Request request;
  request.type = static_cast<std::uint16_t>(Command::read);
  request.cookie = 77u;
  request.offset = 8192u;
  request.length = 4096u;
  REQUIRE(server.send(wire::bytes_of(request)));

  std::uint32_t left = 4096;
  for (bool done = false; !done;) {
    auto bytes = server.receive(reply_start_size);
    REQUIRE(bytes.size() == reply_start_size);
    auto header = decode_reply_start(std::span(bytes).first<reply_start_size>());
    REQUIRE(header);
    CHECK(header->cookie == 77);
    CHECK(header->structured == client.info().structured_replies);
    if (!header->structured) {
      REQUIRE(header->error == 0);
      CHECK(server.receive(4096) == std::vector<std::byte>(4096, std::byte{'x'}));
      left = 0;
      break;
    }
    bytes = server.receive(reply_length_size);
    REQUIRE(bytes.size() == reply_length_size);
    header = complete_reply(*header, std::span(bytes).first<reply_length_size>());
    REQUIRE(header);
    done = header->done();
    if (header->chunk() == wire::Chunk::none) continue;
    REQUIRE(header->chunk() == wire::Chunk::offset_data);
    bytes = server.receive(8);
    REQUIRE(bytes.size() == 8);
    const Content content = decode_offset_data(*header, std::span(bytes).first<8>());
    REQUIRE(inside(content.offset, content.length, 8192, 4096));
    CHECK(server.receive(content.length) == std::vector<std::byte>(content.length, std::byte{'x'}));
    left -= content.length;
  }
  CHECK(left == 0);

  wire::Request goodbye;
  goodbye.type = static_cast<std::uint16_t>(Command::disconnect);
  CHECK(server.send(wire::bytes_of(goodbye)));
}

// One MiB and one byte, so that rounding shows.
std::string image(const tests::Folder& folder) {
  const std::string path = folder / "disc.img";
  std::ofstream(path) << std::string((1 << 20) + 1, 'x');
  return path;
}

const std::vector<std::string> nbdkit_pattern = {"nbdkit", "-s", "data", "data=\"x\"*1048576",
                                                 "size=1M"};

}  // namespace

TEST_CASE("nbdkit opens by GO, with structured replies and extents", "[nbd][peers]") {
  if (missing("nbdkit")) return;
  RealServer server(nbdkit_pattern, RealServer::Start::inetd);
  ClientHandshake client("any name");
  shake_hands(server, client, What::done);
  CHECK(client.info().size == 1 << 20);
  CHECK(client.info().structured_replies);
  CHECK(client.info().base_allocation);
  CHECK(client.info().has(transmission_flag::send_fua));
  read_something(server, client);
}

TEST_CASE("nbdkit opens by the oldstyle handshake", "[nbd][peers]") {
  if (missing("nbdkit")) return;
  auto command = nbdkit_pattern;
  command.insert(command.begin() + 1, "-o");
  RealServer server(command, RealServer::Start::inetd);
  ClientHandshake client("");
  shake_hands(server, client, What::done);
  CHECK(client.info().size == 1 << 20);
  CHECK(client.info().block_minimum == 512);
  CHECK(!client.info().structured_replies);
  read_something(server, client);
}

TEST_CASE("nbdkit without structured replies opens all the same", "[nbd][peers]") {
  if (missing("nbdkit")) return;
  auto command = nbdkit_pattern;
  command.insert(command.begin() + 1, "--no-sr");
  RealServer server(command, RealServer::Start::inetd);
  ClientHandshake client("");
  shake_hands(server, client, What::done);
  CHECK(!client.info().structured_replies);
  CHECK(!client.info().base_allocation);
  read_something(server, client);
}

TEST_CASE("nbdkit's block sizes are taken over", "[nbd][peers]") {
  if (missing("nbdkit")) return;
  RealServer server({"nbdkit", "-s", "--filter=blocksize-policy", "data", "data=\"x\"*1048576",
                     "size=1M", "blocksize-minimum=4096", "blocksize-preferred=64K",
                     "blocksize-maximum=1M", "blocksize-error-policy=error"},
                    RealServer::Start::inetd);
  ClientHandshake client("");
  shake_hands(server, client, What::done);
  CHECK(client.info().block_minimum == 4096);
  CHECK(client.info().block_preferred == 65536);
  CHECK(client.info().payload_maximum == 1 << 20);
  read_something(server, client);
}

TEST_CASE("nbd-server opens, and an unknown export is named", "[nbd][peers]") {
  if (missing("nbd-server")) return;
  const tests::Folder folder;
  const std::string configuration = folder / "config";
  std::ofstream(configuration) << "[generic]\n[disk]\nexportname = " << image(folder) << "\n";
  const std::vector<std::string> command = {"nbd-server", "-d", "0", "-C", configuration};
  SECTION("the export it has") {
    RealServer server(command, RealServer::Start::inetd);
    ClientHandshake client("disk");
    shake_hands(server, client, What::done);
    CHECK(client.info().size >= 1 << 20);
    read_something(server, client);
  }
  SECTION("an export it has not") {
    RealServer server(command, RealServer::Start::inetd);
    ClientHandshake client("another");
    shake_hands(server, client, What::failed);
    CHECK(client.failure() == HandshakeFailure::export_unknown);
    CHECK_THAT(client.problem(), Catch::Matchers::Contains("\"another\""));
  }
}

TEST_CASE("qemu-nbd opens with its block sizes, and an unknown export is named", "[nbd][peers]") {
  if (missing("qemu-nbd")) return;
  const tests::Folder folder;
  const std::vector<std::string> command = {"qemu-nbd", "-f", "raw", "-x", "disk", image(folder)};
  SECTION("the export it has") {
    RealServer server(command, RealServer::Start::socket_activation);
    ClientHandshake client("disk");
    shake_hands(server, client, What::done);
    CHECK(client.info().structured_replies);
    CHECK(client.info().base_allocation);
    CHECK(client.info().payload_maximum == 32u << 20);
    CHECK(client.info().has(transmission_flag::send_write_zeroes));
    read_something(server, client);
  }
  SECTION("an export it has not") {
    RealServer server(command, RealServer::Start::socket_activation);
    ClientHandshake client("another");
    shake_hands(server, client, What::failed);
    CHECK(client.failure() == HandshakeFailure::export_unknown);
  }
}
