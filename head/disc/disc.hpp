// One remote disc: what a guest asks of it, it asks of the tail, over one connection or several.
// Every request is answered exactly once. A lost connection is no error: the disc connects again in
// the background and sends what was unanswered again; requests wait meanwhile, for as long as the
// disc's Standing says.
//
//   submit ─► (held: a block they touch is being changed) ─► waiting ─► a connection ─► on_answer
//                     │                            Guard: may it go ─┘   may it be told ─┘
//                     └─► Reshape, where the tail would not take it as it is ─┘
#pragma once

#include "head/base/log.hpp"
#include "head/disc/backoff.hpp"
#include "head/disc/block_locks.hpp"
#include "head/disc/disc_options.hpp"
#include "head/disc/disc_owner.hpp"
#include "head/disc/first_block.hpp"
#include "head/disc/isolation.hpp"
#include "head/disc/last_writes.hpp"
#include "head/disc/look.hpp"
#include "head/disc/patience.hpp"
#include "head/disc/reshape.hpp"
#include "head/disc/rumours.hpp"
#include "head/disc/small_read.hpp"
#include "head/disc/suspicion.hpp"
#include "head/nbd/connection.hpp"
#include "head/nbd/legacy.hpp"
#include "head/nbd/volume.hpp"
#include "head/stats/disc_stats.hpp"
#include "head/stats/stalls.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace head::disc {

class Disc final : public nbd::Volume, Reshape::Owner, Guard::Owner {
 public:
  // Requests that the tail would not take as they are; others wait.
  static constexpr std::size_t reshapes_max = 32;
  // After the way is back, for answers that are on it.
  static constexpr std::chrono::milliseconds way_grace{5};
  // Of readings of what was written last.
  static constexpr std::chrono::seconds readings_apart{5};

  using Owner = DiscOwner;

  Disc(iouring::Io& io, Owner& owner, Patience& patience, DiscOptions options,
       const nbd::ConnectionOptions& connection, std::shared_ptr<stats::DiscStats> stats);
  ~Disc();

  const std::string& name() const noexcept { return options_.name; }
  const std::shared_ptr<stats::DiscStats>& stats() const noexcept { return stats_; }
  const nbd::ExportInfo* info() const noexcept override { return known_ ? &info_ : nullptr; }
  // What its tail offers, or did.
  std::optional<nbd::ExportInfo> shape() const {
    return known_ ? std::optional(tail_) : std::nullopt;
  }

  std::uint32_t outstanding() const noexcept { return outstanding_; }
  // When a request was answered last, or the first outstanding came.
  iouring::Instant last_progress() const noexcept { return last_progress_; }
  // Since when its tail has answered nothing that is waited for: requests, or its opening.
  std::optional<iouring::Instant> waiting_since() const noexcept {
    if (outstanding_ != 0) return last_progress_;
    return opening_ ? std::optional(opening_->since) : std::nullopt;
  }

  // What is kept is to be written again before anything else is asked of the tail.
  bool replaying() const noexcept { return guard_.replaying(); }

  // For its watcher. Since when nothing has been answered, or that answers come.
  void tell_waiting(std::optional<iouring::Instant> since) noexcept;
  void no_longer_watched() noexcept { watched_ = false; }
  // Where the way to the tail was interrupted and is there again, replaces connections that have
  // heard nothing since: TCP would send again only after a wait that grows.
  void follow_way() noexcept;
  // Where answers have been waited for beyond the grace time, there are none any more.
  void mind_grace() noexcept;
  // Where one is silent for longer than it was lately, tries the tail on a second one.
  void mind_silence() noexcept;
  // Notes whether packets were lost where answers are late, and how far the tail is.
  void look_at_network() noexcept;

