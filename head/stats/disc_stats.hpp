// What there is to know about one disc while it runs. Its data thread (and, where it says so, the
// keeper) writes; control reads at any time. Nobody ever waits for anybody, and a disc that was
// never asked for anything costs less than 512 bytes.
#pragma once

#include "head/stats/cause.hpp"
#include "head/stats/histogram.hpp"
#include "head/stats/operation.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace head::stats {

enum class DiscState : std::uint8_t {
  connecting,  // For the first time: nothing is known of the disc yet.
  ready,
  reconnecting,  // Requests wait and will be replayed.
  held,          // By an operator, or the tail offers another disc than before: requests wait.
  failing,       // By an operator, or the grace time is over: requests are answered with EIO.
  detaching,
};
std::string_view to_string(DiscState state) noexcept;

struct OperationSnapshot {
  std::uint64_t requests = 0;  // Answered, well or not.
  std::uint64_t bytes = 0;     // Of those answered well.
  std::uint64_t errors = 0;
  // Of all answered: what guests saw, and its parts.
  HistogramSnapshot latency;
  HistogramSnapshot head;
  HistogramSnapshot wire;
  HistogramSnapshot tail;

  OperationSnapshot& operator+=(const OperationSnapshot& other);
};

struct StallSnapshot {
  std::uint64_t count = 0;
  std::uint64_t time_ns = 0;

  StallSnapshot& operator+=(const StallSnapshot& other) noexcept {
    count += other.count;
    time_ns += other.time_ns;
    return *this;
  }
};

// How much of an operation is read: counts and how long all took together; the histogram of what
// guests saw, too; or also those of its parts.
enum class Detail : std::uint8_t { counts, guest, all };

// One moment of a disc, as a value.
struct DiscSnapshot {
  DiscState state = DiscState::connecting;
  std::int64_t state_since_ns = 0;  // steady_clock
  std::uint64_t size = 0;
  std::uint16_t flags = 0;
  std::uint32_t in_flight = 0;
  std::uint32_t connections = 0;
  std::uint32_t guests = 0;
  std::vector<std::uint64_t> guest_sizes;
  std::uint64_t reconnects = 0;
  std::uint8_t durability = 0;
  std::uint64_t kept_bytes = 0;
  std::int64_t neighbour_missing_at_ns = 0;
  std::int64_t waiting_since_ns = 0;  // steady_clock; 0 while answers come.
  int ifindex = 0;
  std::string last_problem;
  std::string note;
  std::array<OperationSnapshot, operations> by_operation;
  std::array<StallSnapshot, causes> stalls;
  std::array<StallSnapshot, causes> slow_openings;
  StallSnapshot neighbour_stalls;
  StallSnapshot interface_waits;
};

class DiscStats {
 public:
  // Told of every change of state, on the thread that made it; must be quick and must not block.
  class Watcher {
   public:
    virtual void on_state(DiscState state) noexcept = 0;

   protected:
    ~Watcher() = default;
  };

  // A request that took no longer is not looked at: nobody asks for its cause before that.
  static constexpr Duration without_neighbour_min = std::chrono::milliseconds(5);

  // `watcher` may be null; otherwise it must outlive every writer.
  explicit DiscStats(Watcher* watcher = nullptr) noexcept : watcher_(watcher) {}
  DiscStats(const DiscStats&) = delete;
  DiscStats& operator=(const DiscStats&) = delete;

  ~DiscStats();

