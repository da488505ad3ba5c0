#include "head/disc/guard.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace head::disc {

using nbd::Command;
namespace flag = nbd::transmission_flag;

Guard::Guard(iouring::Io& io, Owner& owner, const GuardOptions& options)
    : io_(io),
      owner_(owner),
      options_(options),
      fence_(options.traces, options.export_key),
      may_probe_(!options.inherits) {
  if (options.traces == nullptr) return;
  for (const Trace& trace : options.traces->left(options.export_key, io.now())) {
    fence_.doubt(trace);
    // A log that was being replayed is lost, unless it comes along.
    if (trace.acknowledged) lost_log_.push_back(trace);
  }
  if (!options.inherits) expect_lost_log();
  arm();
}

void Guard::expect_lost_log() {
  for (const Trace& trace : std::exchange(lost_log_, {}))
    fence_.expect(trace.range, trace.content, trace.until);
}

Guard::~Guard() {
  io_.disarm(alarm_);
  fence_.leave(io_.now(), io_.now() + options_.quarantine);
}

void Guard::learn(const nbd::ExportInfo& tail) noexcept {
  can_fua_ = tail.has(flag::send_fua);
  can_flush_ = tail.has(flag::send_flush);
  if (tail.has(flag::read_only) || options_.durability == nbd::Durability::writeback) return;
  // A tail that offers neither says that it has nothing volatile.
  through_ = can_fua_ || can_flush_;
  if (can_flush_) begin_probe();
  // What is never flushed could be kept only for ever.
  const bool keep = options_.durability == nbd::Durability::replay && options_.memory != nullptr;
  if (!keep || !can_flush_) return;
  through_ = false;
  if (log_ == nullptr) log_ = std::make_unique<ReplayLog>(*options_.memory);
}

// A FLUSH that is tried may be the one that is told of an error: whoever was served before has
// tried.
void Guard::inherit(const nbd::Legacy& legacy) {
  may_probe_ = true;
  flush_known_ = legacy.flush;
  if (probe_ == Probe::due) begin_probe();
  for (const auto& doubt : legacy.doubts) {
    const iouring::Instant until(std::chrono::nanoseconds(doubt.until_ns));
    const Range range{.offset = doubt.offset, .length = doubt.length};
    if (until != iouring::Instant{}) fence_.doubt(nullptr, range, {until, until}, doubt.content);
    if (doubt.asked_again) fence_.expect(range, doubt.content, io_.now() + expected_within);
  }
  left_log_ = legacy.log;
  left_log_abandoned_ = legacy.log_abandoned || !attended_;
  if (legacy.log.empty()) expect_lost_log();
  if (!legacy.doubts.empty()) arm();
}

std::size_t Guard::restore() {
  const std::vector<std::byte> log = std::exchange(left_log_, {});
  if (log.empty()) return 0;
  if (!keeps()) return log.size();
  const bool all = log_->restore(log);
  if (left_log_abandoned_) unattended_to_ = log_->end();
  must_replay();
  flush_at_ = io_.now() + kept_longest;
  arm();
  return all ? 0 : log.size();
}

void Guard::leave(nbd::Legacy& into) const {
  // No answer to a ghost will be heard any more.
  const auto most = io_.now() + options_.quarantine;
  fence_.list(io_.now(), [&](Range range, iouring::Instant until, std::uint64_t content) {
    until = std::min(until, most);
    into.doubts.push_back({.offset = range.offset,
                           .length = range.length,
                           .until_ns = std::chrono::nanoseconds(until.time_since_epoch()).count(),
                           .asked_again = false,
                           .content = content});
  });
  // Guests that have not come yet come to the next headd.
  fence_.list_expected(io_.now(), [&](Range range, std::uint64_t content) {
    into.doubts.push_back({.offset = range.offset,
                           .length = range.length,
                           .until_ns = 0,
                           .asked_again = true,
                           .content = content});
  });
  into.flush = flush_known_;
  into.doubts.insert(into.doubts.end(), left_.begin(), left_.end());
  into.log = left_log_.empty() && keeps() ? log_->dump() : left_log_;
  into.log_abandoned = left_log_.empty() ? is_abandoned() : left_log_abandoned_;
}

// Its guest asks for the whole of it again, which may go in other pieces then. A block that was
// only read so far, to be changed in part, is no change yet.
void Guard::leave_behind(const nbd::Request& request, const nbd::Request& whole) {
  const bool sent = fence_.sent(&request).value_or(0) != 0;
  if (!sent && !fence_.was_awaited(&whole)) return;
  left_.push_back({.offset = whole.offset,
                   .length = whole.length,
                   .until_ns = 0,
                   .asked_again = true,
                   .content = content_of(whole)});
}

bool Guard::arrive(const nbd::Request& change) {
  return fence_.expects(range_of(change)) &&
         fence_.arrive(&change, range_of(change), content_of(change));
}

