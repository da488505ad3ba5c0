// A connection that holds and is silent: whether the tail hangs, or only that connection does, is
// tried on a second one, and asked on the first as well. Whoever answers there and not here takes
// over.
#include "head/disc/link.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace head::disc {

namespace {

constexpr std::chrono::milliseconds looks_apart{250};
constexpr std::chrono::seconds trials_apart_most{30};
// For its answer the suspect has so much longer than the second connection took.
constexpr std::chrono::milliseconds hearing{250};

}  // namespace

bool Disc::on_trial(const Link& link) const noexcept {
  return trial_ && trial_->link == &link;
}

bool Disc::is_trial(const nbd::Request& request) const noexcept {
  return trial_ && &trial_->question == &request;
}

void Disc::mind_silence() noexcept {
  const auto now = io_.now();
  if (now < next_doubt_ || closing_ || course() != Course::send) return;
  next_doubt_ = now + looks_apart;
  const auto least = connection_options_.suspect_after;
  if (least.count() == 0) return;
  if (trial_) return;
  for (const auto& link : links_) {
    if (link->superseded || !link->connection.ready() || link->proof != nullptr ||
        link.get() == extra_link_)
      continue;
    if (look_at(*link).is_silent() && patience_.has_spare_link()) return begin_trial(*link);
  }
}

Suspicion::Look Disc::look_at(const Link& link) noexcept {
  Suspicion::Look look(suspicion_, io_.now(), connection_options_.suspect_after);
  link.connection.for_each_owed([&](const nbd::Request& request, iouring::Instant since) {
    if (&request != link.probe.get()) look.see(request, since);
  });
  return look;
}

void Disc::begin_trial(Link& suspect) noexcept {
  static log::RateLimit limit;
  say(log::Level::info, limit, "the tail is slow to answer; trying it on a second connection");
  Link& other = add_link();
  other.predecessor = &suspect;
  suspect.superseded = true;
  const auto now = io_.now();
  trial_.emplace(other, now, tail_.block_minimum);
  // What was taken back from there may have all the places.
  const bool may_ask = suspect.probe == nullptr && suspect.connection.may_probe();
  if (may_ask && trial_->question.length <= tail_.size) {
    suspect.probe = std::make_unique<SmallRead>(now, tail_.block_minimum);
    suspect.connection.probe(*suspect.probe);
  }
  other.connect_after({});
}

// It is open.
void Disc::send_trial() noexcept {
  if (trial_->question.length > tail_.size) return end_trial();  // There is nothing to be read.
  io_.arm(judgement_, io_.now() + connection_options_.handshake_timeout);
  trial_->link->connection.submit(trial_->question);
}

void Disc::end_trial() noexcept {
  trial_->answered = true;
  const bool alone = trial_->link->predecessor == nullptr;
  io_.arm(judgement_, io_.now() + (alone ? iouring::Duration() : hearing));
}

// The tail answers on the second connection, or has had the time to. Where it has said anything on
// the first one as well meanwhile, that is slow with some requests, and serves on.
void Disc::judge() noexcept {
  Link& link = *trial_->link;
  if (!link.connection.ready()) return;  // It is about to be told that it is over.
  if (!trial_->answered) return link.connection.fail("no answer to a read on a second connection");
  const auto since = trial_->since;
  trial_.reset();
  trials_failed_ = 0;
  if (Link* const suspect = link.predecessor; suspect != nullptr) {
    const nbd::Connection& first = suspect->connection;
    if (first.ready() && (first.heard_at() > since || !look_at(*suspect).is_silent())) {
      first.for_each_owed([](nbd::Request& request, iouring::Instant) {
        request.excuses = static_cast<std::uint8_t>(one_more(request.excuses));
      });
      return part_from(link);
    }
    static log::RateLimit limit;
    say(log::Level::warning, limit,
        "the tail answers on a second connection and not on the first, which is given up");
    const Suspicion::Look look = look_at(*suspect);
    first.for_each_owed([&](nbd::Request& request, iouring::Instant waits_since) {
      note_doubt(request, look.is_overdue(request, waits_since));
    });
  }
  go_on_with(link);
}

// Its connection has ended before.
void Disc::lose_trial() noexcept {
  io_.disarm(judgement_);
  trial_.reset();
  trials_failed_ = std::min(trials_failed_ + 1, 8);
  next_doubt_ = io_.now() + std::min<iouring::Duration>(std::chrono::seconds(1 << trials_failed_),
                                                        trials_apart_most);
}

// It proves nothing any more.
void Disc::cancel_trial() noexcept {
  if (!trial_) return;
  Link& link = *trial_->link;
  if (link.superseded) return;  // It was before, and is about to be told that it is over.
  const bool alone = link.predecessor == nullptr;  // It connects again, as any other.
  if (!alone) link.predecessor->superseded = false;
  link.predecessor = nullptr;
  link.superseded = !alone;
  if (link.connection.state() == nbd::Connection::State::closed) {
    io_.disarm(judgement_);
    trial_.reset();
    return alone ? void() : part_from(link);
  }
  link.connection.fail("the tail is elsewhere now, or there again");
}

}  // namespace head::disc
