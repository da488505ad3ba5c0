// The operations a daemon may ask of its loop, and the seam of the whole program: Ring performs
// them in the kernel, tests/sim/ simulates them. One loop belongs to one thread.
#pragma once

#include "iouring/completion.hpp"
#include "iouring/departure.hpp"
#include "iouring/timer.hpp"
#include "iouring/unique_fd.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <netinet/in.h>
#include <span>
#include <string>
#include <sys/socket.h>
#include <sys/uio.h>

namespace iouring {

// A socket as a loop knows it: a direct descriptor of its ring, or an ordinary one where the ring
// has no place left. A value; whoever opened it closes it through the same Io.
struct Socket {
  int index = -1;
  bool direct = false;
  explicit operator bool() const noexcept { return index >= 0; }
  bool operator==(const Socket&) const = default;
};

// How a connection to a remote host behaves; see tcp(7).
struct TcpOptions {
  std::chrono::seconds keepalive_idle{5};
  std::chrono::seconds keepalive_interval{2};
  int keepalive_probes = 3;
  std::chrono::milliseconds user_timeout{10'000};  // TCP_USER_TIMEOUT
  // At most so long between two attempts to send the same, where the kernel can be told; a second
  // is the least it takes. After an outage the next attempt is never further away than this.
  std::chrono::milliseconds retransmission_max{1'000};
};

// What the kernel knows of a TCP connection's packets (struct tcp_info).
struct TcpHealth {
  std::uint32_t retransmitted = 0;         // Segments, since it was opened.
  std::uint32_t out_of_order = 0;          // Segments that came so: others before them were lost.
  std::uint32_t unacknowledged = 0;        // Segments now.
  std::chrono::milliseconds since_sent{};  // Since data was sent last.
  std::chrono::microseconds round_trip{};  // Smoothed: with what acknowledgements are put off.
  std::chrono::microseconds least_round_trip{};  // Of the last minutes; 0 until known.
  bool recovering = false;                       // It knows of a loss that is not repaired yet.
  std::uint64_t acknowledged = 0;                // Bytes of what was sent, since it was opened.
};

class Io {
 public:
  Io() = default;
  Io(const Io&) = delete;
  Io& operator=(const Io&) = delete;
  virtual ~Io() = default;

  // A TCP socket over IPv6, TCP_NODELAY set, not connected, bound to `interface` (a name, or an
  // index as text) unless that is empty. False, with errno set, when there is none to be had.
  virtual Socket open_tcp(const TcpOptions& options, const std::string& interface) = 0;
  // Takes a descriptor in: its number is given back to the process where a direct place is free.
  virtual Socket adopt(UniqueFd fd) = 0;

  // Each call starts `completion`, which must be idle. What is pointed at must live, unchanged,
  // until the completion's handler runs.
  virtual void connect(Completion& completion, Socket socket, const sockaddr_in6& to) = 0;
  virtual void accept(Completion& completion, Socket listener) = 0;  // res: a new descriptor.
  virtual void recv(Completion& completion, Socket socket, const msghdr& into) = 0;
  // Into a buffer of the loop's pool: while nothing arrives, no buffer is held. At most `at_most`
  // bytes (0: as the pool's buffers are). -ENOBUFS never reaches the handler.
  // `expect_empty`: the socket was empty a moment ago, so wait for it rather than try first.
  virtual void recv_pooled(Completion& completion, Socket socket, std::size_t at_most,
                           bool expect_empty) = 0;
  virtual void send(Completion& completion, Socket socket, std::span<const std::byte> from) = 0;
  virtual void send(Completion& completion, Socket socket, const msghdr& from) = 0;

  // Ends when the peer has hung up (both ways), or the socket was shut down, even while there is
  // something to read. `res` says nothing but -errno.
  virtual void await_hangup(Completion& completion, Socket socket) = 0;

  // Ends when there may be a departure to take: after a send that asked for it. The socket's other
  // transfers are woken in vain while one is not taken. Also ends when the socket is over:
  // then there is none to take. `res` says nothing but -errno.
  virtual void await_departure(Completion& completion, Socket socket) = 0;
  // Takes one, without waiting; res: -EAGAIN when there was none.
  virtual void take_departure(Completion& completion, Socket socket, Departure& into) = 0;

  // Asks that `completion` end soon; it still ends exactly once, perhaps with -ECANCELED.
  virtual void cancel(Completion& completion) noexcept = 0;
  // Makes pending transfers on `socket` end soon, with an error or end of stream.
  virtual void shutdown(Socket socket) noexcept = 0;
  // Nothing may be pending on it. `reset`: the peer sees RST rather than FIN.
  virtual void close(Socket socket, bool reset) noexcept = 0;
  // Acknowledges what has arrived now instead of when the delayed-ACK timer says (TCP_QUICKACK);
  // ends the 40 ms that a peer without TCP_NODELAY would otherwise wait.
  virtual void quick_ack(Socket socket) noexcept = 0;

  // Finds out how a TCP connection fares; takes long enough not to be done for each request.
  // res: 0, or -errno where the kernel does not tell.
  virtual void look_at(Completion& completion, Socket socket, TcpHealth& into) = 0;

  // Another descriptor of the socket, an ordinary one of the process; res: it, or -errno. The
  // socket stays the loop's. Closing one of the two ends nothing: with the last of them the peer
  // sees what was said of RST and FIN last. A shutdown() ends the socket for both. Of a direct
  // descriptor the kernel makes one since 6.8 (IORING_OP_FIXED_FD_INSTALL); there are none of those
  // on kernels before 6.13 (see Ring).
  virtual void duplicate(Completion& completion, Socket socket) = 0;

  // Runs the handler (with res 0) once the current handlers have returned.
  virtual void defer(Completion& completion) = 0;

  virtual void arm(Timer& timer, Instant deadline) = 0;
  virtual void disarm(Timer& timer) noexcept = 0;

  // The time when the current batch of completions was taken; cheap, monotonic.
  virtual Instant now() const noexcept = 0;

 protected:
  static void begin(Completion& completion) noexcept {
    assert(!completion.pending_);
    completion.pending_ = true;
  }

  // Marks idle first, then calls the handler: the handler may start the same completion again.
  static void finish(Completion& completion, Result result) noexcept {
    assert(completion.pending_);
    completion.pending_ = false;
    completion.handler_(completion, result);
  }
};

// A loop that somebody runs.
class Loop : public Io {
 public:
  // Submits what is queued, waits for a completion, a timer or wake(), runs the handlers.
  virtual void run_once() = 0;
  // Ends the wait of run_once(). The only call that any thread may make.
  virtual void wake() noexcept = 0;
};

}  // namespace iouring