  // The data thread. `error` is an errno, 0 for success. Without memory for an operation's first
  // record it is lost.
  void record(Operation operation, std::uint32_t bytes, int error, Journey journey) noexcept;
  void record_stall(Cause cause, Duration latency) noexcept;
  // No request, and therefore no stall: the first connection to the tail took long. Without memory
  // for the first of these it is lost.
  void record_slow_opening(Cause cause, Duration time) noexcept;
  // The kernel told of something sent then for how long it was parked until the neighbour was
  // found; zero if it was not.
  void record_parked(Instant since, Duration parked) noexcept;
  // A request was under way meanwhile, and the neighbour entry was seen missing. Counts what the
  // kernel has not told of.
  void record_without_neighbour(Instant since, Instant until) noexcept;
  // Whether the interface to the disc, or its addresses, were away after that, or came back less
  // than a second before.
  bool interface_was_away(Instant since) const noexcept;
  // Nothing has been answered for long, or there is no connection any more.
  void note_silent(Instant now) noexcept;
  bool connected() const noexcept { return connections.load(std::memory_order_relaxed) != 0; }
  void enter(DiscState state, Instant now) noexcept;
  // One sentence, cut at 200 bytes. Rare: a connection was refused, lost, or disbelieved.
  void set_problem(std::string_view sentence) noexcept;
  // What an operator should know of a disc although it is served; "" for nothing. Cut as well.
  void set_note(std::string_view sentence) noexcept;
  // The size that each guest was told in its handshake, those in a handshake left out. Rare: a
  // guest came or left.
  void set_guest_sizes(std::span<const std::uint64_t> sizes) noexcept;

  std::atomic<DiscState> state{DiscState::connecting};
  std::atomic<std::int64_t> state_since_ns{0};  // steady_clock
  std::atomic<std::uint64_t> size{0};           // Bytes; 0 until known.
  std::atomic<std::uint16_t> flags{0};          // nbd::transmission_flag, as the tail says.
  std::atomic<std::uint32_t> in_flight{0};      // Requests that guests wait for.
  std::atomic<std::uint32_t> connections{0};    // To the tail, usable now.
  std::atomic<std::uint32_t> guests{0};         // Clients of the export.
  std::atomic<std::uint64_t> reconnects{0};

  // The keeper writes it: the last instant (steady_clock, nanoseconds) at which the neighbour
  // entry was seen absent, INCOMPLETE or FAILED; 0 for never.
  std::atomic<std::int64_t> neighbour_missing_at_ns{0};

  // The keeper writes it: the last instant (steady_clock, nanoseconds) at which the way to the disc
  // was there again after it had been interrupted; 0 for never. What was sent meanwhile may be
  // lost.
  std::atomic<std::int64_t> way_back_at_ns{0};

  // The keeper writes it: a second after the interface to the disc, or its addresses, were there
  // again (as above). Who began to wait before that waited for the interface, and not for neighbour
  // discovery; 0 for never.
  std::atomic<std::int64_t> interface_back_at_ns{0};

  // The keeper writes it: how long to leave between attempts to connect, in milliseconds, while the
  // tail's host answers for none of its discs; 0 otherwise.
  std::atomic<std::uint32_t> attempts_apart_ms{0};

  // The keeper writes it: the interface that leads to the disc now; 0 when none does, or before.
  std::atomic<int> ifindex{0};

  // The keeper writes it, before the kernel sends there: the link-layer address, as a number, at
  // which the disc is held to be because the wire says so, against what was told with a generation,
  // and in the upper 16 bits a number of this rumour's own; 0 for none. The data thread writes for
  // which of them the tail has shown that it has the disc, or an operator has accepted it as that;
  // without a number of its own, an earlier headd had it shown.
  std::atomic<std::uint64_t> rumoured_at{0}, proven_at{0};
  // Whether a tail there is to prove itself before anything is asked of it.
  bool must_prove() const noexcept {
    const auto at = rumoured_at.load(std::memory_order_acquire);
    return at != 0 && at != proven_at.load(std::memory_order_relaxed);
  }
  void prove(std::uint64_t rumour) noexcept { proven_at.store(rumour, std::memory_order_relaxed); }
  // The rumour in effect, once it is proven; otherwise 0.
  std::uint64_t proven_rumour() const noexcept {
    const auto at = rumoured_at.load(std::memory_order_acquire);
    return at == proven_at.load(std::memory_order_relaxed) ? at : 0;
  }

