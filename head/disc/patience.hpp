// Notices discs whose requests wait: nothing was answered for a while although something was asked.
// Whoever is told can look for the cause while it lasts. Costs a disc
// that gets its answers nothing but one visit every few milliseconds while it has requests
// outstanding. The same ticks tell when the thread itself is held up.
#pragma once

#include "head/stats/hold_ups.hpp"
#include "iouring/io.hpp"

#include <chrono>
#include <vector>

namespace head::disc {

class Disc;

class Patience {
 public:
  static constexpr std::chrono::milliseconds limit{5};
  static constexpr std::chrono::milliseconds interval_max{500};  // Between looks at one disc.

  class Owner {
   public:
    // Called again, less and less often, while the disc goes on waiting, or has no connection.
    virtual void on_waiting(Disc& disc) noexcept = 0;

   protected:
    ~Owner() = default;
  };

  Patience(iouring::Io& io, Owner& owner, stats::HoldUps& hold_ups) noexcept
      : io_(io), owner_(owner), hold_ups_(hold_ups) {}
  ~Patience() { io_.disarm(tick_); }

  // The disc has something outstanding from now on.
  void watch(Disc& disc);
  // It waits, and for something else than an answer; or has lost its tail.
  void tell(Disc& disc) noexcept { owner_.on_waiting(disc); }
  // It goes away.
  void forget(Disc& disc) noexcept;

  // Connections beside those that discs have always, of all discs together: to a tail that has
  // moved, or that may not answer. So many at once may be begun.
  static constexpr unsigned spare_links_max = 512;
  bool has_spare_link() const noexcept { return spare_links_ < spare_links_max; }
  void count_spare_links(unsigned more, unsigned fewer) noexcept { spare_links_ += more - fewer; }

 private:
  struct Watched {
    Disc* disc;
    iouring::Instant next_look;
    iouring::Duration interval;
  };

  void on_tick() noexcept;
  void tick_again() noexcept;
  bool visit(Watched& watched) noexcept;

  iouring::Io& io_;
  Owner& owner_;
  stats::HoldUps& hold_ups_;
  std::vector<Watched> watched_;
  unsigned spare_links_ = 0;
  iouring::Alarm<&Patience::on_tick> tick_{*this};
};

}  // namespace head::disc
