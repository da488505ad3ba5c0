// The document between two headds: nothing is lost in it, and nothing that is damaged is believed.
#include "head/control/handover.hpp"
#include "head/control/upgrade_channel.hpp"
#include "tests/folder.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <filesystem>
#include <fstream>
#include <sys/socket.h>

using namespace head;
using namespace head::control;
using namespace std::chrono_literals;

namespace {

std::vector<std::byte> bytes(std::string_view text) {
  const auto all = std::as_bytes(std::span(text));
  return {all.begin(), all.end()};
}

std::vector<exports::HandedDisc> example() {
  std::vector<exports::HandedDisc> discs(2);
  discs[0].name = "vm1-root";
  discs[0].cookie = 41;
  discs[0].sessions.resize(2);
  auto& talking = discs[0].sessions[0];
  talking.cookie = 42;
  talking.size = 1 << 30;
  talking.terms = {.flags = 0x145, .structured_replies = true, .base_allocation = true};
  talking.said = bytes("a request and half of another");
  talking.unsent = bytes("the end of an answer");
  auto& greeting = discs[0].sessions[1];
  greeting.cookie = 43;
  greeting.handshake = exports::ServerHandshake::Pause{
      .state = exports::ServerHandshake::State::waiting,
      .no_zeroes = true,
      .options = 3,
      .option = 7,
      .length = 6,
      .body = bytes("option"),
      .terms = {.flags = 0, .structured_replies = true, .base_allocation = false}};
  discs[1].name = "vm2-root";
  discs[1].legacy = {.shape = nbd::ExportInfo{.size = 3 << 20,
                                              .flags = 0x16d,
                                              .block_minimum = 512,
                                              .block_preferred = 4096,
                                              .payload_maximum = 1 << 20,
                                              .structured_replies = true,
                                              .base_allocation = false},
                     .first_block_length = 4096,
                     .first_block_sum = 0x0123456789abcdef,
                     .last_writes = {{.offset = 8192, .length = 512, .content = 5}},
                     .doubts = {{.offset = 512, .length = 1024, .until_ns = 77}},
                     .log = bytes("a change"),
                     .log_abandoned = true,
                     .owed_since_ns = 99};
  auto& connection = discs[1].connections.emplace_back();
  connection.cookie = 44;
  connection.to = {.port = 10809, .interface = "eth1", .export_name = "a disc"};
  connection.to.address = {0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  connection.info = *discs[1].legacy.shape;
  connection.context = 9;
  connection.note = "it says nothing of block sizes";
  connection.acknowledges_at_once = true;
  connection.round_trip = 77us;
  connection.sent = 5'000'000'000;
  connection.generation = 12;
  return discs;
}

std::array<iouring::UniqueFd, 2> socket_pair() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  return {iouring::UniqueFd(iouring::adopt, ends[0]), iouring::UniqueFd(iouring::adopt, ends[1])};
}

}  // namespace

