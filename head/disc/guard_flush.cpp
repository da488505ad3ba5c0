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
  if (replay_due_ || flush_in_doubt() || (flush_ != nullptr && flush_->busy)) return;
  if (flush_ == nullptr) flush_ = std::make_unique<Own>();
  flush_->command = Command::flush;
  flush_->arrived = io_.now();
  flush_->busy = true;
  flush_doubted_ = 0;
  flush_wanted_ = false;
  if (keeps()) flush_covers_ = log_->end();
  while (nbd::Request* request = put_off_.pop()) covered_.push(*request);
  if (owner_.send_own(*flush_)) return syncs_.begin(*flush_);
  flush_->busy = false;
  flush_wanted_ = true;
}

// ---- Who is believed ----------------------------------------------------------------------------

nbd::RequestQueue Guard::only(nbd::Request& request) noexcept {
  nbd::RequestQueue queue;
  queue.push(request);
  return queue;
}

void Guard::believe_later(Success success) {
  const bool needless = success.told.empty() && !success.own;
  if (needless && successes_.size() >= successes_max) return;
  success.after = syncs_.last();
  successes_.push_back(success);
  believe();
}

void Guard::believe() noexcept {
  while (!successes_.empty() && !flush_in_doubt() &&
         syncs_.are_answered(successes_.front().after)) {
    Success success = successes_.front();
    successes_.erase(successes_.begin());
    on_believed(success);
  }
}

void Guard::on_believed(Success& success) noexcept {
  // A replay that is under way has parts of what is kept in its hands.
  if (keeps() && replays_ == nullptr) log_->release(success.covers);
  if (success.own) return on_own_flush(success);
  bool freed = false;
  while (nbd::Request* request = success.told.pop()) {
    freed |= fence_.end(request);
    owner_.on_settled(*request, success.error);
  }
  if (freed && !held_.empty()) wake();
}

bool Guard::on_sync_answered(const nbd::Request& sync, int error) noexcept {
  const bool company = syncs_.end(sync);
  if (!nbd::may_have_failed_to_flush(sync, error) || !can_flush_) return true;
  if (probe_ == Probe::due && &sync == flush_.get()) return error == EINVAL || error == ENOTSUP;
  // All that was acknowledged was made stable by itself, and nothing else meanwhile.
  const bool alone = sync.command != Command::flush && !company;
  if (alone && !keeps() && through_ && can_fua_) return true;
  doubt_all(error);
  if (!keeps()) return false;
  progress_ = {};
  must_replay();
  return true;
}

// Those that are with the tail may be answered well because of that. And what is done, but neither
// stable nor kept, is gone.
void Guard::doubt_all(int error) noexcept {
  for (Success& success : successes_) {
    success.covers = 0;
    success.error = error;
  }
  if (flush_ != nullptr && flush_->busy) flush_doubted_ = error;
  for (Going& going : going_) {
    going.covers = 0;
    going.doubted = true;
    if (keeps() && !going.reserved && changes(going.who->command)) going.dropped = error;
  }
  if (!keeps()) return;  // Its guests hear of it.
  for (nbd::RequestQueue* const queue : {&put_off_, &covered_})
    queue->for_each([&](const nbd::Request& request) {
      if (!is_refused(request)) refused_.push_back({.who = &request, .error = error});
    });
}

void Guard::lose_sync(const nbd::Request& sync) noexcept {
  syncs_.end(sync);
  wake_soon();
}

void Guard::orphan_sync(const nbd::Request& sync, Fence::Witness there) {
  // Outside mode replay a guest would wait for as long as a hung connection is listened to.
  if (keeps() || sync.command == Command::flush) orphan_flushes_.push_back(there);
  lose_sync(sync);
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
}

void Guard::on_own_answered(int error) noexcept {
  if (error == 0) error = flush_doubted_;
  Success success{.covers = flush_covers_, .own = true, .error = error};
  success.told = std::exchange(covered_, {});
  error == 0 ? believe_later(success) : on_own_flush(success);
}

// An error is the tail's answer to all that waited for this, as it is to a guest's own FLUSH.
void Guard::on_own_flush(Success& success) noexcept {
  const int error = success.error;
  nbd::RequestQueue done = std::exchange(success.told, {});
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
    fence_.end(request);
    if (error == 0 && refusal == 0)
      request->flags |= nbd::command_flag::fua;  // Its success says as much.
    owner_.on_settled(*request, refusal != 0 ? refusal : error);
  }
  wake();
}

}  // namespace head::disc
