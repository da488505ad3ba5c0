// Memory for the requests of all guests of one data thread, of fixed size, divided as share.hpp
// says; a disc that waits for its tail, or is held, gets nothing beyond guarantees. Up to one
// session for each 40 KiB of the pool, no session that holds nothing waits for others with a
// request of 4 KiB, whatever discs whose tails are away, or guests that take no answers, hold.
//
// Who finds no memory waits. Those who wait are asked in rotation whether there is enough for them
// now, and nobody is held up by one whose request is large. So that a large one is served, too, one
// that holds nothing is preferred for a tenth of the time: others keep to their guarantees then.
// Those for whom that was in vain (what they need is held by a disc whose tail is away, say) are
// preferred again for less than a hundredth of the time, all of them together.
#pragma once

#include "head/export/payload_arena.hpp"
#include "head/export/share.hpp"
#include "head/stats/disc_stats.hpp"
#include "iouring/io.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace head::exports {

class PayloadPool {
 public:
  static constexpr std::size_t page_size = PayloadArena::page_size;
  static constexpr std::size_t block_size = PayloadArena::block_size;
  static constexpr std::size_t cell_room = PayloadArena::cell_room;
  static constexpr std::size_t payload_max = 32 << 20;
  // The largest payload, and what is owed to others, fit in any pool, however small it was asked to
  // be.
  static constexpr std::size_t smallest = payload_max + (8 << 20);

  // What one guest may say beyond what it is served is kept for it: some sessions are read in large
  // pieces, all others in small ones, so that thousands of guests cannot have much kept.
  static constexpr std::size_t far_readers_max = 128;
  static constexpr std::size_t near = 2 << 10;
  // For long options of the handshake, all sessions together.
  static constexpr std::size_t options_max = 2 << 20;

  using Lease = PayloadArena::Lease;

  // The sessions of a disc, as far as memory goes.
  class Account {
   public:
    // `stats`: of the disc; null where its tail is always there.
    explicit Account(PayloadPool& pool, const stats::DiscStats* stats = nullptr) noexcept
        : pool_(pool), stats_(stats) {}
    Account(const Account&) = delete;
    Account& operator=(const Account&) = delete;

    // Its tail is there again: who waits is asked soon.
    void ask_soon() noexcept { pool_.ask_soon(); }
    // As many sessions as there may be are there.
    bool full() const noexcept { return pool_.lessees_.size() >= pool_.lessees_max_; }

   private:
    friend class PayloadPool;
    // What it holds would not be given back for nobody knows how long.
    bool waits_for_tail() const noexcept;

    PayloadPool& pool_;
    const stats::DiscStats* stats_;
    std::size_t held_ = 0;
  };

  // A session. It asks for one lease at a time.
  class Lessee {
   public:
    explicit Lessee(Account& account);
    Lessee(const Lessee&) = delete;
    Lessee& operator=(const Lessee&) = delete;

    // `payload` at most payload_max. False: wait().
    bool take(std::uint32_t payload, Lease& lease) noexcept;
    // on_memory() comes once, later: from the loop, or from inside another's call, its destructor
    // included.
    void wait(std::uint32_t payload) noexcept;
    void give_up() noexcept;  // Nothing to do when it does not wait.
    void give_back(const Lease& lease) noexcept;
    bool waits() const noexcept { return waits_; }

    // Whether it may be read in large pieces; for its life.
    bool is_far_reader() const noexcept { return far_; }
    // Memory for an option of its handshake, until it has no more to say. False: there is none.
    bool take_option(std::size_t bytes) noexcept;
    void give_back_option() noexcept;

    virtual void on_memory(const Lease& lease) noexcept = 0;

   protected:
    ~Lessee();  // Nothing may be held.

   private:
    friend class PayloadPool;
    Account& account_;
    std::size_t held_ = 0;
    std::size_t place_;  // Among all lessees.
    Lessee* previous_ = nullptr;
    Lessee* next_ = nullptr;
    std::uint32_t payload_ = 0;
    bool waits_ = false;
    bool far_ = false;
    std::size_t option_ = 0;
    bool in_vain_ = false;  // It was preferred for as long as anybody is, and waits still.
  };

  // More sessions than `lessees_max` are not to be made, but of guests that are there already: ask
  // Account::full(). They share what there is.
  PayloadPool(iouring::Io& io, std::size_t bytes, std::size_t lessees_max = SIZE_MAX);
  PayloadPool(const PayloadPool&) = delete;
  PayloadPool& operator=(const PayloadPool&) = delete;
  ~PayloadPool();

  std::size_t size() const noexcept { return arena_.size(); }
  bool whole() const noexcept { return arena_.whole(); }

 private:
  // When somebody has waited nine times as long, who holds nothing, it is preferred for so long;
  // for longer, where that was too short.
  static constexpr std::chrono::milliseconds preferred_time_min{100};
  static constexpr std::chrono::milliseconds preferred_time_max{400};
  // Between two preferences of those for whom one was in vain.
  static constexpr std::chrono::seconds in_vain_pause{60};

  static std::size_t cost(std::uint32_t payload) noexcept;
  std::size_t owed_to(const Lessee& who) const noexcept;
  Grant judge(const Lessee& who, std::uint32_t payload) const noexcept;
  Lease grant(Lessee& who, std::uint32_t payload, Grant how) noexcept;
  void divide() noexcept;

  void ask_all() noexcept;
  void ask_soon() noexcept;
  void ask_some() noexcept;
  void insert(Lessee& who, Lessee* next) noexcept;
  void remove(Lessee& who) noexcept;
  void on_turn() noexcept;
  void next_turn() noexcept;
  Lessee* whom_to_prefer() noexcept;

  iouring::Io& io_;
  PayloadArena arena_;
  const std::size_t lessees_max_;
  std::vector<Lessee*> lessees_;
  std::size_t far_readers_ = 0;
  std::size_t options_ = 0;  // Bytes.
  std::size_t guarantee_ = 0;
  std::size_t owed_ = 0;                  // To all lessees.
  const std::byte* exceeding_ = nullptr;  // The cell of the lease that is larger than a share.

  // Those that wait, and how many of them were not asked yet since there was more memory.
  Lessee* first_ = nullptr;
  Lessee* last_ = nullptr;
  std::size_t waiting_ = 0;
  std::size_t unasked_ = 0;
  bool asking_ = false;
  Lessee* preferred_ = nullptr;  // Others keep to their guarantees meanwhile.
  iouring::Duration preferred_time_ = preferred_time_min;
  iouring::Instant in_vain_until_{};  // When one of those may be preferred again.
  iouring::Alarm<&PayloadPool::ask_some> go_on_{*this};
  iouring::Alarm<&PayloadPool::on_turn> turn_{*this};
};

}  // namespace head::exports
