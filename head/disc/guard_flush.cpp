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
  success.after = syncs_.last();
  successes_.push_back(success);
  merge_successes();
  believe();
}

// In mode replay, what is kept goes on being kept while a sync is in doubt that was taken back: a
// guest need not wait for that.
nbd::Request* Guard::flush_to_tell(int& error) noexcept {
  if (!keeps() || !flush_in_doubt()) return nullptr;
  for (std::size_t i = 0; i < successes_.size(); ++i) {
    if (!syncs_.are_answered(successes_[i].after)) return nullptr;
    nbd::Request* const first = successes_[i].told.front();
    if (first == nullptr || first->command != Command::flush) continue;
    error = successes_[i].error;
    successes_[i].told.pop();
    merge_successes();
    return first;
  }
  return nullptr;
}

// Of those that nobody is to be told of any more the last one in a row stands for all.
void Guard::merge_successes() noexcept {
  const auto is_for_nobody = [](const Success& one) { return one.told.empty() && !one.own; };
  for (std::size_t i = successes_.size(); i-- > 1;) {
    if (!is_for_nobody(successes_[i]) || !is_for_nobody(successes_[i - 1])) continue;
    successes_[i].covers = std::max(successes_[i].covers, successes_[i - 1].covers);
    successes_.erase(successes_.begin() + static_cast<std::ptrdiff_t>(i - 1));
  }
}

void Guard::believe() noexcept {
  int error = 0;
  while (nbd::Request* flush = flush_to_tell(error)) owner_.on_settled(*flush, error);
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
  tell(success.told, success.error);
}

// Whoever is told may ask again, and comes behind those that have waited for it.
void Guard::tell(nbd::RequestQueue those, int error) noexcept {
  bool freed = false;
  those.for_each([&](const nbd::Request& request) { freed |= fence_.end(&request); });
  if (freed && !held_.empty()) wake();
  while (nbd::Request* request = those.pop()) owner_.on_settled(*request, error);
}

bool Guard::on_sync_answered(const nbd::Request& sync, int error) noexcept {
  const bool company = syncs_.end(sync);
  if (!nbd::may_have_failed_to_flush(sync, error) || !can_flush_) return true;
  if (probe_ == Probe::due && &sync == flush_.get()) return error == EINVAL || error == ENOTSUP;
  // All that was acknowledged was made stable by itself, and nothing else meanwhile.
  const bool alone = sync.command != Command::flush && !company;
  if (alone && !keeps() && through_ && can_fua_) return true;
  progress_ = {};
  must_replay();
  doubt_all(sync, error);
  return keeps();
}

// What is with the tail may be answered well because of that; what is done, but neither stable nor
// kept, may be gone. It is asked again before anybody is told that it is done, and so are, in mode
// replay, guests' FLUSHes: what they are about is written again first. Outside, those that waited
// for the FLUSH that has failed hear of that.
void Guard::doubt_all(const nbd::Request& failed, int error) noexcept {
  fence_.for_each_under_way(
      [&](const void* who) { doubt(*static_cast<const nbd::Request*>(who), error); });
  for (const Going& going : going_)
    if (going.who->command == Command::flush) doubt(*going.who, error);
  if (flush_ != nullptr && flush_->busy) doubt(*flush_, error);
  nbd::RequestQueue again;
  for (Success& success : successes_) {
    success.covers = 0;
    success.error = error;
    success.doubted = true;
    take_again(success.told, again);
    if (success.own) refuse_later(success.told, error);
  }
  if (keeps() || &failed != flush_.get()) {
    take_again(covered_, again);
    refuse_later(covered_, error);
  }
  take_again(put_off_, again);
  refuse_later(put_off_, error);
  if (!again.empty()) ask_again(again);
}

void Guard::doubt(const nbd::Request& request, int error) {
  take_doubt(request);
  doubted_.push_back({.who = &request, .error = error});
}

// With which error of a sync; 0: it is not doubted. It is not any more.
int Guard::take_doubt(const nbd::Request& request) noexcept {
  const auto found = std::find_if(doubted_.begin(), doubted_.end(),
                                  [&](const Doubted& one) { return one.who == &request; });
  if (found == doubted_.end()) return 0;
  const int error = found->error;
  *found = doubted_.back();
  doubted_.pop_back();
  return error;
}

// Those that wait there to be told that they are done, and may be asked once more.
void Guard::take_again(nbd::RequestQueue& from, nbd::RequestQueue& again) {
  for (std::uint32_t i = from.size(); i != 0; --i) {
    nbd::Request& request = *from.pop();
    const bool fails = request.command == Command::flush && !keeps();
    const bool stays = fails || is_refused(request) || !request.may_repeat();
    (stays ? from : again).push(request);
  }
}

// Those that are left there are not to be told that they are done, whatever comes of the FLUSH.
void Guard::refuse_later(const nbd::RequestQueue& those, int error) {
  those.for_each([&](const nbd::Request& request) {
    if (!is_refused(request)) refused_.push_back({.who = &request, .error = error});
  });
}

// Behind a replay that is due.
void Guard::ask_again(nbd::RequestQueue requests) noexcept {
  requests.for_each([this](nbd::Request& request) {
    if (changes(request.command))
      fence_.begin(&request, range_of(request), true);
    else
      fence_.rest(&request);
  });
  owner_.go_on(requests);
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
// was answered before, and nothing was written that it could be about; and it says so each time,
// where an error of what somebody else wrote is told once. nbdkit after an oldstyle handshake
// announces FLUSH and does not know it.
void Guard::on_probed(int error) noexcept {
  const bool unknown = error == EINVAL || error == ENOTSUP;
  if (unknown && ++probes_refused_ < probes_most) return wake();  // It is tried again.
  flush_known_ = unknown ? nbd::Legacy::Flush::unknown : nbd::Legacy::Flush::known;
  begin_probe();
  if (unknown)
    owner_.on_flush_unknown();
  else if (probes_refused_ != 0)
    owner_.on_sync_failed(Command::flush, EINVAL);  // It was an error of before.
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

void Guard::on_own_answered(int error, int doubt) noexcept {
  const bool doubted = error == 0 && doubt != 0;
  if (doubted) error = doubt;
  Success success{.covers = flush_covers_, .own = true, .error = error, .doubted = doubted};
  success.told = std::exchange(covered_, {});
  error == 0 ? believe_later(success) : on_own_flush(success);
}

// An error is the tail's answer to all that waited for this, as it is to a guest's own FLUSH.
void Guard::on_own_flush(Success& success) noexcept {
  const int error = success.error;
  nbd::RequestQueue done = std::exchange(success.told, {}), told;
  if (!success.doubted) flushes_failed_ = error == 0 ? 0 : flushes_failed_ + 1;
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
    const bool undone = keeps() && (error != 0 || replay_due_);
    if (undone && flushes_failed_ < flushes_failed_max && is_refused(*request)) {
      put_off_.push(*request);  // Until what was there before is stable.
      flush_wanted_ = true;
      continue;
    }
    fence_.end(request);
    told.push(*request);
  }
  wake();  // Whoever is told may ask again, and comes behind those that have waited.
  while (nbd::Request* request = told.pop()) {
    const int refusal = take_refusal(*request);
    if (error == 0 && refusal == 0)
      request->flags |= nbd::command_flag::fua;  // Its success says as much.
    owner_.on_settled(*request, refusal != 0 ? refusal : error);
  }
}

}  // namespace head::disc
