// Keeps what a disc promises of acknowledged writes (nbd::Durability, DURABILITY.md), between the
// disc's queue and its connections: who may go now, and who may be answered now.
//
//   waiting ─ admit() ─► connection ─ settle() ─► answered
//               └ held: behind a replay, a ghost's        └ put off: until a FLUSH has followed
//                 time, or for room in the log
//
// In mode replay the disc has one connection, and each new one first gets the log.
#pragma once

#include "head/disc/fence.hpp"
#include "head/disc/replay_log.hpp"
#include "head/disc/replay_sweep.hpp"
#include "head/disc/syncs.hpp"
#include "head/nbd/durability.hpp"
#include "head/nbd/legacy.hpp"
#include "head/nbd/volume.hpp"
#include "iouring/io.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace head::disc {

struct GuardOptions {
  nbd::Durability durability = nbd::Durability::writeback;
  // How long a tail may take for what it had been sent over a connection that is lost. Zero: tails
  // carry out nothing more of it.
  std::chrono::milliseconds quarantine{30'000};
  ReplayMemory* memory = nullptr;  // For mode replay; shared.
  Traces* traces = nullptr;        // Shared. Null: nothing outlives the disc.
  std::uint64_t export_key = 0;    // There.
  bool inherits = false;           // inherit() follows, and before it no FLUSH is tried.
};

class Guard {
 public:
  // Whoever reset a connection may have been another host than the tail, if by then the disc turns
  // out to have moved.
  static constexpr std::chrono::milliseconds moves_known_within{1'000};
  // Changes that find no room in the log fail when so many FLUSHes have failed in a row.
  static constexpr unsigned flushes_failed_max = 3;
  // What an earlier headd has left unanswered its guests ask again at once.
  static constexpr std::chrono::seconds expected_within{5};
  // Whatever is kept is flushed after so long, for the sake of other discs.
  static constexpr std::chrono::seconds kept_longest{5};

  class Owner {
   public:
    // A request of the guard's own goes to the tail at once. False: no connection has room.
    virtual bool send_own(nbd::Request& request) noexcept = 0;
    // These, and whatever else waits, may be admitted now; these first.
    virtual void go_on(nbd::RequestQueue requests) noexcept = 0;
    // What settle() put off.
    virtual void on_settled(nbd::Request& request, int error) noexcept = 0;
    // The tail offers FLUSH and does not know it.
    virtual void on_flush_unknown() noexcept = 0;
    // What the tail had acknowledged may be lost, and nothing is kept that repairs it.
    virtual void on_sync_failed(nbd::Command sync, int error) noexcept = 0;
    // What is kept was to be written again, and is abandoned.
    virtual void on_abandoned() noexcept = 0;
    // The tail will not make again a change that it had acknowledged.
    virtual void on_replay_refused(int error) noexcept = 0;

   protected:
    ~Owner() = default;
  };

  Guard(iouring::Io& io, Owner& owner, const GuardOptions& options);
  ~Guard();

  // Before anything is admitted: what the tail can do; and again, where it can do more.
  void learn(const nbd::ExportInfo& tail) noexcept;
  // Of what is acknowledged something is kept: there may be one connection only.
  bool keeps() const noexcept { return log_ != nullptr; }
  std::size_t kept_bytes() const noexcept { return keeps() ? log_->bytes() : 0; }

  // Is anybody there to go on with what is acknowledged? What is kept when nobody is may be older
  // than what its guest has written elsewhere since. So is what is kept once the grace time is
  // over. It is abandoned: before it is written again an operator says so, with claim().
  void attend(bool attended) noexcept {
    attended_ = attended;
    if (!attended) abandon();
  }
  void abandon() noexcept {
    if (keeps()) unattended_to_ = log_->end();
  }
  void set_grace_over(bool over) noexcept { given_up_to_ = over && keeps() ? log_->end() : 0; }
  bool is_abandoned() const noexcept {
    return keeps() && !log_->empty() && log_->begin() < std::max(unattended_to_, given_up_to_);
  }
  void claim() noexcept { unattended_to_ = given_up_to_ = 0; }
  // A FLUSH that was taken back is still to be answered, and may tell there that it has failed.
  bool flush_in_doubt() const noexcept { return !orphan_flushes_.empty(); }
  // The success of that FLUSH may be one that another's failure has made.
  bool may_be_wrong(const nbd::Request& flush) const noexcept {
    return flush_in_doubt() || syncs_.are_beside(flush);
  }
  // Of a request that is with the tail, what a change writes (content_of()); 0: it is not known.
  std::uint64_t content_of_sent(const nbd::Request& request) const noexcept {
    return fence_.sent(&request).value_or(0);
  }

  // What an earlier headd left of the disc, at any time. Changes that were not answered there are
  // asked again. And once the disc is known, what that one kept is kept here, to be replayed by
  // on_open(). How many bytes of it cannot be.
  void inherit(const nbd::Legacy& legacy);
  std::size_t restore();
  void leave(nbd::Legacy& into) const;
  // Not answered, and not sent any more here. `whole`: itself, or what it is a piece of.
  void leave_behind(const nbd::Request& request, const nbd::Request& whole);

  // Nothing may go but what the guard sends.
  bool replaying() const noexcept { return replay_due_; }
  // Has it come further since this was asked last, for good?
  bool has_advanced() noexcept { return std::exchange(advanced_, false); }
  // The guard has to send something itself first.
  void send_own() noexcept {
    if (replay_due_) replay_more();
    if (flush_wanted_ || (probe_ == Probe::due && may_probe_)) send_flush();
  }
  // May something else come over what it has written?
  bool is_in_doubt(const nbd::Request& request) const noexcept {
    return fence_.is_in_doubt(range_of(request), io_.now());
  }
  // A FLUSH goes that is not admitted.
  void begin_flush(const nbd::Request& flush) { syncs_.begin(flush); }
  // The tail has answered a sync, whoever asked; settle() follows. If it failed the tail may have
  // forgotten what it was to make stable, and say so once only (as Linux' fsync does): what is kept
  // is written again before another FLUSH may release it, and what was with the tail is asked
  // again: others may go_on() inside. False: nothing is kept that repairs it.
  bool on_sync_answered(const nbd::Request& sync, int error) noexcept;
  // It will not be answered; or there only.
  void lose_sync(const nbd::Request& sync) noexcept;
  void orphan_sync(const nbd::Request& sync, Fence::Witness there);
  // How many successes are not believed yet; bounded by the requests that there may be.
  std::size_t unbelieved() const noexcept { return successes_.size(); }
  // Successes that are to be believed by now.
  void believe() noexcept;
  // A guest asks for a change. True: an earlier headd had sent it, and it goes before others.
  bool arrive(const nbd::Request& change);
  bool was_awaited(const nbd::Request& one) const noexcept { return fence_.was_awaited(&one); }
  // Does one of those go before it there?
  bool awaits_other(const nbd::Request& change, Range blocks) const noexcept;
  // May it go now? If not, it is kept until it may.
  bool admit(nbd::Request& request, const nbd::Request& whole) noexcept;
  // The tail has answered. May it be told? Then with that error. If not, it was the guard's own, or
  // comes later.
  bool settle(nbd::Request& request, int& error) noexcept;

  // Before anything else is asked of the tail, what is kept is written again.
  void must_replay() noexcept;
  // The disc, which is known, has a connection again.
  void on_open() noexcept;
  // A connection was lost. First, what must be asked again although it was answered, since it was
  // put off.
  void fence_others() noexcept;
  // Each unanswered request of it; true: it was the guard's own. The tail may carry it out until
  // then; not at all where that is no time. Or: it is still to be answered there.
  bool lost(nbd::Request& request, const Fence::Term& ghost);
  bool orphaned(nbd::Request& request, Fence::Witness ghost);
  // Behind them; what fence_others() is about is put before what is to be asked again.
  void lost_others(nbd::RequestQueue& again) noexcept;

  // An orphan was answered, or will not be any more: then its ghost may come for so long.
  void settle_ghost(Fence::Witness ghost) noexcept;
  void lose_witness(const void* connection, const Fence::Term& ghosts) noexcept;
  // The tail is elsewhere.
  void tail_moved() noexcept { fence_.tail_moved(); }

  // It is not on a connection, nor here, and is not sent any more.
  void forget(nbd::Request& request) noexcept;
  // The same of one that is here; false: it is not.
  bool withdraw(nbd::Request& request) noexcept;
  // Calls it with each that has not been sent to a connection yet.
  template <class Function>
  void for_each_held(Function function) const {
    held_.for_each(function);
    no_room_.for_each(function);
  }
  // One that is here; null when there is none.
  nbd::Request* pop() noexcept;

 private:
  struct Own final : nbd::Request {
    void on_done(int) noexcept override {}  // The guard is asked, by settle().
    bool busy = false;
  };
  // Of the log, under way at once.
  struct Replays {
    Replays(const ReplayLog& log, std::uint64_t from) : sweep(log, from), next(sweep.next()) {}

    ReplaySweep sweep;
    std::optional<ReplaySweep::Part> next;
    std::array<Own, 16> requests;
    std::array<std::vector<iovec>, 16> data;
    Own flush;  // On the way.
    bool begun = false;
    unsigned sent_since_flush = 0;  // Parts,
    std::uint64_t sent_to = 0;      // up to this offset of the disc.
  };
  struct Refused {
    const nbd::Request* who;
    int error;
  };
  // What replays of one log have come to. Connections may live for less than all of it takes: from
  // the second time on FLUSHes on the way make it stable, each after half of what was answered;
  // more and more seldom once this connection has lived for longer than the one before.
  struct Progress {
    ReplayLog::Place end = 0;     // The log's.
    std::uint64_t stable_to = 0;  // An offset of the disc.
    unsigned answered = 0;        // Parts, this time or the last one;
    unsigned before = 0;          // and the time before.
    unsigned flush_every = 0;     // So many parts; 0: there is none.
  };
  // A FLUSH that was answered well, or a change that is neither kept nor surely stable, and is not
  // believed yet.
  struct Success {
    Syncs::Turn after = 0;        // All sent until then are to be answered first.
    ReplayLog::Place covers = 0;  // What it lets go of;
    nbd::RequestQueue told{};     // and who is told.
    bool own = false;             // It was the guard's.
    int error = 0;         // Another one has failed since, and it may have been because of that:
    bool doubted = false;  // it did not fail itself.
  };
  // A change for which there is room in the log, or a FLUSH and what it covers.
  struct Going {
    const nbd::Request* who = nullptr;
    ReplayLog::Place covers = 0;
    bool reserved = false;
    bool flush_follows = false;
  };
  // It was with the tail when a sync failed: if it is answered well, that may be because of that.
  struct Doubted {
    const nbd::Request* who;
    int error;  // The sync's.
  };

  void expect_lost_log();
  bool must_be_flushed(const nbd::Request& refused, int error) const noexcept;
  bool is_refused(const nbd::Request& request) const noexcept;
  int take_refusal(const nbd::Request& request) noexcept;
  bool has_room(nbd::Request& request, Going& going) noexcept;
  Going take(const nbd::Request& request) noexcept;
  void keep(const nbd::Request& request, bool stable) noexcept;
  bool settle_own(nbd::Request& request, int error, int doubt) noexcept;
  void settle_flush(nbd::Request& flush, ReplayLog::Place covers, int doubt) noexcept;
  template <class Ghost>
  bool take_back(nbd::Request& request, const Ghost& ghost);
  static nbd::RequestQueue only(nbd::Request& request) noexcept;
  void believe_later(Success success);
  void on_believed(Success& success) noexcept;
  nbd::Request* flush_to_tell(int& error) noexcept;
  void merge_successes() noexcept;
  void on_own_answered(int error, int doubt) noexcept;
  void on_own_flush(Success& success) noexcept;
  void doubt_all(const nbd::Request& failed, int error) noexcept;
  void doubt(const nbd::Request& request, int error);
  int take_doubt(const nbd::Request& request) noexcept;
  void take_again(nbd::RequestQueue& from, nbd::RequestQueue& again);
  void refuse_later(const nbd::RequestQueue& those, int error);
  void tell(nbd::RequestQueue those, int error) noexcept;
  void ask_again(nbd::RequestQueue requests) noexcept;
  void on_probed(int error) noexcept;
  void begin_probe() noexcept;
  void flush_soon() noexcept;
  void send_flush() noexcept;
  void replay_more() noexcept;
  bool replay_next() noexcept;
  void begin_replay() noexcept;
  void flush_on_the_way() noexcept;
  void on_flushed_on_the_way(int error) noexcept;
  void wake() noexcept;
  void wake_soon() noexcept;
  void on_alarm() noexcept;
  void arm() noexcept;

  iouring::Io& io_;
  Owner& owner_;
  const GuardOptions options_;

  bool through_ = false;  // Changes are stable before they are answered:
  bool can_fua_ = false;  // by FUA;
  bool can_flush_ = false;

  Fence fence_;
  std::vector<nbd::Legacy::Doubt> left_;
  std::vector<Trace> lost_log_;  // Of a headd that was killed: parts of a replay.
  std::vector<Going> going_;
  std::vector<Doubted> doubted_;
  nbd::RequestQueue held_;     // By the fence.
  nbd::RequestQueue no_room_;  // In the log.

  nbd::RequestQueue put_off_;     // Answered by the tail; a FLUSH is to follow,
  nbd::RequestQueue covered_;     // or is under way.
  std::vector<Refused> refused_;  // Of those.
  bool flush_wanted_ = false;
  std::unique_ptr<Own> flush_;
  unsigned flushes_failed_ = 0;  // In a row, of these.
  // Whether a tail that offers FLUSH knows it, which some do not: found out before anything relies
  // on it.
  enum class Probe : std::uint8_t { needless, due, done };
  Probe probe_ = Probe::needless;
  static constexpr unsigned probes_most = 4;
  unsigned probes_refused_ = 0;
  bool may_probe_;
  nbd::Legacy::Flush flush_known_ = nbd::Legacy::Flush::not_tried;
  ReplayLog::Place flush_covers_ = 0;
  std::vector<Fence::Witness> orphan_flushes_;
  Syncs syncs_;
  std::vector<Success> successes_;  // In the order in which they came.

  std::unique_ptr<ReplayLog> log_;
  bool attended_ = true;
  ReplayLog::Place unattended_to_ = 0, given_up_to_ = 0;
  std::vector<std::byte> left_log_;  // An earlier headd's, until the disc is known.
  bool left_log_abandoned_ = false;
  iouring::Instant flush_at_{};  // While something is kept.
  bool replay_due_ = false;
  bool replay_from_start_ = false;
  std::size_t replays_busy_ = 0;
  std::unique_ptr<Replays> replays_;
  Progress progress_;
  bool advanced_ = false;

  bool wake_due_ = false;  // At the next alarm, whatever else it is for.
  iouring::Alarm<&Guard::on_alarm> alarm_{*this};
};

}  // namespace head::disc