  // Connects at once, unless it waits for connections (DiscOptions).
  void open();
  void submit(nbd::Request& request) noexcept override;
  bool withdraw(nbd::Request& request) noexcept override;
  // What was refused before stays refused.
  void set(const Standing& standing) noexcept;
  // The tail is elsewhere, or there again: connects anew at once. Connections that there are
  // serve until each one's successor is open; what they have not answered is sent there again.
  void relocate() noexcept;
  // What its tail has is right, an operator says, whoever else had the disc. Nothing where
  // it is not held because of that.
  void accept() noexcept;
  // Is a guest connected? (At first it is thought so.) What is kept when none is may be older than
  // what a guest of another head has written.
  void attend(bool attended) noexcept { guard_.attend(attended); }
  // Before guests ask: what an earlier headd knew of the disc, and its connections, if this waits
  // for them.
  void inherit(const nbd::Legacy& legacy, std::vector<nbd::HandedConnection> connections = {});
  // Once it is closed. The connections that hand_over() let go of.
  nbd::Legacy legacy();
  std::vector<nbd::HandedConnection> connections() noexcept { return std::move(handed_); }
  // What is outstanding is answered with ESHUTDOWN, once the kernel lets go of it.
  // Ends in on_disc_closed(), never inside.
  void close() noexcept;
  // The same, but connections on which nothing is under way stay open for whoever serves the disc
  // next; so many at most.
  void hand_over(std::size_t connections_most) noexcept;

 private:
  class Link;  // One of the connections: link.hpp.

  // Of a connection that is silent: whether the tail answers on a second one.
  struct Trial {
    Trial(Link& with, iouring::Instant now, std::uint32_t block)
        : link(&with), since(now), question(now, block) {}

    Link* link;  // The second one. Its predecessor is the suspect.
    iouring::Instant since;
    SmallRead question;     // There; the suspect is asked as well.
    bool answered = false;  // There; the suspect is listened to for a moment more.
  };

  void on_open(Link& link) noexcept;
  void go_on_with(Link& link) noexcept;
  void on_answer(Link& link, nbd::Request& request, int error) noexcept;
  void conclude(nbd::Request& request, int error) noexcept;
  void on_closed(Link& link, const std::string& problem, nbd::RequestQueue unanswered) noexcept;
  void ask_once_more(nbd::RequestQueue again) noexcept;
  void read_anew() noexcept;
  Fence::Term ghosts_of(const Link& link) const noexcept;
  bool orphan(Link& link) noexcept;
  bool lose_own(Link& link, const nbd::Request& request) noexcept;
  void on_orphan_answered(Link& link, std::uint64_t cookie, const nbd::Request& orphan,
                          int error) noexcept;
  void on_sync_answered(const nbd::Request& request, int error) noexcept;
  void on_packets_lost(iouring::Instant at) noexcept;
  Link& add_link();
  void count_spare_links() noexcept;
  void relocate(Link& link) noexcept;
  void succeed(Link& link) noexcept;
  void part_from(Link& link) noexcept;
  void bury(iouring::Result result) noexcept;
  void on_drained(iouring::Result result) noexcept;

  void end(Link& link) noexcept;
  void on_own_late() noexcept;
  bool may_go_along(const Link& link) const noexcept;
  void on_handed_over(nbd::HandedConnection handed) noexcept;
  void take_up(std::vector<nbd::HandedConnection> handed);

  void begin_opening() noexcept;
  void on_opening_late() noexcept;
  void end_opening(int error) noexcept;
  void learn(const nbd::ExportInfo& info);
  void adopt(const nbd::ExportInfo& info);
  void remember(const nbd::ExportInfo& shape);
  void grow(std::uint64_t size) noexcept;
  const char* objection_to(const nbd::ExportInfo& info) const noexcept;
  void object(Link& link, const char* objection, std::string told = {}) noexcept;
  bool may_serve(Link& link) noexcept;
  void settle_in(Link& link) noexcept;