bool Guard::awaits_other(const nbd::Request& change, Range blocks) const noexcept {
  return fence_.awaits_other(&change, blocks, io_.now());
}

bool Guard::admit(nbd::Request& request, const nbd::Request& whole) noexcept {
  const bool change = changes(request.command) || request.precedes_change;
  if (probe_ == Probe::due && (change || request.command == Command::flush)) {
    held_.push(request);
    return false;
  }
  if (request.command == Command::flush) {
    syncs_.begin(request);
    going_.push_back({.who = &request, .covers = keeps() ? log_->end() : 0});
    return true;
  }
  if (!change && (request.command != Command::read || fence_.idle())) return true;
  if (change && fence_.may_adopt(range_of(request)))
    fence_.adopt(&request, range_of(request), content_of(request));
  if (fence_.holds(&request, range_of(request), change, io_.now(), &whole)) {
    held_.push(request);
    arm();
    return false;
  }
  if (!change) return true;
  if (request.precedes_change) return fence_.begin(&request, range_of(request), false), true;
  Going going{.who = &request};
  if (keeps() && !has_room(request, going)) {
    no_room_.push(request);
    flush_soon();
    return false;
  }
  if (through_ || (keeps() && !going.reserved)) {
    if (can_fua_) request.flags |= nbd::command_flag::fua;
    going.flush_follows = !can_fua_;
  }
  const bool sync = nbd::is_sync(request);
  if (going.reserved || going.flush_follows || (sync && keeps())) going_.push_back(going);
  if (sync) syncs_.begin(request);
  fence_.begin(&request, range_of(request), false, content_of(request));
  return true;
}

// True as well where none is needed: nothing is kept that it could be mistaken for, so it may be
// made stable by itself. Others' logs may be what leaves no room.
bool Guard::has_room(nbd::Request& request, Going& going) noexcept {
  const std::size_t data = data_of(request);
  const bool fits = log_->fits(data);
  if (fits && no_room_.empty()) going.reserved = log_->reserve(data);
  if (going.reserved) return true;
  return fits ? log_->empty() && no_room_.empty() : !log_->overlaps(range_of(request));
}

Guard::Going Guard::take(const nbd::Request& request) noexcept {
  const auto found = std::find_if(going_.begin(), going_.end(),
                                  [&](const Going& going) { return going.who == &request; });
  if (found == going_.end()) return {};
  const Going going = *found;
  *found = going_.back();
  going_.pop_back();
  return going;
}

bool Guard::settle(nbd::Request& request, int& error) noexcept {
  const int doubt = take_doubt(request);
  if (settle_own(request, error, doubt)) return false;
  if (flush_wanted_) send_flush();
  if (going_.empty() && fence_.idle()) return true;
  const Going going = take(request);
  if (request.command == Command::flush && error == 0) {
    settle_flush(request, going.covers, doubt);
    return false;
  }
  // A block that was read to be written back is read again where it is written again before that.
  const bool repairs = changes(request.command) || (keeps() && request.precedes_change);
  if (doubt != 0 && error == 0 && repairs && !going.reserved) {
    // Of those under way it may have been the last that a replay waits for.
    if (request.may_repeat()) return ask_again(only(request)), false;
    error = doubt;
  }
  const bool refused = must_be_flushed(request, error);
  // Whether it is stable others that are with the tail may say, when they fail.
  const bool sync = (request.flags & nbd::command_flag::fua) != 0;
  const bool stable = sync && doubt == 0 && !may_be_wrong(request);
  // What is neither kept nor known to be stable may have to be asked again, and keeps its turn.
  const bool unsure = keeps() && going.who != nullptr && changes(request.command) && error == 0 &&
                      !going.reserved && !stable;
  const bool put_off = refused || (going.flush_follows && error == 0);
  if (request.precedes_change) fence_.rest(&request);
  // Other changes wait until its guest is told: it may have to be asked again.
  bool freed = put_off && !refused && fence_.rest_done(&request);
  if (changes(request.command) && !put_off && !unsure) freed = fence_.end(&request);
  if (refused || unsure) fence_.begin(&request, range_of(request), true);
  if (going.reserved && error == 0) keep(request, stable);
  if (going.reserved && error != 0) log_->unreserve(data_of(request));
  if (refused) refused_.push_back({.who = &request, .error = error});
  if (put_off) {
    put_off_.push(request);
    flush_soon();
  }
  if ((freed && !held_.empty()) || (request.command == Command::flush && !no_room_.empty())) wake();
  if (replay_due_ && replay_from_start_) replay_more();  // This may have been the last under way.
  if (put_off || !unsure) return !put_off;
  believe_later({.told = only(request)});
  return false;
}

