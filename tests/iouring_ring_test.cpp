#include "iouring/ring.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <sys/socket.h>
#include <vector>

namespace {

using iouring::Ring;
using iouring::Socket;
using iouring::UniqueFd;

// One end of a pair in the ring, with a send that is waited for; the other end is the test's.
struct End {
  explicit End(Ring& ring) : io(ring) {
    std::array<int, 2> fds{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
    other = UniqueFd(iouring::adopt, fds[0]);
    socket = io.adopt(UniqueFd(iouring::adopt, fds[1]));
  }

  void send() { io.send(sent, socket, std::as_bytes(std::span("x", 1))); }
  void on_sent(iouring::Result result) noexcept { res = result.res; }

  Ring& io;
  UniqueFd other;
  Socket socket;
  int res = 0;
  iouring::Op<&End::on_sent> sent{*this};
};

}  // namespace

// The kernel shuts sockets down on a thread of its own, which looked up the place in the table of
// direct descriptors when the place had its next socket: guests lost their sessions at random.
TEST_CASE("a socket is not shut down in place of the one whose place it got", "[iouring]") {
  Ring ring(Ring::Options{});
  for (int round = 0; round < 30; ++round) {
    std::vector<std::unique_ptr<End>> ends;
    for (int i = 0; i < 64; ++i) ends.push_back(std::make_unique<End>(ring));
    for (auto& end : ends) {
      ring.shutdown(end->socket);
      ring.close(end->socket, false);
      end = std::make_unique<End>(ring);
    }
    for (int again = 0; again < 5; ++again) {
      for (const auto& end : ends) end->send();
      for (const auto& end : ends) {
        while (end->sent.pending()) ring.run_once();
        REQUIRE(end->res == 1);
      }
    }
    for (const auto& end : ends) ring.close(end->socket, false);
  }
}
