// A world with no kernel: sockets, remote ends, time, and one seed. The same seed replays the same
// run. The production code of connections, discs and sessions runs on it unchanged, while the world
// does to it what networks do: short transfers, delays, resets, refusals, in any order.
#pragma once

#include "iouring/io.hpp"

#include <cerrno>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

namespace sim {

using Bytes = std::vector<std::byte>;

// How likely things go wrong, per operation.
struct Faults {
  double partial = 0.5;  // Moves only some of its bytes.
  double reset = 0.0;    // The connection breaks.
  double refuse = 0.0;   // A connect fails.
  bool deaf = false;     // No connect is answered.
  double stall = 0.3;    // Nothing happens to this operation in this step.
  int no_socket = 0;     // The errno for want of which there is no socket.
};

// The other end of a socket.
class Peer {
 public:
  virtual ~Peer() = default;
  // Bytes have come from us; it may append to `to_us`. False: it hangs up, once `to_us` is read.
  virtual bool on_bytes(Bytes& from_us, Bytes& to_us) = 0;
  // How many bytes of ours it takes before it reads again.
  virtual std::size_t room() const { return SIZE_MAX; }
  // Its hanging up is a reset.
  virtual bool resets() const { return false; }
};

class SimIo final : public iouring::Io {
 public:
  using MakePeer = std::function<std::unique_ptr<Peer>()>;

  SimIo(std::uint64_t seed, Faults with, MakePeer make_peer)
      : faults(with), random_(seed), make_peer_(std::move(make_peer)) {}
  // Sockets of which nobody has a descriptor any more end with it.
  ~SimIo() override;

  Faults faults;

  // A socket whose other end is `peer`, connected already.
  iouring::Socket connected(std::unique_ptr<Peer> peer) {
    const iouring::Socket socket = open_tcp({}, {});
    sockets_.at(socket.index).peer = std::move(peer);
    return socket;
  }

  iouring::Socket open_tcp(const iouring::TcpOptions&, const std::string&) override {
    if (faults.no_socket != 0) {
      errno = faults.no_socket;
      return {};
    }
    const int index = next_socket_++;
    sockets_[index];
    return {.index = index, .direct = true};
  }
  iouring::Socket adopt(iouring::UniqueFd fd) override {
    const iouring::Socket socket = open_tcp({}, {});
    if (const auto whole = duplicated_.find(fd.fd()); whole != duplicated_.end()) {
      sockets_.at(socket.index) = std::move(whole->second);
      duplicated_.erase(whole);
      return socket;
    }
    const auto guest = accepted_.find(fd.fd());
    if (guest == accepted_.end()) return socket;
    sockets_.at(socket.index).peer = std::move(guest->second);
    accepted_.erase(guest);
    return socket;
  }

  // Somebody connects to the socket that is listened on.
  void knock(std::unique_ptr<Peer> guest) { knocking_.push_back(std::move(guest)); }
  // What accepting says before it succeeds again: errnos.
  std::deque<int> accept_errors;
  std::deque<int> duplicate_errors;  // 0: it succeeds.
  std::size_t knocking() const { return knocking_.size(); }
  // Whoever is at the other end of a socket of ours leaves.
  void hang_up(const Peer& peer);
  // Says more, unasked.
  void say(const Peer& peer, const Bytes& bytes);
  // Guests that were accepted and hung up on at once.
  std::size_t turned_away() const;
  void connect(iouring::Completion& completion, iouring::Socket socket,
               const sockaddr_in6&) override {
    start({.completion = &completion, .kind = Kind::connect, .socket = socket.index});
  }
  void accept(iouring::Completion& completion, iouring::Socket socket) override {
    start({.completion = &completion, .kind = Kind::accept, .socket = socket.index});
  }
  void recv(iouring::Completion& completion, iouring::Socket socket, const msghdr& into) override {
    start(
        {.completion = &completion, .kind = Kind::recv, .socket = socket.index, .message = &into});
  }
  void recv_pooled(iouring::Completion& completion, iouring::Socket socket, std::size_t at_most,
                   bool) override {
    start({.completion = &completion,
           .kind = Kind::recv_pooled,
           .socket = socket.index,
           .at_most = at_most == 0 ? 4096 : at_most});
  }
  void send(iouring::Completion& completion, iouring::Socket socket,
            std::span<const std::byte> from) override {
    start({.completion = &completion, .kind = Kind::send, .socket = socket.index, .from = from});
  }
  void send(iouring::Completion& completion, iouring::Socket socket, const msghdr& from) override {
    start(
        {.completion = &completion, .kind = Kind::send, .socket = socket.index, .message = &from});
  }
  void await_hangup(iouring::Completion& completion, iouring::Socket socket) override {
    start({.completion = &completion, .kind = Kind::hangup, .socket = socket.index});
  }
  void await_departure(iouring::Completion& completion, iouring::Socket socket) override {
    start({.completion = &completion, .kind = Kind::await_departure, .socket = socket.index});
  }
  void take_departure(iouring::Completion& completion, iouring::Socket socket,
                      iouring::Departure& into) override {
    into.clear();
    start({.completion = &completion,
           .kind = Kind::take_departure,
           .socket = socket.index,
           .message = &into.message});
  }
  void cancel(iouring::Completion& completion) noexcept override {
    for (Pending& op : pending_)
      if (op.completion == &completion) op.cancelled = true;
  }
  void shutdown(iouring::Socket socket) noexcept override { sockets_.at(socket.index).shut = true; }
  void close(iouring::Socket socket, bool) noexcept override {
    for (const Pending& op : pending_)
      if (op.socket == socket.index && op.kind != Kind::deferred) std::abort();  // Not drained.
    sockets_.erase(socket.index);
  }
  void quick_ack(iouring::Socket) noexcept override { ++quick_acks; }
  void look_at(iouring::Completion& completion, iouring::Socket,
               iouring::TcpHealth& into) override {
    into = health;
    start({.completion = &completion, .kind = Kind::deferred});
  }
  // The peer goes with the descriptor: whoever adopts that, in any world, has it.
  void duplicate(iouring::Completion& completion, iouring::Socket socket) override {
    start({.completion = &completion, .kind = Kind::duplicate, .socket = socket.index});
  }
  void defer(iouring::Completion& completion) override {
    start({.completion = &completion, .kind = Kind::deferred});
  }
  void arm(iouring::Timer& timer, iouring::Instant deadline) override {
    timers_.arm(timer, deadline);
  }
  void disarm(iouring::Timer& timer) noexcept override { timers_.disarm(timer); }
  iouring::Instant now() const noexcept override { return now_; }

