// A tail that holds its connection and answers nothing on it: whether it hangs, or only that
// connection does, is tried on a second one. Whoever answers there takes over.
#include "head/disc/disc.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace head::disc {

namespace {

constexpr std::chrono::milliseconds looks_apart{250};
constexpr std::chrono::seconds trials_apart_most{30};
constexpr std::uint32_t trial_bytes = 512;

}  // namespace

Disc::Trial::Trial(Link& with, iouring::Instant now, std::uint32_t size)
    : link(&with), since(now), block(size) {
  part = {.iov_base = block.data(), .iov_len = block.size()};
  length = size;
  memory = {&part, 1};
  arrived = now;
}

bool Disc::on_trial(const Link& link) const noexcept {
  return trial_ && trial_->link == &link;
}

bool Disc::is_trial(const nbd::Request& request) const noexcept {
  return trial_.get() == &request;
}

void Disc::mind_silence() noexcept {
  const auto now = io_.now();
  if (now < next_doubt_ || closing_ || course() != Course::send) return;
  next_doubt_ = now + looks_apart;
  const auto least = connection_options_.suspect_after;
  if (least.count() == 0) return;
  if (trial_) {
    if (now - trial_->since >= connection_options_.handshake_timeout)
      trial_->link->connection.fail("no answer to a read on a second connection");
    return;
  }
  for (const auto& link : links_) {
    if (link->superseded || !link->connection.ready() || link->proof != nullptr) continue;
    const nbd::Request* const oldest = link->connection.oldest();
    if (oldest == nullptr) continue;
    const auto most = suspicion::patience(oldest->command, least, slowest_.lately(now), doubts_);
    if (now - oldest->sent >= most && patience_.has_spare_link()) return begin_trial(*link);
  }
}

void Disc::begin_trial(Link& suspect) noexcept {
  static log::RateLimit limit;
  say(log::Level::info, limit, "the tail is slow to answer; trying it on a second connection");
  Link& other = add_link();
  other.predecessor = &suspect;
  suspect.superseded = true;
  trial_ = std::make_unique<Trial>(other, io_.now(), std::max(trial_bytes, tail_.block_minimum));
  other.connect_after({});
}

// It is open.
void Disc::send_trial() noexcept {
  if (trial_->length > tail_.size) return end_trial(0);  // There is nothing to be read.
  trial_->link->connection.submit(*trial_);
}

// The tail has answered there; whether well or not, it does answer.
void Disc::end_trial(int) noexcept {
  Link& link = *trial_->link;
  const auto since = trial_->since;
  trial_.reset();
  trials_failed_ = 0;
  const Link* const suspect = link.predecessor;
  const nbd::Request* const oldest =
      suspect != nullptr && suspect->connection.ready() ? suspect->connection.oldest() : nullptr;
  const bool answers = suspect != nullptr && suspect->connection.ready() &&
                       (oldest == nullptr || oldest->sent > since);
  if (answers) return part_from(link);
  static log::RateLimit limit;
  if (suspect != nullptr)
    say(log::Level::warning, limit,
        "the tail answers on a second connection and not on the first, which is given up");
  doubts_ = std::min(doubts_ + 1, 8);
  go_on_with(link);
}

// Its connection has ended before.
void Disc::lose_trial() noexcept {
  trial_.reset();
  trials_failed_ = std::min(trials_failed_ + 1, 8);
  next_doubt_ = io_.now() + std::min<iouring::Duration>(std::chrono::seconds(1 << trials_failed_),
                                                        trials_apart_most);
}

// It proves nothing any more.
void Disc::cancel_trial() noexcept {
  if (!trial_) return;
  Link& link = *trial_->link;
  const bool alone = link.predecessor == nullptr;  // It connects again, as any other.
  if (!alone) link.predecessor->superseded = false;
  link.predecessor = nullptr;
  link.superseded = !alone;
  if (link.connection.state() == nbd::Connection::State::closed) {
    trial_.reset();
    return alone ? void() : part_from(link);
  }
  link.connection.fail("the tail is elsewhere now, or there again");
}

}  // namespace head::disc
