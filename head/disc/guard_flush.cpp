// A guard's FLUSHes: its own, what those of guests let go of, and what becomes of one that fails.
#include "head/disc/guard.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace head::disc {

using nbd::Command;

void Guard::flush_soon() noexcept {
  if (flush_wanted_ || !can_flush_ || (flush_ != nullptr && flush_->busy)) {
    flush_wanted_ = flush_wanted_ || !put_off_.empty();
    return;
  }
  flush_wanted_ = true;
  send_flush();
}

void Guard::send_flush() noexcept {
  if (replay_due_ || flush_in_doubt() || !may_flush()) return;
  if (flush_ != nullptr && flush_->busy) return;
  if (flush_ == nullptr) flush_ = std::make_unique<Own>();
  flush_->command = Command::flush;
  flush_->arrived = io_.now();
  flush_->busy = true;
  flush_wanted_ = false;
  if (keeps()) flush_covers_ = log_->end();
  own_flush_turn_ = ++flushes_sent_;
  while (nbd::Request* request = put_off_.pop()) covered_.push(*request);
  if (owner_.send_own(*flush_)) return begin_flush(*flush_);
  flush_->busy = false;
  flush_wanted_ = true;
}

void Guard::release_later(ReplayLog::Place covers) {
  releases_.push_back({.covers = covers, .after = flushes_sent_});
  release_due();
}

void Guard::release_due() noexcept {
  if (releases_.empty() || flush_in_doubt()) return;
  std::uint64_t oldest = UINT64_MAX;  // Of those under way.
  for (const Going& going : going_)
    if (going.turn != 0) oldest = std::min(oldest, going.turn);
  if (flush_ != nullptr && flush_->busy) oldest = std::min(oldest, own_flush_turn_);
  while (!releases_.empty() && releases_.front().after < oldest) {
    log_->release(releases_.front().covers);
    releases_.erase(releases_.begin());
  }
}

bool Guard::on_flush_answered(const nbd::Request& flush, int error) noexcept {
  if (error == 0 || !can_flush_) return true;
  if (probe_ == Probe::due && &flush == flush_.get()) return error == EINVAL || error == ENOTSUP;
  if (!keeps()) return false;
  // Nor may one that is under way release it: it may be answered well because of that.
  for (Going& going : going_) going.covers = 0;
  flush_covers_ = 0;
  releases_.clear();
  progress_ = {};
  must_replay();
  return true;
}

// They tell of the journey of the one that went.
void Guard::end_flush(const nbd::Request& flush, int error) noexcept {
  nbd::RequestQueue shared = turns_.end(flush);
  while (nbd::Request* request = shared.pop()) {
    request->sent = flush.sent;
    request->away = flush.away;
    request->wire = flush.wire;
    owner_.on_settled(*request, error);
  }
  if (!keeps()) wake();
}

// Servers map errors that they do not know to EINVAL: it says that FLUSH is unknown only where none
// was answered before, and nothing was written that it could be about. nbdkit after an oldstyle
// handshake announces FLUSH and does not know it.
void Guard::on_probed(int error) noexcept {
  const bool unknown = error == EINVAL || error == ENOTSUP;
  flush_known_ = unknown ? nbd::Legacy::Flush::unknown : nbd::Legacy::Flush::known;
  begin_probe();
  if (unknown) owner_.on_flush_unknown();
  wake();
}

// Unless it is known already.
void Guard::begin_probe() noexcept {
  using Flush = nbd::Legacy::Flush;
  probe_ = flush_known_ == Flush::not_tried ? Probe::due : Probe::done;
  if (flush_known_ != Flush::unknown) return;
  // Nor is it to be expected that it knows FUA, though it may offer that as well.
  can_flush_ = can_fua_ = through_ = false;
  log_.reset();  // What is never flushed could be kept only for ever.
  releases_.clear();
}

// An error is the tail's answer to all that waited for this, as it is to a guest's own FLUSH.
void Guard::on_flushed(int error) noexcept {
  if (error == 0 && keeps()) release_later(flush_covers_);
  nbd::RequestQueue done = std::exchange(covered_, {});
  flushes_failed_ = error == 0 ? 0 : flushes_failed_ + 1;
  if (flushes_failed_ < flushes_failed_max && error != 0 && !no_room_.empty()) {
    flush_wanted_ = true;  // Once what is kept has been written again.
  } else if (error != 0) {
    while (nbd::Request* request = no_room_.pop()) {
      fence_.end(request);
      done.push(*request);
    }
  }
  if (!put_off_.empty()) flush_soon();
  while (nbd::Request* request = done.pop()) {
    // What another one has failed to make stable is to be written again, over it.
    const bool undone = error != 0 || replay_due_;
    if (undone && flushes_failed_ < flushes_failed_max && is_refused(*request)) {
      put_off_.push(*request);  // Until what was there before is stable.
      flush_wanted_ = true;
      continue;
    }
    const int refusal = take_refusal(*request);
    if (refusal != 0) fence_.end(request);
    if (error == 0) request->flags |= nbd::command_flag::fua;  // Its success says as much.
    owner_.on_settled(*request, refusal != 0 ? refusal : error);
  }
  wake();
}

}  // namespace head::disc