  // Lets one thing happen. False when nothing can any more, short of a timer.
  bool step();
  // The same, but jumps to the next timer when nothing else can happen. False: the world is still.
  bool step_or_wait();

  void advance(iouring::Duration time) {
    now_ += time;
    timers_.fire(now_);
  }

  bool chance(double p) { return p > 0 && std::bernoulli_distribution(p)(random_); }
  std::size_t pick(std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_);
  }
  std::mt19937_64& random() { return random_; }
  std::size_t sockets_open() const { return sockets_.size(); }

  std::uint64_t quick_acks = 0;
  iouring::TcpHealth health;  // Of every connection.
  // A send that asks departs so much later than it was sent; so many did.
  std::chrono::milliseconds parked{};
  std::uint64_t departures = 0;

 private:
  enum class Kind {
    connect,
    accept,
    recv,
    recv_pooled,
    send,
    hangup,
    await_departure,
    take_departure,
    duplicate,
    deferred
  };
  struct Pending {
    iouring::Completion* completion;
    Kind kind;
    int socket = -1;
    const msghdr* message = nullptr;
    std::span<const std::byte> from{};
    std::size_t at_most = 0;
    bool cancelled = false;
  };
  struct Departed {
    iouring::Instant told;
    iouring::WallInstant at;
  };
  struct Socket {
    std::unique_ptr<Peer> peer;
    std::deque<Departed> departures;
    Bytes from_us, to_us;
    bool hung_up = false;  // The peer will send no more.
    bool shut = false;     // We closed both ways.
    bool broken = false;
  };

  void start(Pending op) {
    begin(*op.completion);
    pending_.push_back(op);
  }
  std::optional<iouring::Result> perform(const Pending& op);
  std::optional<iouring::Result> perform_accept();
  static iouring::Result perform_duplicate(Socket& socket);
  iouring::Result perform_take(const Pending& op, Socket& socket);
  // Could it end in a next step?
  bool is_able(const Pending& op) const;
  std::optional<iouring::Result> perform_recv(const Pending& op, Socket& socket);
  iouring::Result perform_send(const Pending& op, Socket& socket);
  std::size_t some_of(std::size_t bytes) {
    return bytes > 1 && chance(faults.partial) ? 1 + pick(bytes) : bytes;
  }

  std::mt19937_64 random_;
  MakePeer make_peer_;
  iouring::Timers timers_;
  iouring::Instant now_{std::chrono::hours(1)};
  int next_socket_ = 1'000'000;
  std::map<int, Socket> sockets_;
  std::vector<Pending> pending_;
  std::deque<std::unique_ptr<Peer>> knocking_;
  std::map<int, std::unique_ptr<Peer>> accepted_;   // By a real descriptor, until adopted.
  inline static std::map<int, Socket> duplicated_;  // The same.
  std::size_t turned_away_ = 0;
  Bytes lent_;
};

}  // namespace sim
