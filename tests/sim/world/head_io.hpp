// What one simulated headd has instead of a kernel: its sockets, its timers, its loop. The
// production code of discs, connections and exports runs on it unchanged.
//
// An operation ends when it can, as the kernel would end it: bytes are moved then, and the handler
// runs a moment later, whatever was cancelled between. The process can be killed at any moment:
// its sockets are reset, nothing it does reaches the world any more, and whoever owns its objects
// can still drain them in a time of their own.
#pragma once

#include "iouring/io.hpp"
#include "tests/sim/world/network.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace world {

// Where guests knock.
struct Listener {
  std::deque<Stream*> queue;
  unsigned holders = 0;
  // The one process that accepts, while it does.
  class HeadIo* owner = nullptr;
};

// The descriptors that go between processes: real ones, so that the code may close them.
class Descriptors {
 public:
  ~Descriptors();
  iouring::UniqueFd open(Stream& stream);
  iouring::UniqueFd open(Listener& listener);
  // What a descriptor is of; it is the caller's to hold then.
  Stream* take_stream(int fd);
  Listener* take_listener(int fd);
  // Lets go of those that have been closed since.
  void reap();

 private:
  struct Entry {
    Stream* stream = nullptr;
    Listener* listener = nullptr;
  };
  static void let_go(Entry& entry);
  std::map<int, Entry> entries_;
};

class HeadIo final : public iouring::Io {
 public:
  // Who answers a connection attempt to an address: a new stream, or null where it is refused at
  // once. Calls back, perhaps later, perhaps never.
  class Connector {
   public:
    virtual void connect(HeadIo& from, int socket, const sockaddr_in6& to) = 0;

   protected:
    ~Connector() = default;
  };

  HeadIo(Clock& clock, Dice& dice, Connector& connector, Descriptors& descriptors);
  ~HeadIo() override;

  // ---- The world's side ----
  // The answer to Connector::connect(): a stream, or null with an errno.
  void connected(int socket, Stream* stream, int error);
  void on_knock(Listener& listener);
  // SIGKILL: see above.
  void kill();
  bool killed() const noexcept { return killed_; }
  // Once killed: lets what is left of it happen, in its own time. False: nothing is left.
  bool drain_step();
  // SIGSTOP: its kernel goes on, it does not.
  void stop(bool yes);
  std::size_t sockets_open() const noexcept { return sockets_.size(); }

  // ---- iouring::Io ----
  iouring::Socket open_tcp(const iouring::TcpOptions& options,
                           const std::string& interface) override;
  iouring::Socket adopt(iouring::UniqueFd fd) override;
  void connect(iouring::Completion& completion, iouring::Socket socket,
               const sockaddr_in6& to) override;
  void accept(iouring::Completion& completion, iouring::Socket listener) override;
  void recv(iouring::Completion& completion, iouring::Socket socket, const msghdr& into) override;
  void recv_pooled(iouring::Completion& completion, iouring::Socket socket, std::size_t at_most,
                   bool expect_empty) override;
  void send(iouring::Completion& completion, iouring::Socket socket,
            std::span<const std::byte> from) override;
  void send(iouring::Completion& completion, iouring::Socket socket, const msghdr& from) override;
  void await_hangup(iouring::Completion& completion, iouring::Socket socket) override;
  void await_departure(iouring::Completion& completion, iouring::Socket socket) override;
  void take_departure(iouring::Completion& completion, iouring::Socket socket,
                      iouring::Departure& into) override;
  void cancel(iouring::Completion& completion) noexcept override;
  void shutdown(iouring::Socket socket) noexcept override;
  void close(iouring::Socket socket, bool reset) noexcept override;
  void quick_ack(iouring::Socket) noexcept override {}
  void look_at(iouring::Completion& completion, iouring::Socket socket,
               iouring::TcpHealth& into) override;
  void duplicate(iouring::Completion& completion, iouring::Socket socket) override;
  void defer(iouring::Completion& completion) override;
  void arm(iouring::Timer& timer, Instant deadline) override;
  void disarm(iouring::Timer& timer) noexcept override { timers_.disarm(timer); }
  Instant now() const noexcept override { return killed_ ? own_now_ : clock_.now(); }

 private:
  enum class Kind : std::uint8_t { connect, accept, recv, send, hangup, departure, other };

  // An operation that has not ended yet.
  struct Operation {
    iouring::Completion* completion = nullptr;
    Kind kind = Kind::other;
    const msghdr* message = nullptr;
    std::span<const std::byte> from{};
    std::size_t at_most = 0;  // Of a pooled receive.
  };
  // One that has, and whose handler is to run.
  struct Ended {
    iouring::Completion* completion = nullptr;
    iouring::Result result{};
    Bytes lent{};
    int accepted = -1;
  };
  class Socket final : public SocketWatcher {
   public:
    explicit Socket(HeadIo& of) : io(of) {}
    void on_change(Stream&) noexcept override { io.look(*this); }

    HeadIo& io;
    Stream* stream = nullptr;
    Listener* listener = nullptr;
    bool shut = false;
    bool attempting = false;
    std::vector<Operation> waiting;
    unsigned departures = 0;
  };

  Socket& at(iouring::Socket socket);
  void start(iouring::Socket socket, Operation operation);
  void look(Socket& socket) noexcept;
  bool attempt(Socket& socket, const Operation& operation);
  bool attempt_recv(Socket& socket, const Operation& operation);
  bool attempt_send(Socket& socket, const Operation& operation);
  bool attempt_accept(Socket& socket, const Operation& operation);
  void end(iouring::Completion& completion, iouring::Result result, Bytes lent = {});
  void run_soon();
  void run_handlers();
  void run_one();
  void wake_at(Instant when);
  void on_wake();
  void let_go(Socket& socket, bool reset);

  Clock& clock_;
  Dice& dice_;
  Connector& connector_;
  Descriptors& descriptors_;
  iouring::Timers timers_;
  Instant wake_{Instant::max()};
  bool scheduled_ = false;  // run_handlers() is to happen.
  bool killed_ = false, stopped_ = false;
  Instant own_now_{};
  int next_socket_ = 1;
  std::map<int, std::unique_ptr<Socket>> sockets_;
  std::deque<Ended> ended_;
  std::deque<iouring::Completion*> deferred_;
  std::vector<Bytes> spare_;  // Buffers to lend.
};

}  // namespace world
