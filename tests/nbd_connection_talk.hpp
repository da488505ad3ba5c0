// The production connection and one tail in the simulated world, and what became of the requests.
#pragma once

#include "head/nbd/connection.hpp"
#include "tests/sim/script_tail.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tests {

using namespace head;
using nbd::Command;
using sim::operator<<;
using sim::Bytes;

// A request with memory of its own; what becomes of it, its Talk knows.
struct Asked final : nbd::Request {
  Asked(Command what, std::uint64_t from, std::uint32_t size) : bytes(size, std::byte{0xee}) {
    command = what;
    offset = from;
    length = size;
    part = {.iov_base = bytes.data(), .iov_len = bytes.size()};
    memory = {&part, 1};
    extents = room;
  }
  void on_done(int) noexcept override {}

  Bytes bytes;
  iovec part{};
  std::array<nbd::Extent, 4> room;
};

// One connection to one tail that says `said` after the handshake, and the requests sent to it.
struct Talk final : nbd::Connection::Owner {
  explicit Talk(const Bytes& said, bool structured = true, std::uint64_t seed = 1)
      : Talk(seed, [said, structured] {
          Bytes all = sim::greeting(structured);
          all.insert(all.end(), said.begin(), said.end());
          return std::make_unique<sim::ScriptTail>(all);
        }) {}
  Talk(std::uint64_t seed, sim::SimIo::MakePeer make_tail)
      : io(seed, {.partial = 0.7, .stall = 0.2}, std::move(make_tail)) {}
  ~Talk() {
    connection.fail("the test is over");
    while (connection.state() != nbd::Connection::State::closed && io.step()) {
    }
  }

  void ask(std::vector<Asked*> requests) {
    asked = std::move(requests);
    connection.open({}, {}, "x");
    go_on();
  }
  void go_on() {
    for (int i = 0; i < 10'000 && io.step(); ++i) {
    }
  }
  bool closed() const { return connection.state() == nbd::Connection::State::closed; }

  void on_open() noexcept override {
    for (Asked* request : asked) connection.submit(*request);
  }
  void on_answer(nbd::Request& request, int error) noexcept override {
    answers.emplace_back(&request, error);
  }
  void on_closed(const std::string& why, nbd::RequestQueue unanswered) noexcept override {
    problem = why;
    while (nbd::Request* request = unanswered.pop()) back.push_back(request);
  }
  bool interface_was_away(iouring::Instant since) const noexcept override {
    return since < outage_until;
  }
  void on_packets_lost(iouring::Instant) noexcept override { ++losses; }
  void on_parked(iouring::Instant, iouring::Duration how_long) noexcept override {
    if (how_long > iouring::Duration{}) parked.push_back(how_long);
  }

  sim::SimIo io;
  nbd::ConnectionOptions options;
  nbd::Connection connection{io, *this, options};
  std::vector<Asked*> asked;
  std::vector<std::pair<nbd::Request*, int>> answers;
  std::vector<nbd::Request*> back;
  std::string problem;
  int losses = 0;
  iouring::Instant outage_until{};  // Of the interface.
  std::vector<iouring::Duration> parked;
};

inline nbd::wire::SimpleReply simple(std::uint32_t error,
                                     std::uint64_t cookie = sim::cookie_of(0)) {
  nbd::wire::SimpleReply reply;
  reply.error = error;
  reply.cookie = cookie;
  return reply;
}

}  // namespace tests
