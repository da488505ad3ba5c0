#include "tests/sim/world/tail.hpp"

#include "tests/sim/script_tail.hpp"
#include "tests/sim/world/tail_session.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace world {

using head::nbd::Command;
namespace command_flag = head::nbd::command_flag;

namespace {

bool is_change(const head::nbd::RequestHeader& header) {
  const auto command = static_cast<Command>(header.type);
  return command == Command::write || command == Command::write_zeroes || command == Command::trim;
}

}  // namespace

Tail::Tail(Clock& clock, Dice& dice, Observer& observer, const TailManners& manners)
    : clock_(clock),
      dice_(dice),
      observer_(observer),
      manners_(manners),
      store_(manners.size, manners.is_volatile),
      whim_(dice()) {
  if (manners_.flags == 0) manners_.flags = sim::all_flags;
}

Tail::~Tail() = default;

// ---- Connections --------------------------------------------------------------------------------

Tail::Answer Tail::knocked() const noexcept {
  if (gone_) return Answer::silent;
  return up_ ? Answer::accepts : Answer::refuses;
}

Peer& Tail::accept(Stream& stream, Link& link) {
  sessions_.push_back(std::make_unique<Session>(*this, stream, link));
  Session& session = *sessions_.back();
  session.another_disc = change_ == Change::another_disc;
  if (manners_.one_client)
    greet_next();
  else if (!stopped_)
    session.greet();
  return session;
}

// With one client: the first that waits, where nobody is served.
void Tail::greet_next() {
  if (stopped_ || !up_) return;
  for (const auto& session : sessions_)
    if (session->greeted && !session->over()) return;
  for (const auto& session : sessions_) {
    if (session->greeted || session->over()) continue;
    session->greet();
    return session->resume();
  }
}

// ---- Misfortunes --------------------------------------------------------------------------------

void Tail::end(bool lose_power) {
  if (!up_) return;
  up_ = false;
  shutting_down_ = false;
  ++life_;
  const bool reset = dice_.chance(0.5);
  for (const auto& session : sessions_) session->hang_up(reset);
  for (const Job& job : jobs_) {
    if (job.slow) observer_.on_trouble(false);
    if (manners_.tears && job.is_under_way()) tear(job);
  }
  jobs_.clear();
  free_.clear();
  todo_.clear();
  late_.clear();
  busy_ = 0;
  slow_next_ = 0;
  if (lose_power) store_.lose_power(dice_);
  if (std::exchange(stopped_, false)) observer_.on_trouble(false);
  observer_.on_trouble(true);
}

void Tail::vanish() {
  if (!up_) return;
  for (const auto& session : sessions_)
    if (!session->over()) session->lose();
  gone_ = true;
  end(true);
}

void Tail::start() {
  if (up_) return;
  up_ = true;
  if (std::exchange(gone_, false))
    for (const auto& session : sessions_) session->on_host_back();
  observer_.on_trouble(false);
}

void Tail::stop(bool yes) {
  if (!up_ || stopped_ == yes) return;
  stopped_ = yes;
  observer_.on_trouble(yes);
  if (yes) return;
  for (std::size_t i = 0; i < sessions_.size(); ++i) {
    Session& session = *sessions_[i];
    if (!session.greeted && !manners_.one_client && !session.over()) session.greet();
    session.resume();
  }
  if (manners_.one_client) greet_next();
  for (const std::size_t number : std::exchange(late_, {})) finish(number, life_);
  begin_jobs();
}

void Tail::hang_connections() {
  for (const auto& session : sessions_)
    if (!session->over()) {
      session->hangs = true;
      keep_losses(*session);
    }
}

void Tail::cut_connections(bool reset, std::optional<std::size_t> after_bytes) {
  for (std::size_t i = 0; i < sessions_.size(); ++i) {
    if (sessions_[i]->over()) continue;
    if (after_bytes)
      sessions_[i]->cut_after(*after_bytes);
    else
      sessions_[i]->hang_up(reset);
  }
}

void Tail::refuse(Command command, int error, unsigned times, bool forgets, bool fua) {
  refusals_.push_back({command, error, times, forgets, fua});
}

void Tail::spoil(std::uint64_t first, std::uint64_t count) {
  bad_from_ = first * Store::sector;
  bad_to_ = bad_from_ + count * Store::sector;
}

void Tail::be_slow(unsigned requests, Duration takes) {
  slow_next_ = requests;
  slow_takes_ = takes;
}

void Tail::become(Change change) {
  change_ = change;
  for (const auto& session : sessions_)
    if (change == Change::none && session->another_disc) session->hang_up(true);
  if (change == Change::larger) store_.resize(store_.size() + manners_.size / 4);
}

std::uint64_t Tail::told_size() const noexcept {
  return change_ == Change::smaller ? store_.size() / 2 : store_.size();
}

const char* to_string(Change change) {
  switch (change) {
    case Change::none:
      return "as it was";
    case Change::smaller:
      return "smaller";
    case Change::larger:
      return "larger";
    case Change::read_only:
      return "read-only";
    case Change::another_disc:
      return "as another disc";
  }
  return "?";
}

