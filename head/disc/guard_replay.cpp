// What a guard does when a connection is lost: ghosts are fenced, and what is kept is written
// again.
#include "head/disc/guard.hpp"

#include <algorithm>
#include <utility>

namespace head::disc {

using nbd::Command;

namespace {

// Puts all of `first` before `then`.
void prepend(nbd::RequestQueue first, nbd::RequestQueue& then) noexcept {
  while (nbd::Request* request = then.pop()) first.push(*request);
  then = first;
}

}  // namespace

template <class Ghost>
bool Guard::take_back(nbd::Request& request, const Ghost& ghost) {
  take_doubt(request);
  if (flush_ != nullptr && &request == flush_.get()) {
    flush_->busy = false;
    flush_wanted_ = true;
    return true;
  }
  if (replays_ != nullptr && &request == &replays_->flush) {
    replays_->flush.busy = false;
    --replays_busy_;
    return true;
  }
  if (replays_busy_ != 0)
    for (Own& own : replays_->requests)
      if (&own == &request) {
        own.busy = false;
        --replays_busy_;
        fence_.doubt(nullptr, range_of(own), ghost, fence_.sent(&own).value_or(0), true);
        fence_.end(&own);
        return true;
      }
  const Going going = take(request);
  if (going.reserved) log_->unreserve(data_of(request));
  if (request.precedes_change) fence_.rest(&request);
  if (!changes(request.command)) return false;
  fence_.begin(&request, range_of(request), true);
  fence_.doubt(&request, range_of(request), ghost, fence_.sent(&request).value_or(0));
  return false;
}

bool Guard::lost(nbd::Request& request, const Fence::Term& ghost) {
  return take_back(request, ghost);
}

bool Guard::orphaned(nbd::Request& request, Fence::Witness ghost) {
  return take_back(request, ghost);
}

void Guard::settle_ghost(Fence::Witness ghost) noexcept {
  const bool flush = std::erase(orphan_flushes_, ghost) != 0;
  if (flush) believe();
  if ((fence_.settle(ghost) && !held_.empty()) || flush) wake();
}

void Guard::lose_witness(const void* connection, const Fence::Term& ghosts) noexcept {
  fence_.lose_witness(connection, ghosts);
  const bool flush = std::erase_if(orphan_flushes_, [=](const Fence::Witness& one) {
                       return one.connection == connection;
                     }) != 0;
  wake_due_ |= flush;
  arm();
}

void Guard::fence_others() noexcept {
  // What became of a sync that was under way nobody knows; what is kept will be written again.
  if (keeps())
    for (Success& success : std::exchange(successes_, {}))
      while (nbd::Request* request = success.told.pop()) put_off_.push(*request);
  for (nbd::RequestQueue* const queue : {&covered_, &put_off_})
    for (std::uint32_t i = queue->size(); i != 0; --i) {
      nbd::Request& request = *queue->pop();
      if (changes(request.command)) fence_.begin(&request, range_of(request), true);
      queue->push(request);
    }
}

void Guard::lost_others(nbd::RequestQueue& again) noexcept {
  nbd::RequestQueue others = std::exchange(covered_, {});
  while (nbd::Request* request = put_off_.pop()) others.push(*request);
  refused_.clear();
  prepend(others, again);
  if (!fence_.idle()) arm();
  if (replay_due_) replay_more();
}

// Changes that are with the tail count: they are kept when they are answered.
void Guard::must_replay() noexcept {
  if (keeps() && (!log_->empty() || !going_.empty())) replay_due_ = replay_from_start_ = true;
}

void Guard::on_open() noexcept {
  must_replay();
  replay_more();
}

// What is kept goes again before anything else does: a read must not see what there was before.
void Guard::replay_more() noexcept {
  if (!replay_due_) return;
  if (replay_from_start_) {
    // On a connection that has not let go of them yet; or changes that may be newer.
    if (replays_busy_ != 0 || fence_.any_under_way()) return;
    if (is_abandoned()) return owner_.on_abandoned();
    begin_replay();
  }
  while (replays_->next) {
    if (progress_.flush_every != 0 && replays_->sent_since_flush >= progress_.flush_every)
      return flush_on_the_way();
    if (!replay_next()) return;
  }
  if (replays_busy_ != 0) return;
  replays_.reset();
  replay_due_ = false;
  wake();
}

void Guard::begin_replay() noexcept {
  if (progress_.end != log_->end()) progress_ = {.end = log_->end()};
  replays_ = std::make_unique<Replays>(*log_, progress_.stable_to);
  replay_from_start_ = false;
}

// Behind all that was sent.
void Guard::flush_on_the_way() noexcept {
  if (replays_busy_ != 0) return;
  Own& flush = replays_->flush;
  flush.command = nbd::Command::flush;
  flush.arrived = io_.now();
  flush.busy = true;
  ++replays_busy_;
  if (owner_.send_own(flush)) return syncs_.begin(flush);
  flush.busy = false;
  --replays_busy_;
}

void Guard::on_flushed_on_the_way(int error) noexcept {
  replays_->flush.busy = false;
  --replays_busy_;
  if (error == 0 && !replay_from_start_) {
    replays_->sent_since_flush = 0;
    if (progress_.answered > progress_.before) progress_.flush_every *= 2;
    if (!flush_in_doubt()) {
      progress_.stable_to = replays_->sent_to;
      advanced_ = true;
    }
  }
  replay_more();
}

// False: not now.
bool Guard::replay_next() noexcept {
  auto& own = replays_->requests;
  const auto free = std::find_if(own.begin(), own.end(), [](const Own& one) { return !one.busy; });
  if (free == own.end()) return false;
  const ReplaySweep::Part& part = *replays_->next;
  const ReplayLog::Change change = log_->at(part.of);
  auto& data = replays_->data[static_cast<std::size_t>(free - own.begin())];
  log_->data_at(part.of, part.range, data);
  free->command = change.command;
  // Not "fast or not at all", and not stable each: a FLUSH comes.
  free->flags = change.flags & nbd::command_flag::no_hole;
  free->offset = part.range.offset;
  free->length = static_cast<std::uint32_t>(part.range.length);
  free->memory = data;
  free->arrived = io_.now();
  free->busy = true;
  ++replays_busy_;
  fence_.begin(free, range_of(*free), false, content_of(*free), true);
  if (owner_.send_own(*free)) {
    if (!std::exchange(replays_->begun, true)) {
      progress_.before = progress_.answered;
      progress_.flush_every = (progress_.answered + 1) / 2;
      progress_.answered = 0;
    }
    replays_->sent_to = part.range.end();
    ++replays_->sent_since_flush;
    replays_->next = replays_->sweep.next();
    return true;
  }
  fence_.end(free);
  free->busy = false;
  --replays_busy_;
  return false;
}

}  // namespace head::disc