  bool must_prove() const noexcept;
  bool may_lead_elsewhere(const Link& link) const noexcept;
  bool prove(Link& link) noexcept;
  bool first_block_comparable(const Link& link) noexcept;
  void on_proof(Link& link, int error) noexcept;
  bool judge_proof(Link& link, int error) noexcept;
  bool is_look(const nbd::Request& request) const noexcept;
  void on_look(nbd::Request& request, int error) noexcept;
  void lose_look(const nbd::Request& request) noexcept;
  void look_soon(bool at_once = false) noexcept;
  void take_stock() noexcept;
  void note_sent(const nbd::Request& request) noexcept;
  void note_answered(const nbd::Request& request, int error) noexcept;
  void note_lost(const nbd::Request& request, iouring::Instant ghosts) noexcept;
  void note_returned(const nbd::Request& request, iouring::Instant ghosts) noexcept;
  void restore_log();
  void judge_anew() noexcept;
  void go_on_waiting() noexcept;
  stats::DiscState state() const noexcept;
  void tell_state() noexcept;
  void complain(const std::string& problem) noexcept;
  // Thousands of discs may have the same to say at once.
  void say(log::Level level, log::RateLimit& limit, std::string_view what) const noexcept;

  Course course() const noexcept { return disc::course(standing_, gave_up_); }
  void note_connections() noexcept;
  iouring::Duration cut_off_for() const noexcept;
  iouring::Instant owed_since() const noexcept;
  void on_cut_off_long() noexcept;
  void give_up() noexcept;
  void refuse_all() noexcept;
  void on_refusal(iouring::Result result) noexcept;

  Suspicion::Look look_at(const Link& link) noexcept;
  bool on_trial(const Link& link) const noexcept;
  bool is_trial(const nbd::Request& request) const noexcept;
  void begin_trial(Link& suspect) noexcept;
  void send_trial() noexcept;
  void end_trial() noexcept;
  void judge() noexcept;
  void lose_trial() noexcept;
  void cancel_trial() noexcept;

  void isolate() noexcept;
  Link* link_to_isolate_on() noexcept;
  void ask_alone() noexcept;
  void on_isolated_long() noexcept;
  void condemn(nbd::Request& request) noexcept;
  void end_isolation(iouring::Duration wait) noexcept;
  void note_replay_death() noexcept;

  bool must_wait(const nbd::Request& request) const noexcept;
  void start(nbd::Request& request) noexcept;
  void start_reshaped(nbd::Request& request) noexcept;
  void reshape(nbd::Request& request, std::uint64_t most) noexcept;
  bool asked_again(nbd::Request& request, int error) noexcept;
  int give_up_on_pieces() noexcept;
  void start_held() noexcept;
  void pump() noexcept;
  void send_waiting() noexcept;
  nbd::Connection* free_connection() noexcept;
  Reshape* as_piece(const nbd::Request& request) noexcept;
  void answered(nbd::Request& request, int error) noexcept;
  void complete(nbd::Request& request, int error) noexcept;
  void settle(nbd::Request& request) noexcept;
  void answer_later(nbd::RequestQueue& with, nbd::Request& request) noexcept;
  void on_answers_due(iouring::Result result) noexcept;
  void finish_closing() noexcept;
  void abandon_all(int error) noexcept;

  void send_piece(Reshape& reshape) noexcept override;
  bool may_change(const Reshape& reshape, Range block) noexcept override;
  void on_reshaped(Reshape& reshape, int error) noexcept override;

  bool send_own(nbd::Request& request) noexcept override;
  void go_on(nbd::RequestQueue requests) noexcept override;
  void on_settled(nbd::Request& request, int error) noexcept override;
  void note_kept() noexcept;
  void on_flush_unknown() noexcept override;
  void on_sync_failed(nbd::Command sync, int error) noexcept override;
  void on_abandoned() noexcept override;
  void on_replay_refused(int error) noexcept override;

  iouring::Io& io_;
  Owner& owner_;
  Patience& patience_;
  const DiscOptions options_;
  const nbd::ConnectionOptions& connection_options_;
  const std::shared_ptr<stats::DiscStats> stats_;

