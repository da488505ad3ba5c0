// What a connection leaves behind that is lost or replaced: requests that are asked once more, and
// ghosts, which the tail may still carry out.
#include "head/disc/link.hpp"

#include <algorithm>
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
  else
    return is_trial(request);
  return true;
}

// They were asked before what waits now. A part of a block that was read, changed and to be written
// back is read once more: the tail may have lost what it was since.
void Disc::ask_once_more(nbd::RequestQueue again) noexcept {
  guard_.lost_others(again);
  while (nbd::Request* request = waiting_.pop()) again.push(*request);
  waiting_ = again;
  if (reshapes_.empty()) return;
  const auto read_anew = [this](nbd::Request& request) {
    if (Reshape* const piece = as_piece(request)) piece->start_block_anew();
  };
  waiting_.for_each(read_anew);
  guard_.for_each_held(read_anew);
}

// What is unanswered is the disc's again, to be asked once more. False: it cannot be taken back.
bool Disc::orphan(Link& link) noexcept {
  std::vector<nbd::Connection::Orphaned> unanswered;
  if (!link.connection.orphan(unanswered)) return false;
  io_.disarm(link.proof_late_);
  nbd::RequestQueue again, unwanted;
  const auto safe = io_.now() + options_.guard.quarantine;
  guard_.fence_others();
  for (const auto& [request, cookie] : unanswered) {
    if (first_block_) note_returned(*request, safe);
    if (lose_own(link, *request)) continue;
    owed_since_ = std::min(owed_since_.value_or(request->first_sent), request->first_sent);
    if (guard_.orphaned(*request, {&link.connection, cookie})) continue;
    (request->unwanted ? unwanted : again).push(*request);
  }
  if (&link == alone_link_) end_isolation(Isolation::apart);
  ask_once_more(again);
  while (nbd::Request* request = unwanted.pop()) {
    guard_.forget(*request);
    complete(*request, ECANCELED);
  }
  return true;
}

void Disc::on_orphan_answered(Link& link, std::uint64_t cookie) noexcept {
  guard_.settle_ghost({&link.connection, cookie});
  if (link.witness && link.connection.in_flight() == 0) link.connection.leave();
}

// So long the tail has had for what was taken back from here.
void Disc::Link::on_witnessed_long() noexcept {
  overdue = true;
  connection.fail("no answer to what was asked long ago");
}

}  // namespace head::disc