  // The data thread writes it: the last instant (steady_clock, nanoseconds) at which requests were
  // found to wait, or the disc to be opened, although nothing had been answered for a while, or the
  // disc had no connection any more; 0 for never.
  std::atomic<std::int64_t> silent_at_ns{0};

  // The data thread writes it: the last instant (steady_clock, nanoseconds) at which a connection
  // took another's place, and what that one had not answered was asked again; 0 for never.
  std::atomic<std::int64_t> replaced_at_ns{0};

  // The data thread writes it: the last instant (steady_clock, nanoseconds) at which packets were
  // found to be lost on a connection whose answers were waited for; 0 for never.
  std::atomic<std::int64_t> packets_lost_at_ns{0};

  // The data thread writes it: since when (steady_clock, nanoseconds) nothing has been answered
  // although something was asked; 0 when answers come, to within a few milliseconds.
  std::atomic<std::int64_t> waiting_since_ns{0};

  // The data thread writes them: what it promises (nbd::Durability), and how much memory it has for
  // acknowledged writes that are not flushed yet.
  std::atomic<std::uint8_t> durability{0};
  std::atomic<std::uint32_t> kept_bytes{0};

  // Any thread. `with_latency` false leaves the histograms out: 10,000 discs are listed often.
  DiscSnapshot snapshot(bool with_latency = true) const;
  // Adds up many discs without a copy of each one's histograms.
  void add_to(std::array<OperationSnapshot, operations>& sum, Detail detail = Detail::all) const;
  void add_to(std::array<StallSnapshot, causes>& sum) const noexcept;
  void add_slow_openings_to(std::array<StallSnapshot, causes>& sum) const noexcept;
  // How often, and for how long, requests of the disc waited for neighbour discovery: waits that
  // overlap are one.
  StallSnapshot neighbour_stalls() const noexcept { return neighbour_stalls_.snapshot(); }
  // The same of waits that began while the interface was away (interface_was_away()). No moment is
  // counted twice, so that the two together are all the time in which requests waited.
  StallSnapshot interface_waits() const noexcept { return interface_waits_.snapshot(); }
  std::string problem() const;
  std::string note() const;
  std::vector<std::uint64_t> guest_sizes() const;

 private:
  struct PerOperation {
    std::atomic<std::uint64_t> requests{0};
    std::atomic<std::uint64_t> bytes{0};
    std::atomic<std::uint64_t> errors{0};
    Histogram latency;
    Histogram head;
    Histogram wire;
    Histogram tail;

    void add_to(OperationSnapshot& sum, Detail detail) const;
  };
  struct PerCause {
    std::atomic<std::uint64_t> count{0};
    std::atomic<std::uint64_t> time_ns{0};

    void add(std::uint64_t stalls, Duration time) noexcept;
    StallSnapshot snapshot() const noexcept {
      return {count.load(std::memory_order_relaxed), time_ns.load(std::memory_order_relaxed)};
    }
  };

  void set(std::string& place, std::string_view sentence) noexcept;
  void count_wait(Instant since, Instant until) noexcept;

  Watcher* const watcher_;
  // Made by an operation's first record: most discs see few of the seven.
  std::array<std::atomic<PerOperation*>, operations> by_operation_{};
  std::array<PerCause, causes> stalls_;
  // Made by the first: most discs are opened in time.
  std::atomic<std::array<PerCause, causes>*> slow_openings_{nullptr};
  PerCause neighbour_stalls_;
  PerCause interface_waits_;
  // The data thread's: what was told of last was sent then; until when something told of was
  // parked; until when waits are counted, and which of the two counted the last one.
  Instant told_of_{};
  Instant told_until_{};
  Instant waits_counted_until_{};
  PerCause* waits_counted_by_ = nullptr;
  mutable std::mutex lock_;  // Of these. Off the data path; held for a copy of 200 bytes.
  std::string problem_;
  std::string note_;
  std::vector<std::uint64_t> guest_sizes_;
};

static_assert(sizeof(DiscStats) <= 512);

}  // namespace head::stats