  bool known_ = false;  // The tail has told what it is, to this headd or to an earlier one.
  bool closing_ = false;
  bool awaits_;         // Connections of an earlier headd.
  bool moved_ = false;  // Meanwhile the tail was said to be elsewhere.
  bool watched_ = false;
  std::string last_problem_;  // Said in the log already; these as well:
  std::string last_note_;
  const char* last_objection_ = nullptr;
  bool pieces_told_ = false;
  nbd::ExportInfo info_;  // As guests see it.
  nbd::ExportInfo tail_;  // As the tail wants to be asked.
  std::vector<std::unique_ptr<Link>> links_;
  std::vector<std::unique_ptr<Link>> gone_;  // Closed for good, in their own callbacks.
  unsigned spare_links_ = 0;                 // Of those: more than it has always.
  iouring::Op<&Disc::bury> bury_{*this};
  bool succeeding_ = false;  // Nothing is sent until one has taken over from another.
  bool many_ = false;        // The tail lets us have more than one connection.
  std::size_t next_link_ = 0;
  iouring::Op<&Disc::on_drained> drained_{*this};
  std::size_t to_hand_over_ = 0;  // Connections, at most.
  bool awaits_own_ = false;       // Answers to what it asked for itself, on these.
  iouring::Alarm<&Disc::on_own_late> own_late_{*this};
  std::vector<nbd::HandedConnection> handed_;
  // While it goes on; and when it is looked at next, less and less often.
  std::optional<stats::Opening> opening_;
  iouring::Duration opening_wait_{};
  iouring::Alarm<&Disc::on_opening_late> opening_late_{*this};

  std::uint32_t outstanding_ = 0;
  iouring::Instant last_progress_{};
  int follows_ = 0;              // Since anything was answered.
  iouring::Instant followed_{};  // When the way had come back last, and that was acted upon.
  nbd::RequestQueue waiting_;    // For a connection.
  nbd::RequestQueue held_;       // For a change of blocks to end, or a place among the reshapes.
  // Answered without it: well, and not.
  nbd::RequestQueue nothing_to_do_, refused_;
  iouring::Op<&Disc::on_answers_due> answers_due_{*this};

  Standing standing_;
  std::optional<iouring::Instant> cut_off_since_;     // There has been no connection since.
  iouring::Instant answered_at_{}, owed_at_close_{};  // The latter: 0 if none.
  std::optional<iouring::Instant> owed_since_;        // Of what was lost: sent first, unanswered.
  iouring::Instant grace_from_{};                     // An operator held it before.
  bool gave_up_ = false;                              // The grace time is over.
  iouring::Alarm<&Disc::on_cut_off_long> cut_off_long_{*this};
  iouring::Op<&Disc::on_refusal> refusal_{*this};

  Suspicion suspicion_;
  int trials_failed_ = 0;
  iouring::Instant next_doubt_{};
  std::optional<Trial> trial_;
  iouring::Alarm<&Disc::judge> judgement_{*this};

  Isolation isolation_;
  Link* alone_link_ = nullptr;  // Unless idle.
  Link* extra_link_ = nullptr;  // For that alone.
  int replay_deaths_ = 0;       // In a row, of connections that were written to again.
  iouring::Alarm<&Disc::on_isolated_long> isolated_long_{*this};

  // What the disc is told by beside its shape (Identity); null where it is not.
  Rumours rumours_;
  std::unique_ptr<LastWrites> last_writes_;
  std::optional<iouring::Instant> read_back_at_;  // All of those were there.
  std::unique_ptr<FirstBlock> first_block_;
  std::unique_ptr<Look> look_;
  iouring::Alarm<&Disc::take_stock> look_due_{*this};

  Guard guard_;
  BlockLocks locks_;  // In use where the tail's blocks are larger than a byte.
  std::vector<std::unique_ptr<Reshape>> reshapes_;
};

}  // namespace head::disc
