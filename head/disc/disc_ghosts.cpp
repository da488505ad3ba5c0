// A connection that has ended or is replaced, and what it leaves behind: requests that are asked
// once more, and ghosts, which the tail may still carry out.
#include "head/disc/link.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

namespace head::disc {

// What the tail had over a connection that is closed it may carry out until then.
Fence::Term Disc::ghosts_of(const Link& link) const noexcept {
  using End = nbd::Connection::End;
  const auto now = io_.now();
  const auto safe = now + options_.guard.quarantine;
  const End end = link.connection.end();
  if (end == End::nothing_under_way || options_.guard.quarantine.count() == 0) return {};
  if (link.overdue) return {};
  if (!options_.tail_closes_last || end == End::given_up) return {safe, safe};
  if (end == End::closed) return {};
  // Whoever resets a connection has the tail's address, and may be another host.
  return {link.elsewhere ? safe : std::min(safe, now + Guard::moves_known_within), safe};
}

// What the disc has asked for itself is not asked again. False: somebody else has asked.
bool Disc::lose_own(Link& link, const nbd::Request& request) noexcept {
  if (is_look(request))
    lose_look(request);
  else if (&request == link.probe.get())
    link.probe.reset();
  else if (&request == isolation_.question.get())
    isolation_.question.reset();
  else if (&request == link.last_flush.get())
    link.last_flush.reset();
  else
    return is_trial(request);
  return true;
}

void Disc::on_closed(Link& link, const std::string& problem,
                     nbd::RequestQueue unanswered) noexcept {
  nbd::RequestQueue again, unwanted;
  const Fence::Term ghosts = ghosts_of(link);
  const bool died = link.connection.ended_by_tail(), one = unanswered.size() == 1;
  if (guard_.has_advanced()) {
    replay_deaths_ = 0;
    link.backoff_.reset();
  }
  if (died && guard_.replaying()) note_replay_death();
  io_.disarm(link.proof_late_);
  if (last_writes_) last_writes_->forget_unstable();
  guard_.lose_witness(&link.connection, ghosts);
  guard_.fence_others();
  while (nbd::Request* request = unanswered.pop()) {
    note_lost(*request, ghosts.until);
    if (nbd::is_sync(*request)) guard_.lose_sync(*request);
    if (lose_own(link, *request)) continue;
    owed_since_ = std::min(owed_since_.value_or(request->first_sent), request->first_sent);
    if (guard_.lost(*request, ghosts)) continue;
    const bool to_blame =
        died && isolation_.lost(*request, one, connection_options_.poison_attempts);
    (request->unwanted ? unwanted : to_blame ? isolation_.condemned : again).push(*request);
  }
  if (&link == alone_link_) end_isolation(Isolation::apart);
  ask_once_more(again);
  while (nbd::Request* request = unwanted.pop()) {
    guard_.forget(*request);
    answered(*request, ECANCELED);
  }
  note_connections();
  if (course() == Course::refuse) refuse_all();
  if (closing_) {
    if (on_trial(link)) lose_trial();
    return finish_closing();
  }
  if (opening_) opening_->failed_before = true;
  if (!known_ && link.connection.unusable()) {
    stats_->set_problem(problem);
    owner_.on_disc_unusable(*this, problem);
  } else if (!link.superseded && !on_trial(link)) {
    complain(problem);
  }
  const bool trial = on_trial(link);
  if (trial) lose_trial();
  // A trial whose suspect is gone is all that there is.
  if (link.superseded || (trial && link.predecessor != nullptr)) {
    part_from(link);
    return pump();
  }
  // A tail that lets us in only to throw us out is not asked in a tight loop.
  if (link.opened_at_ && io_.now() - *link.opened_at_ > Backoff::most) link.backoff_.reset();
  if (std::exchange(link.opened_at_, std::nullopt)) link.lost_ = true;
  link.connect_after(link.backoff_.next());
  // It may have gone elsewhere.
  if (known_ && !opening_) patience_.tell(*this);
  pump();
}

// They were asked before what waits now.
void Disc::ask_once_more(nbd::RequestQueue again) noexcept {
  guard_.lost_others(again);
  while (nbd::Request* request = waiting_.pop()) again.push(*request);
  waiting_ = again;
  read_anew();
}

// A block that was read, and is to be written back with a part of it changed, is read once more:
// the tail may have lost what it was since.
void Disc::read_anew() noexcept {
  if (reshapes_.empty()) return;
  const auto start = [this](nbd::Request& request) {
    if (Reshape* const piece = as_piece(request)) piece->start_block_anew();
  };
  waiting_.for_each(start);
  isolation_.suspects.for_each(start);
  guard_.for_each_held(start);
}

// What is unanswered is the disc's again, to be asked once more. False: it cannot be taken back.
bool Disc::orphan(Link& link) noexcept {
  std::vector<nbd::Connection::Orphaned> unanswered;
  if (!link.connection.orphan(unanswered)) return false;
  io_.disarm(link.proof_late_);
  io_.arm(link.witnessed_long_, io_.now() + options_.guard.quarantine);
  nbd::RequestQueue again, unwanted;
  const auto safe = io_.now() + options_.guard.quarantine;
  guard_.fence_others();
  for (const auto& [request, cookie] : unanswered) {
    note_lost(*request, safe);
    if (nbd::is_sync(*request)) guard_.orphan_sync(*request, {&link.connection, cookie});
    if (lose_own(link, *request)) continue;
    owed_since_ = std::min(owed_since_.value_or(request->first_sent), request->first_sent);
    if (guard_.orphaned(*request, {&link.connection, cookie})) continue;
    (request->unwanted ? unwanted : again).push(*request);
  }
  if (&link == alone_link_) end_isolation(Isolation::apart);
  ask_once_more(again);
  while (nbd::Request* request = unwanted.pop()) {
    guard_.forget(*request);
    answered(*request, ECANCELED);
  }
  return true;
}

// The tail tells an error of FLUSH once, and has told it there.
void Disc::on_orphan_answered(Link& link, std::uint64_t cookie, const nbd::Request& orphan,
                              int error) noexcept {
  if (nbd::may_have_failed_to_flush(orphan, error)) {
    if (last_writes_) last_writes_->answered(orphan, error, 0, io_.now());
    on_sync_answered(orphan, error);
  }
  guard_.settle_ghost({&link.connection, cookie});
  if (!waiting_.empty()) pump();  // A place is free.
  if (link.witness && link.connection.in_flight() == 0) link.connection.leave();
}

// So long the tail has had for what was taken back from here. Where this still serves, it has not
// had it for what was asked since.
void Disc::Link::on_witnessed_long() noexcept {
  if (!witness && !connection.owes_orphans()) return;
  overdue = witness;
  connection.fail("no answer to what was asked long ago");
}

}  // namespace head::disc
