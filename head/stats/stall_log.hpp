// The last stalls of one data thread, and its last slow openings, each with its cause: two rings
// that one thread writes and any thread reads, so that a thousand openings at a start do not push
// requests out. The writer never waits, and allocates nothing; a reader leaves out what is
// overwritten while it looks.
#pragma once

#include "head/stats/cause.hpp"
#include "head/stats/operation.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

namespace head::stats {

// A request that took longer than the stall threshold; or, as Operation::open, a slow opening.
struct Stall {
  static constexpr std::size_t name_max = 64;

  std::array<char, name_max> disc_name{};
  std::int64_t ended_ns = 0;      // system_clock
  std::uint64_t offset = 0;       // Bytes.
  std::int64_t whole_ns = 0;      // As the guest saw it.
  std::int64_t away_ns = 0;       // Of that, away from the head,
  std::int64_t wire_ns = 0;       // and of that on the wire, the rest with the tail;
  std::int64_t held_up_ns = 0;    // what the data thread was late by;
  std::int64_t receiving_ns = 0;  // what the guest took to send its payload.
  std::uint32_t length = 0;       // Bytes.
  std::int32_t error = 0;         // errno of the answer.
  Operation operation = Operation::read;
  Cause cause = Cause::tail;
  std::array<std::uint8_t, 6> unused{};

  std::string_view disc() const noexcept;
  void set_disc(std::string_view name) noexcept;
};
static_assert(std::is_trivially_copyable_v<Stall> && sizeof(Stall) % sizeof(std::uint64_t) == 0);

class StallLog {
 public:
  static constexpr std::size_t kept = 1024;
  static constexpr std::size_t openings_kept = 256;

  // The one writing thread.
  void record(const Stall& stall) noexcept {
    (stall.operation == Operation::open ? openings_ : requests_).record(stall);
  }
  // Any thread: oldest first.
  std::vector<Stall> read() const { return requests_.read(); }
  std::vector<Stall> read_openings() const { return openings_.read(); }
  // How many there ever were.
  std::uint64_t recorded() const noexcept { return requests_.recorded(); }
  std::uint64_t openings_recorded() const noexcept { return openings_.recorded(); }

 private:
  class Ring {
   public:
    explicit Ring(std::size_t size) : places_(size) {}

    void record(const Stall& stall) noexcept;
    std::vector<Stall> read() const;
    std::uint64_t recorded() const noexcept { return recorded_.load(std::memory_order_acquire); }

   private:
    using Words = std::array<std::uint64_t, sizeof(Stall) / sizeof(std::uint64_t)>;
    struct Place {
      // 2n + 1 while the n-th stall (from 0) is being written, 2n + 2 when it is there.
      std::atomic<std::uint64_t> sequence{0};
      std::array<std::atomic<std::uint64_t>, std::tuple_size_v<Words>> words{};
    };

    std::atomic<std::uint64_t> recorded_{0};
    std::vector<Place> places_;
  };

  Ring requests_{kept};
  Ring openings_{openings_kept};
};

}  // namespace head::stats