// ---- Requests -----------------------------------------------------------------------------------

void Tail::enqueue(Job job) {
  std::size_t number = jobs_.size();
  if (free_.empty()) {
    jobs_.push_back(std::move(job));
  } else {
    number = free_.back();
    free_.pop_back();
    jobs_[number] = std::move(job);
  }
  todo_.push_back(number);
  begin_jobs();
}

void Tail::recycle(std::size_t number) {
  jobs_[number] = {};
  free_.push_back(number);
}

void Tail::keep_losses(const Session& session) {
  for (Job& job : jobs_)
    if (job.session == &session && job.loss != 0)
      observer_.on_loss_kept(std::exchange(job.loss, 0));
}

// What came over a connection that it closes is not done any more.
void Tail::drop_jobs(const Session& session) {
  if (manners_.closes_early) return;
  for (Job& job : jobs_) {
    if (job.session != &session) continue;
    if (manners_.tears && job.is_under_way()) tear(job);
    job.dropped = true;
  }
}

void Tail::begin_jobs() {
  while (!stopped_ && busy_ < manners_.workers && !todo_.empty()) {
    const std::size_t place = dice_.chance(manners_.shuffle) ? dice_.pick(todo_.size()) : 0;
    const std::size_t number = todo_[place];
    todo_.erase(todo_.begin() + static_cast<std::ptrdiff_t>(place));
    Job& job = jobs_[number];
    if (job.dropped || (job.session->over() && !manners_.outlives)) {
      recycle(number);
      continue;
    }
    ++busy_;
    job.begun = true;
    const bool is_late = manners_.tells_late.count() != 0 && is_change(job.header);
    const Duration takes =
        time_for(job) + (is_late ? dice_.between(Duration{}, manners_.tells_late) : Duration{});
    if (manners_.early_flush && static_cast<Command>(job.header.type) == Command::flush)
      job.covers = flushed_by(job);
    if (is_late || dice_.chance(manners_.cached)) {
      observer_.on_fate(job.header, Observer::Fate::done);
      carry_out(job);
    }
    clock_.after(takes, [this, number, life = life_] { finish(number, life); });
  }
}

Duration Tail::time_for(Job& job) {
  Duration takes = dice_.between(manners_.takes_least, manners_.takes_most);
  if (slow_next_ != 0) {
    --slow_next_;
    takes = slow_takes_;
    job.slow = true;
  } else if (dice_.chance(manners_.slow)) {
    takes = dice_.between(manners_.slow_least, manners_.slow_most);
    job.slow = true;
  }
  if (job.slow) observer_.on_trouble(true);
  return takes;
}

void Tail::finish(std::size_t number, std::uint64_t life) {
  if (life != life_) return;
  if (stopped_) return late_.push_back(number);
  Job& job = jobs_[number];
  if (!job.applied) {
    observer_.on_fate(job.header, job.dropped ? Observer::Fate::dropped : Observer::Fate::done);
    if (!job.dropped) carry_out(job);
  }
  if (job.flushes && job.error == 0 && !job.dropped) flush_behind(job);
  if (job.slow) observer_.on_trouble(false);
  job.session->reply(job);
  recycle(number);
  --busy_;
  begin_jobs();
}

void Tail::carry_out(Job& job) {
  job.applied = true;
  if (refused(job)) return;
  const auto& header = job.header;
  switch (static_cast<Command>(header.type)) {
    case Command::read: {
      if (job.session->another_disc) {
        job.read.assign(header.length, std::byte{0xa5});
        return;
      }
      const auto data = store_.read(header.offset, header.length);
      job.read.assign(data.begin(), data.end());
      for (const auto& [number, sector] : job.session->own) {
        const std::uint64_t from = number * Store::sector;
        if (from < header.offset || from >= header.offset + header.length) continue;
        std::copy(sector.begin(), sector.end(),
                  job.read.begin() + static_cast<std::ptrdiff_t>(from - header.offset));
      }
      return;
    }
    case Command::write:
    case Command::write_zeroes:
    case Command::trim:
      return carry_out_change(job);
    case Command::flush:
      if (job.session->another_disc) return;
      return make_stable(manners_.early_flush ? job.covers : flushed_by(job));
    default:
      return;
  }
}

void Tail::carry_out_change(Job& job) {
  if (job.session->another_disc) return;
  const auto& header = job.header;
  const bool writes = static_cast<Command>(header.type) == Command::write;
  if (manners_.keeps_private) {
    for (std::uint64_t at = 0; at < header.length; at += Store::sector) {
      Bytes& sector = job.session->own[(header.offset + at) / Store::sector];
      sector.assign(Store::sector, std::byte{0});
      if (writes)
        std::copy_n(job.payload.begin() + static_cast<std::ptrdiff_t>(at), Store::sector,
                    sector.begin());
    }
    return;
  }
  const bool fua = (header.flags & command_flag::fua) != 0;
  job.flushes = fua && manners_.fua_flushes;
  change_store(job, fua && !job.flushes);
  if (job.flushes) job.covers = flushed_by(job);
}

