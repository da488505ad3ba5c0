// The loop that the kernel performs: one io_uring, one thread. It takes the best features that the
// running kernel has, found by trying them, down to those of 5.15; below that it says so.
#pragma once

#include "iouring/io.hpp"
#include "iouring/receive_pool.hpp"

#include <liburing.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace iouring {

// What a ring found the kernel to have. Each is also a switch to do without, for tests.
struct Features {
  bool defer_taskrun = true;   // SINGLE_ISSUER | DEFER_TASKRUN (6.1); else COOP_TASKRUN or none.
  bool buffer_ring = true;     // The kernel picks receive buffers (5.19); else poll, then recv.
  bool direct_sockets = true;  // Direct descriptors, of full use since 6.13.
  bool skip_success = true;    // No completion for what cannot be waited for (5.17).

  std::string to_string() const;
};

class Ring final : public Loop {
 public:
  struct Options {
    unsigned entries = 1024;
    unsigned receive_buffers = 64;  // A power of two.
    std::size_t receive_buffer_size = 64 << 10;
    unsigned direct_sockets = 20'000;  // At most; RLIMIT_NOFILE bounds it too.
    Features allowed;
  };

  // Made by the thread that will run it. Throws std::system_error: no ring, no daemon.
  explicit Ring(const Options& options);
  ~Ring() override;

  const Features& features() const noexcept { return features_; }

  Socket open_tcp(const TcpOptions& options, const std::string& interface) override;
  Socket adopt(UniqueFd fd) override;
  void connect(Completion& completion, Socket socket, const sockaddr_in6& to) override;
  void accept(Completion& completion, Socket listener) override;
  void recv(Completion& completion, Socket socket, const msghdr& into) override;
  void recv_pooled(Completion& completion, Socket socket, std::size_t at_most,
                   bool expect_empty) override;
  void send(Completion& completion, Socket socket, std::span<const std::byte> from) override;
  void send(Completion& completion, Socket socket, const msghdr& from) override;
  void await_hangup(Completion& completion, Socket socket) override;
  void await_departure(Completion& completion, Socket socket) override;
  void take_departure(Completion& completion, Socket socket, Departure& into) override;
  void cancel(Completion& completion) noexcept override;
  void shutdown(Socket socket) noexcept override;
  void close(Socket socket, bool reset) noexcept override;
  void quick_ack(Socket socket) noexcept override;
  void look_at(Completion& completion, Socket socket, TcpHealth& into) override;
  void duplicate(Completion& completion, Socket socket) override;
  void defer(Completion& completion) override;
  void arm(Timer& timer, Instant deadline) override { timers_.arm(timer, deadline); }
  void disarm(Timer& timer) noexcept override { timers_.disarm(timer); }
  Instant now() const noexcept override { return now_; }

  void run_once() override;
  void wake() noexcept override;

 private:
  struct Ready {
    Completion* completion;
    std::int32_t res;
    std::uint32_t flags;
  };

  // A place of the direct descriptor table. It is free when it is closed and nothing that names it
  // is under way any more.
  struct Place {
    std::uint32_t shutdowns = 0;  // Under way.
    bool closed = false;          // Free when the last of them is done.
  };
  // In the user data of a shutdown, beside the place; completions are aligned, so it is none.
  static constexpr std::uintptr_t shutdown_mark = 1;

  void set_up(const Options& options);
  bool try_set_up(const Options& options, unsigned flags) noexcept;
  void find_direct_sockets(unsigned wanted) noexcept;
  bool options_by_command() noexcept;
  bool removal_closes() noexcept;
  bool put_at(unsigned at, int fd) noexcept;
  int await_one() noexcept;
  void on_wake(Result result) noexcept;
  void on_shut_down(std::size_t place) noexcept;

  io_uring_sqe& next_sqe() noexcept;
  void start(Completion& completion, io_uring_sqe& sqe) noexcept;
  void forget(io_uring_sqe& sqe) noexcept;
  void set_option(Socket socket, int level, int name, const void* value, unsigned size) noexcept;
  io_uring_sqe& set_option_sqe(Socket socket, int level, int name, const void* value,
                               unsigned size) noexcept;
  static void aim(io_uring_sqe& sqe, Socket socket) noexcept;

  void run_deferred() noexcept;
  void submit_and_wait();
  unsigned take(std::span<Ready> ready) noexcept;
  void finish_one(const Ready& ready) noexcept;
  void receive_now(Completion& completion, int polled) noexcept;
  void look_now(Completion& completion, int installed) noexcept;
  void restart_starved() noexcept;

  io_uring ring_{};
  Features features_;
  std::unique_ptr<ReceivePool> pool_;
  std::vector<int> free_places_;  // Of the direct descriptor table.
  std::vector<Place> places_;     // All of it.

  Timers timers_;
  Instant now_;
  CompletionList deferred_;
  CompletionList starved_;  // Pooled receives that found the pool empty.

  UniqueFd wake_fd_;
  std::uint64_t wake_count_ = 0;
  bool closing_ = false;
  Op<&Ring::on_wake> wake_{*this};
};

}  // namespace iouring