// It may be the failure of another one that has made it succeed. In mode replay it is asked again
// then, behind what is written again; elsewhere it fails like that one.
void Guard::settle_flush(nbd::Request& flush, ReplayLog::Place covers, int doubt) noexcept {
  if (doubt != 0 && keeps() && flush.may_repeat())
    ask_again(only(flush));
  else
    believe_later({.covers = doubt == 0 ? covers : 0, .told = only(flush), .error = doubt});
  if (!no_room_.empty()) wake();
  if (replay_due_ && replay_from_start_) replay_more();
}

// A tail may have done a part of what it has refused, and a replay of what was there before would
// undo that, after it was seen. So it keeps its turn until what was there before is stable; where
// its connection is lost before that it is asked again.
bool Guard::must_be_flushed(const nbd::Request& refused, int error) const noexcept {
  return error != 0 && keeps() && changes(refused.command) && fence_.is_under_way(&refused) &&
         log_->overlaps(range_of(refused));
}

bool Guard::is_refused(const nbd::Request& request) const noexcept {
  return std::any_of(refused_.begin(), refused_.end(),
                     [&](const Refused& one) { return one.who == &request; });
}

// And is not any more. 0: it is none of those.
int Guard::take_refusal(const nbd::Request& request) noexcept {
  const auto found = std::find_if(refused_.begin(), refused_.end(),
                                  [&](const Refused& one) { return one.who == &request; });
  if (found == refused_.end()) return 0;
  const int error = found->error;
  refused_.erase(found);
  return error;
}

// What is stable already needs to be kept only where something older would be replayed over it.
void Guard::keep(const nbd::Request& request, bool stable) noexcept {
  if (stable && log_->empty()) return log_->unreserve(data_of(request));
  if (log_->empty()) {
    flush_at_ = io_.now() + kept_longest;
    log_->keep(request);
    arm();
  } else {
    log_->keep(request);
  }
  if (!attended_) attend(false);
  if (log_->is_half_full() || options_.memory->is_scarce()) flush_soon();
}

bool Guard::settle_own(nbd::Request& request, int error, int doubt) noexcept {
  if (flush_ != nullptr && &request == flush_.get()) {
    flush_->busy = false;
    if (probe_ == Probe::due)
      on_probed(error);
    else
      on_own_answered(error, doubt);
    return true;
  }
  if (replays_busy_ == 0) return false;
  if (&request == &replays_->flush) {
    on_flushed_on_the_way(error);
    return true;
  }
  auto& own = replays_->requests;
  const auto found =
      std::find_if(own.begin(), own.end(), [&](const Own& one) { return &one == &request; });
  if (found == own.end()) return false;
  found->busy = false;
  --replays_busy_;
  ++progress_.answered;
  fence_.end(&request);
  if (error != 0)
    owner_.on_replay_refused(error);
  else
    replay_more();
  return true;
}

// ---- Who waits ----------------------------------------------------------------------------------

void Guard::wake() noexcept {
  nbd::RequestQueue all = std::exchange(held_, {});
  while (nbd::Request* request = no_room_.pop()) all.push(*request);
  owner_.go_on(all);
}

void Guard::forget(nbd::Request& request) noexcept {
  take_doubt(request);
  if (fence_.end(&request) && !held_.empty()) wake();
}

bool Guard::withdraw(nbd::Request& request) noexcept {
  const bool here = held_.remove(request) || no_room_.remove(request) || put_off_.remove(request) ||
                    covered_.remove(request) ||
                    std::any_of(successes_.begin(), successes_.end(),
                                [&](Success& one) { return one.told.remove(request); });
  if (here) take_refusal(request);
  if (here) forget(request);
  return here;
}

nbd::Request* Guard::pop() noexcept {
  for (nbd::RequestQueue* queue : {&held_, &no_room_, &put_off_, &covered_})
    if (nbd::Request* request = queue->pop()) {
      take_refusal(*request);
      return request;
    }
  for (Success& success : successes_)
    if (nbd::Request* request = success.told.pop()) {
      take_refusal(*request);
      return request;
    }
  return nullptr;
}

void Guard::on_alarm() noexcept {
  const auto now = io_.now();
  wake_due_ = false;
  fence_.expire(now);
  if (keeps() && !log_->empty() && flush_at_ <= now) {
    flush_at_ = now + kept_longest;
    flush_soon();
  }
  believe();
  wake();
  if (flush_wanted_) send_flush();
  arm();
}

void Guard::wake_soon() noexcept {
  wake_due_ = true;
  arm();
}

void Guard::arm() noexcept {
  std::optional<iouring::Instant> next;
  const auto at = [&](iouring::Instant when) { next = std::min(next.value_or(when), when); };
  if (wake_due_) at(io_.now());
  if (const auto doubt = fence_.next_end()) at(*doubt);
  if (keeps() && !log_->empty()) at(flush_at_);
  if (next) io_.arm(alarm_, *next);
}

}  // namespace head::disc