TEST_CASE("What is handed over says the same at the other end", "[control][handover]") {
  const auto document = to_document(example());
  const auto [discs, problem] = parse_document(document);
  REQUIRE(problem.empty());
  REQUIRE(discs.size() == 2);
  const auto& [talking, greeting] = std::tie(discs[0].sessions[0], discs[0].sessions[1]);
  CHECK(discs[0].name == "vm1-root");
  CHECK(discs[0].cookie == 41);
  CHECK(talking.size == 1 << 30);
  CHECK(talking.terms.flags == 0x145);
  CHECK(talking.terms.base_allocation);
  CHECK(talking.said == bytes("a request and half of another"));
  CHECK(talking.unsent == bytes("the end of an answer"));
  REQUIRE(greeting.handshake);
  CHECK(greeting.handshake->option == 7);
  CHECK(greeting.handshake->body == bytes("option"));
  CHECK(greeting.handshake->terms.structured_replies);
  CHECK(discs[1].sessions.empty());
  CHECK(discs[0].legacy == nbd::Legacy{});
  CHECK(discs[1].legacy == example()[1].legacy);
  CHECK(discs[0].connections.empty());
  REQUIRE(discs[1].connections.size() == 1);
  const auto examples = example();
  const auto& [connection, sent] = std::tie(discs[1].connections[0], examples[1].connections[0]);
  CHECK(connection.cookie == 44);
  CHECK(connection.to == sent.to);
  CHECK(connection.info == sent.info);
  CHECK(connection.context == 9);
  CHECK(connection.note == sent.note);
  CHECK(connection.acknowledges_at_once);
  CHECK(connection.round_trip == 77us);
  CHECK(connection.sent == 5'000'000'000);
  CHECK(connection.generation == 12);
  CHECK(to_document(discs) == document);
}

TEST_CASE("A document that is cut short, too long, or of another version is refused",
          "[control][handover]") {
  auto document = to_document(example());
  for (std::size_t size = 0; size < document.size(); ++size) {
    CAPTURE(size);
    const auto [discs, problem] = parse_document(std::span(document).first(size));
    CHECK(discs.empty());
    CHECK(problem.find("headd") != std::string::npos);
  }
  auto longer = document;
  longer.push_back(std::byte{0});
  CHECK(!parse_document(longer).problem.empty());
  auto newer = document;
  newer[11] = std::byte{99};
  CHECK(parse_document(newer).problem.find("version 99") != std::string::npos);
  auto other = document;
  other[0] = std::byte{0};
  CHECK(!parse_document(other).problem.empty());
}

TEST_CASE("A shape that no disc can have is passed over, and its disc is not",
          "[control][handover]") {
  const auto with = [](const nbd::ExportInfo& shape) {
    std::vector<exports::HandedDisc> discs(1);
    discs[0].legacy.shape = shape;
    discs[0].legacy.first_block_length = 512;
    const auto document = parse_document(to_document(discs));
    REQUIRE(document.discs.size() == 1);
    CHECK(document.discs[0].legacy.first_block_length == 512);
    return document.discs[0].legacy.shape;
  };
  CHECK(with({.size = 4096}) == nbd::ExportInfo{.size = 4096});
  CHECK_FALSE(with({.size = 0}));
  CHECK_FALSE(with({.size = UINT64_MAX}));
  CHECK_FALSE(with({.size = 4096, .block_minimum = 0}));
  CHECK_FALSE(with({.size = 513, .block_minimum = 512}));
}

TEST_CASE("A length that promises more than there is makes no memory", "[control][handover]") {
  std::vector<exports::HandedDisc> discs(1);
  discs[0].name = "a";
  discs[0].sessions.resize(1);
  auto document = to_document(discs);
  // The last 8 bytes are the length of what is unsent, the 8 before those of what was said.
  for (std::size_t i = document.size() - 16; i < document.size(); ++i)
    document[i] = std::byte{0xff};
  CHECK(!parse_document(document).problem.empty());
}

TEST_CASE("Sockets are found whatever order they come in; a guest without one is left out",
          "[control][handover]") {
  auto first = socket_pair();
  auto second = socket_pair();
  std::vector<exports::HandedDisc> discs(1);
  discs[0].name = "a";
  discs[0].listener = std::move(first[0]);
  discs[0].sessions.resize(2);
  discs[0].sessions[0].socket = std::move(second[0]);
  discs[0].sessions[0].size = 1;
  discs[0].sessions[1].socket = std::move(second[1]);
  discs[0].sessions[1].size = 2;
  note_cookies(discs);
  const std::uint64_t listener = discs[0].cookie;
  CHECK(listener != 0);
  CHECK(descriptors_of(discs).size() == 3);

  auto read = parse_document(to_document(discs));
  REQUIRE(read.problem.empty());
  auto taken = std::move(read.discs);
  std::vector<iouring::UniqueFd> came;
  came.push_back(std::move(discs[0].sessions[1].socket));
  came.push_back(std::move(discs[0].listener));
  CHECK(take_descriptors(taken, std::move(came)) == 1);
  CHECK(cookie_of(taken[0].listener.fd()) == listener);
  REQUIRE(taken[0].sessions.size() == 1);
  CHECK(taken[0].sessions[0].size == 2);
}

TEST_CASE("A connection to a tail is found by its socket, or is made anew", "[control][handover]") {
  auto first = socket_pair();
  auto second = socket_pair();
  auto guest = socket_pair();
  std::vector<exports::HandedDisc> discs(1);
  discs[0].name = "a";
  for (auto* const socket : {&first, &second}) {
    auto& connection = discs[0].connections.emplace_back();
    connection.socket = std::move((*socket)[0]);
    connection.info.size = 4096;
  }
  discs[0].sessions.resize(1);
  discs[0].sessions[0].socket = std::move(guest[0]);
  note_cookies(discs);
  const std::uint64_t cookie = discs[0].connections[1].cookie;
  // Guests come first: what there is no room for is at the end.
  const auto descriptors = descriptors_of(discs);
  REQUIRE(descriptors.size() == 3);
  CHECK(cookie_of(descriptors[0]) == discs[0].sessions[0].cookie);

  auto taken = parse_document(to_document(discs)).discs;
  std::vector<iouring::UniqueFd> came;
  came.push_back(std::move(discs[0].connections[1].socket));
  came.push_back(std::move(discs[0].sessions[0].socket));
  CHECK(take_descriptors(taken, std::move(came)) == 0);  // No guest has gone.
  REQUIRE(taken[0].connections.size() == 1);
  CHECK(cookie_of(taken[0].connections[0].socket.fd()) == cookie);
}

TEST_CASE("A channel carries words, sentences and descriptors, and knows silence from an end",
          "[control][handover]") {
  auto [ours, socket] = UpgradeChannel::pair();
  auto theirs = std::make_unique<UpgradeChannel>(std::move(socket));
  const auto soon = [] { return std::chrono::steady_clock::now() + 20ms; };
  CHECK(!ours.hear(soon()));
  const auto ends = socket_pair();
  const std::array<int, 2> numbers{ends[0].fd(), ends[1].fd()};
  REQUIRE(ours.say("guests", "two of them", numbers));
  const auto heard = theirs->hear(soon());
  REQUIRE(heard);
  CHECK(heard->word == "guests");
  CHECK(heard->sentence == "two of them");
  REQUIRE(heard->descriptors.size() == 2);
  CHECK(cookie_of(heard->descriptors[1].fd()) == cookie_of(ends[1].fd()));
  theirs.reset();
  CHECK(!ours.say("more"));
  CHECK(!ours.hear(soon()));
}