// NBD's doc/proto.md, CAN_MULTI_CONN: without that flag a FLUSH need not cover what came over
// others.
std::vector<std::size_t> Tail::flushed_by(const Job& job) const {
  std::vector<std::size_t> sectors = store_.begin_flush();
  if (manners_.flushes_own)
    std::erase_if(sectors, [&](std::size_t number) {
      const auto found = writers_.find(number);
      return found != writers_.end() &&
             std::none_of(found->second.begin(), found->second.end(), [&](const Session* writer) {
               return writer == job.session || writer->over();
             });
    });
  return sectors;
}

void Tail::make_stable(const std::vector<std::size_t>& sectors) {
  store_.end_flush(sectors);
  for (const std::size_t number : sectors) writers_.erase(number);
}

void Tail::change_store(const Job& job, bool stable) {
  const auto& header = job.header;
  const auto command = static_cast<Command>(header.type);
  for (std::uint64_t at = 0; manners_.flushes_own && at < header.length; at += Store::sector)
    writers_[(header.offset + at) / Store::sector].insert(job.session);
  if (command == Command::write) return store_.write(header.offset, job.payload, stable);
  // A TRIM may do nothing.
  if (command == Command::trim && whim_of(header).chance(0.5)) return;
  store_.zero(header.offset, header.length, stable);
}

// A change that does not come to its end has reached some of its sectors.
// Of what it is free to do with a change; the same where that is asked again.
Dice Tail::whim_of(const head::nbd::RequestHeader& header) const noexcept {
  return Dice(whim_ + header.offset * 31 + header.length);
}

void Tail::tear(const Job& job) {
  const auto command = static_cast<Command>(job.header.type);
  const bool changes =
      command == Command::write || command == Command::write_zeroes || command == Command::trim;
  if (!changes || manners_.keeps_private || job.session->another_disc) return;
  observer_.on_fate(job.header, Observer::Fate::torn);
  Dice part = whim_of(job.header);
  const double share = part.one_of({0.2, 0.5, 1.0});
  for (std::uint64_t at = 0; at < job.header.length; at += Store::sector) {
    if (!part.chance(share)) continue;
    const std::size_t size = std::min<std::uint64_t>(Store::sector, job.header.length - at);
    if (command == Command::write)
      store_.write(job.header.offset + at, std::span(job.payload).subspan(at, size), false);
    else
      store_.zero(job.header.offset + at, size, false);
  }
}

bool Tail::refused(Job& job) {
  if (shutting_down_) {
    job.error = ESHUTDOWN;
    return true;
  }
  const auto command = static_cast<Command>(job.header.type);
  const auto found = std::find_if(refusals_.begin(), refusals_.end(), [&](const Refusal& refusal) {
    return refusal.command == command && refusal.times != 0 && !refusal.fua;
  });
  const bool changes =
      command == Command::write || command == Command::write_zeroes || command == Command::trim;
  if (changes && job.header.offset < bad_to_ && bad_from_ < job.header.offset + job.header.length) {
    job.error = EIO;
    if (manners_.tears_errors) tear(job);
    observer_.on_refusal(job.header);
    job.refused = true;
    return true;
  }
  if (found == refusals_.end()) return false;
  if (command == Command::flush) {
    const bool strange = found->error == EINVAL || found->error == ENOTSUP;
    if (strange && flushes_misunderstood_ == misunderstood_most) return false;
    flushes_misunderstood_ += strange;
  }
  --found->times;
  job.error = found->error;
  if (job.error == ESHUTDOWN) return true;  // No guest is to hear of it.
  if (manners_.tears_errors && (job.error == EIO || job.error == ENOSPC)) tear(job);
  observer_.on_refusal(job.header);
  job.refused = true;
  if (command == Command::flush && found->forgets) lose_data(job, true);
  return true;
}

void Tail::lose_data(Job& job, bool of_others) {
  store_.forget();
  job.loss = observer_.on_data_lost(of_others);
  if (job.session->is_mute()) keep_losses(*job.session);
  clock_.after(evicts_after, [this] { store_.evict(); });
}

// Of a change with FUA.
void Tail::flush_behind(Job& job) {
  const auto found = std::find_if(refusals_.begin(), refusals_.end(), [&](const Refusal& refusal) {
    return static_cast<std::uint16_t>(refusal.command) == job.header.type && refusal.times != 0 &&
           refusal.fua;
  });
  if (found == refusals_.end()) return make_stable(job.covers);
  --found->times;
  job.error = found->error;
  observer_.on_refusal(job.header);
  job.refused = true;
  // What it has written itself its guest is told of.
  const auto is_own = [&](std::size_t number) {
    return number * Store::sector >= job.header.offset &&
           number * Store::sector < job.header.offset + job.header.length;
  };
  const auto& unclean = store_.begin_flush();
  lose_data(job, !std::all_of(unclean.begin(), unclean.end(), is_own));
}

}  // namespace world
