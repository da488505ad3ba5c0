// Finds out how long packets of a connection were parked by the kernel until it had found the
// tail's link-layer address: asks for the departure of one send in 64, and of the first one after
// the connection rested, as that is when a neighbour entry may have been evicted. Only of sends
// that TCP itself has no reason to put off: nothing before them is unanswered, and they are small.
// Costs the other sends a few comparisons, and allocates nothing.
#pragma once

#include "iouring/io.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace head::nbd {

// A send whose departure was asked for, on the clock that departures are told in.
struct TimedSend {
  iouring::WallInstant begun{};
  std::optional<iouring::WallInstant> done{};  // The kernel was known to have it.
};

// For how long it was parked; none for a departure that is an earlier send's. One that was not
// parked has departed before the send was done, however late that was noticed: zero.
std::optional<iouring::Duration> parked_for(const TimedSend& send,
                                            iouring::WallInstant departed) noexcept;

class Departures {
 public:
  static constexpr std::uint32_t one_in = 64;
  static constexpr std::chrono::seconds rest{1};
  // How large a send may be: what the smallest windows of TCP let out at once, after a loss and
  // otherwise; and for how long after one. The first send after the interface was away goes in
  // segments of 36 bytes: the MTU is 68 while the route is a dead one's (dst_dev_put(),
  // net/core/dst.c), and tcp_min_snd_mss is 48 with 12 of options.
  static constexpr std::size_t size_max_after_outage = 36;
  static constexpr std::size_t size_max_after_loss = 1'200;
  static constexpr std::size_t size_max = 4'400;
  static constexpr std::chrono::seconds loss_remembered{10};

  class Owner {
   public:
    // What was sent then was parked for so long; zero: not at all.
    virtual void on_parked(iouring::Instant since, iouring::Duration parked) noexcept = 0;
    // After stop(), where something was pending: it has ended.
    virtual void on_departures_drained() noexcept = 0;
    // Whether the interface to the tail has been away since then, or nearly.
    virtual bool interface_was_away(iouring::Instant since) const noexcept = 0;

   protected:
    ~Owner() = default;
  };

  Departures(iouring::Io& io, Owner& owner) noexcept : io_(io), owner_(owner) {}

  // Nothing is pending.
  void start(iouring::Socket socket) noexcept;
  void stop() noexcept;
  bool pending() const noexcept { return wait_.pending() || take_.pending(); }

  // Something is about to be sent. `alone`: nothing else is on its way or unanswered. Up to which
  // size its departure is to be asked for; 0 when it is not.
  std::size_t due(bool alone) noexcept;
  void on_send() noexcept;  // It goes;
  void on_sent() noexcept;  // the kernel has it.
  // A packet was lost: TCP may send less at once.
  void on_loss() noexcept { lost_at_ = io_.now(); }

 private:
  void on_waited(iouring::Result result) noexcept;
  void on_taken(iouring::Result result) noexcept;

  iouring::Io& io_;
  Owner& owner_;
  iouring::Socket socket_;
  bool stopped_ = true;
  std::uint32_t until_next_ = 0;
  iouring::Instant last_{};  // Something was sent.
  std::optional<iouring::Instant> lost_at_;

  std::optional<TimedSend> send_;
  iouring::Instant begun_{};
  iouring::Departure departure_;
  iouring::Op<&Departures::on_waited> wait_{*this};
  iouring::Op<&Departures::on_taken> take_{*this};
};

}  // namespace head::nbd
