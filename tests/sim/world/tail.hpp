// A tail: an NBD server with workers whose requests may outlive their connection and finish in any
// order, after any time. It is told its manners once, and its misfortunes as they come.
//
//   stream ─► session: handshake, requests ─► todo ─► worker ─► store, reply
#pragma once

#include "head/nbd/wire.hpp"
#include "tests/sim/world/network.hpp"
#include "tests/sim/world/observer.hpp"
#include "tests/sim/world/store.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

namespace world {

struct TailManners {
  std::size_t size = 256 << 10;
  std::uint16_t flags = 0;          // transmission_flag; 0: of a tail that can do everything.
  std::uint32_t block_minimum = 0;  // 0: it says nothing of block sizes.
  std::uint32_t payload_maximum = 32u << 20;
  bool structured = true;
  bool base_allocation = true;
  unsigned workers = 8;
  Duration takes_least = std::chrono::microseconds(10);
  Duration takes_most = std::chrono::microseconds(120);
  double shuffle = 0.3;  // Begins a request out of turn.
  // A worker takes so long now and then.
  double slow = 0.0;
  Duration slow_least{}, slow_most{};
  bool is_volatile = true;     // Has a cache that is lost with the power.
  bool keeps_private = false;  // Writes belong to the connection that they came on.
  bool one_client = false;     // A second client is greeted when the first has gone.
  // What a session has sent is carried out although it is gone; else only what has been begun.
  bool outlives = true;
  // Closes a connection although its workers go on with what came over it.
  bool closes_early = false;
  bool scattered = false;     // Replies to READ come in many chunks, between those of others.
  bool tears = false;         // What it has begun when it ends is done in part.
  bool tears_errors = false;  // And what it refuses with EIO or ENOSPC.
  double cached = 0.0;        // Carries a request out at once and answers it later.
  Duration tells_late{};      // Carries changes out at once, and answers so much later, at most.
  bool fua_flushes = false;   // It makes a FLUSH of everything of FUA, behind the change.
  bool flushes_own = false;   // A FLUSH covers its own connection, and those that are gone.
  bool early_flush = false;   // A FLUSH covers what was done when a worker began it, and no more.
  std::optional<head::nbd::Command> poison{};  // Hangs up on such a request, where it reaches
  std::uint64_t poison_from = 0;               // beyond this sector.
  bool overlong_extents = false;               // BLOCK_STATUS tells of more than was asked.
  unsigned requests_per_connection = 0;        // It hangs up after so many; 0: it does not.
};

// How a reply may break the protocol: it carries nobody's cookie, comes twice, or says that it is
// whole when it is not.
enum class Lie : std::uint8_t { of_nobody, twice, in_part };

// What a tail may be when it comes back.
enum class Change : std::uint8_t { none, smaller, larger, read_only, another_disc };
const char* to_string(Change change);

class Tail {
 public:
  // What a failed FLUSH has forgotten is seen by readers for so long.
  static constexpr std::chrono::milliseconds evicts_after{2'000};

  Tail(Clock& clock, Dice& dice, Observer& observer, const TailManners& manners);
  ~Tail();

  // ---- Connections ----
  enum class Answer : std::uint8_t { accepts, refuses, silent };
  Answer knocked() const noexcept;
  Peer& accept(Stream& stream, Link& link);
  // That its clients reset with requests unanswered.
  std::uint64_t given_up() const noexcept { return given_up_; }

  // ---- Misfortunes ----
  // The process ends: its connections are reset, or closed in order; what is under way is not done.
  void end(bool lose_power);
  // Its host is gone without a word, with its power.
  void vanish();
  void start();
  // The process is stopped (SIGSTOP), or goes on.
  void stop(bool yes);
  // The connections that there are now answer nothing any more; new ones do.
  void hang_connections();
  // All connections are reset, or closed; what they had sent is carried out or not, as outlives.
  void cut_connections(bool reset, std::optional<std::size_t> after_bytes);
  // The next so many requests of this kind are refused. Forgets: a FLUSH forgets what it was to
  // make stable. Fua: it is changes with FUA, since the FLUSH fails that the tail makes of it.
  // As if it did not know FLUSH it answers one only so often: from a tail that does that again and
  // again headd believes it, and keeps nothing.
  static constexpr unsigned misunderstood_most = 3;
  void refuse(head::nbd::Command command, int error, unsigned times, bool forgets, bool fua);
  // Changes of these sectors are refused from now on.
  void spoil(std::uint64_t first, std::uint64_t count);
  // The next requests take so long.
  void be_slow(unsigned requests, Duration takes);
  void lie(unsigned replies, Lie how) { lies_ = replies, lie_ = how; }
  // Answers everything with ESHUTDOWN from now on.
  void shut_down() noexcept { shutting_down_ = true; }
  bool shutting_down() const noexcept { return shutting_down_ && up_; }
  // To clients that come from now on. What it holds stays what it is.
  void become(Change change);

  bool up() const noexcept { return up_; }
  std::uint64_t life() const noexcept { return life_; }  // Counts its processes.
  bool answers() const noexcept { return up_ && !stopped_; }

 private:
  class Session;
  struct Job {
    Session* session = nullptr;
    head::nbd::RequestHeader header;
    Bytes payload;
    bool begun = false;
    bool applied = false;
    bool dropped = false;
    bool slow = false;
    std::uint64_t loss = 0;  // It fails, and what it was to make stable is forgotten: which loss.
    bool flushes = false;    // A change: its FLUSH is to come.
    bool refused = false;
    int error = 0;
    Bytes read;
    std::vector<std::size_t> covers;  // Sectors, of a FLUSH.

    bool is_under_way() const noexcept { return begun && !applied && !dropped; }
  };
  struct Refusal {
    head::nbd::Command command;
    int error;
    unsigned times;
    bool forgets;
    bool fua;
  };

  // Nobody is told there any more what has failed.
  void keep_losses(const Session& session);
  void enqueue(Job job);
  void begin_jobs();
  Duration time_for(Job& job);
  void finish(std::size_t number, std::uint64_t life);
  void carry_out(Job& job);
  void carry_out_change(Job& job);
  Dice whim_of(const head::nbd::RequestHeader& header) const noexcept;
  void tear(const Job& job);
  std::uint64_t told_size() const noexcept;
  bool refused(Job& job);
  void change_store(const Job& job, bool stable);
  void flush_behind(Job& job);
  std::vector<std::size_t> flushed_by(const Job& job) const;
  void make_stable(const std::vector<std::size_t>& sectors);
  void lose_data(Job& job, bool of_others);
  void greet_next();
  void recycle(std::size_t number);
  void drop_jobs(const Session& session);

  Clock& clock_;
  Dice& dice_;
  Observer& observer_;
  TailManners manners_;
  Store store_;
  const std::uint64_t whim_;
  bool up_ = true, stopped_ = false, gone_ = false;
  std::uint64_t life_ = 0;  // Counts processes.
  std::uint64_t given_up_ = 0;
  std::vector<std::unique_ptr<Session>> sessions_;
  // By sector: over which it was changed since it was stable.
  std::map<std::size_t, std::set<const Session*>> writers_;
  std::deque<Job> jobs_;  // By number; those in use are in todo_, or with a worker.
  std::vector<std::size_t> free_;
  std::deque<std::size_t> todo_;
  std::vector<std::size_t> late_;  // Finished while it was stopped.
  unsigned busy_ = 0;
  std::vector<Refusal> refusals_;
  unsigned flushes_misunderstood_ = 0;       // Answered with EINVAL or ENOTSUP.
  std::uint64_t bad_from_ = 0, bad_to_ = 0;  // Bytes.
  unsigned slow_next_ = 0;
  Duration slow_takes_{};
  unsigned lies_ = 0;
  Lie lie_ = Lie::of_nobody;
  bool shutting_down_ = false;
  Change change_ = Change::none;
};

}  // namespace world
