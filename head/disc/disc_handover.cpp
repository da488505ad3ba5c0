// How a disc ends, and how it goes from one headd to the next: what is known of it, and its
// connections.
#include "head/disc/link.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace head::disc {

namespace {

// Nobody's guest waits for those answers, and all guests wait meanwhile.
constexpr std::chrono::milliseconds own_answered_within{100};

nbd::Destination destination_of(const DiscOptions& options) {
  nbd::Destination to{.port = ntohs(options.tail.sin6_port),
                      .interface = options.interface,
                      .export_name = options.export_name};
  const auto& address = options.tail.sin6_addr.s6_addr;
  std::copy(std::begin(address), std::end(address), to.address.begin());
  return to;
}

}  // namespace

void Disc::close() noexcept {
  if (closing_) return;
  closing_ = true;
  owed_at_close_ = owed_since();
  end_opening(ESHUTDOWN);
  tell_state();
  io_.disarm(look_due_);
  io_.disarm(judgement_);
  awaits_own_ = to_hand_over_ != 0 && outstanding_ == 0;
  if (awaits_own_) io_.arm(own_late_, io_.now() + own_answered_within);
  for (const auto& link : links_) {
    io_.disarm(link->retry_);
    end(*link);
  }
  finish_closing();
}

// Since when the tail has owed an answer, or been away: grace goes on with the next headd. 0: it
// owes none.
iouring::Instant Disc::owed_since() const noexcept {
  constexpr auto never = iouring::Instant::max();
  iouring::Instant since = std::min(owed_since_.value_or(never), cut_off_since_.value_or(never));
  for (const auto& link : links_)
    link->connection.for_each_unanswered([&](const nbd::Request& request, iouring::Instant) {
      if (&request != link->last_flush.get()) since = std::min(since, request.first_sent);
    });
  return since == never ? iouring::Instant() : std::max({since, answered_at_, grace_from_});
}

void Disc::finish_closing() noexcept {
  const bool open = std::any_of(links_.begin(), links_.end(), [](const auto& link) {
    return link->connection.state() != nbd::Connection::State::closed;
  });
  if (!open && !drained_.pending()) io_.defer(drained_);
}

void Disc::on_drained(iouring::Result) noexcept {
  abandon_all(ESHUTDOWN);
  if (outstanding_ != 0 || answers_due_.pending() || bury_.pending() || refusal_.pending())
    return io_.defer(drained_);
  owner_.on_disc_closed(*this);
}

// ---- From one headd to the next -----------------------------------------------------------------

void Disc::hand_over(std::size_t connections_most) noexcept {
  if (closing_) return;
  to_hand_over_ = connections_most;
  close();
}

// It goes along, or is left, where nothing is under way on it, and is reset where anything is. What
// the disc asked for itself is waited for: the connection would do.
void Disc::end(Link& link) noexcept {
  nbd::Connection& connection = link.connection;
  const bool goes_along = to_hand_over_ != 0 && may_go_along(link);
  if (connection.in_flight() == 0 && goes_along) {
    --to_hand_over_;
    connection.hand_over();
  } else if (connection.in_flight() == 0) {
    connection.leave();
  } else if (!goes_along || !awaits_own_) {
    connection.fail("the disc is detached");
  }
}

void Disc::on_own_late() noexcept {
  awaits_own_ = false;
  for (const auto& link : links_)
    if (link->connection.ready()) end(*link);
}

// It serves.
bool Disc::may_go_along(const Link& link) const noexcept {
  return known_ && link.connection.ready() && !link.superseded && !link.witness &&
         !link.elsewhere && link.predecessor == nullptr && &link != extra_link_ && !on_trial(link);
}

void Disc::on_handed_over(nbd::HandedConnection handed) noexcept {
  handed.to = destination_of(options_);
  handed_.push_back(std::move(handed));
  note_connections();
  finish_closing();
}

void Disc::inherit(const nbd::Legacy& legacy, std::vector<nbd::HandedConnection> connections) {
  guard_.inherit(legacy);
  if (legacy.owes_flush_error) ++flush_errors().met;
  if (legacy.shape) remember(*legacy.shape);
  if (legacy.owed_since_ns != 0)
    owed_since_ = iouring::Instant(std::chrono::nanoseconds(legacy.owed_since_ns));
  if (known_) restore_log();
  if (last_writes_) last_writes_->inherit(legacy.last_writes);
  if (first_block_) {
    first_block_->inherit(legacy.first_block_length, legacy.first_block_sum);
    if (legacy.first_block_doubted) first_block_->doubt();
  }
  go_on_waiting();
  judge_anew();
  if (first_block_ && known_ && !first_block_->known()) look_soon(first_block_->untouched());
  if (awaits_) return take_up(std::move(connections));
  if (!known_) return;
  guard_.on_open();
  pump();
}

// For a tail that had been away before: guests have waited for it, or been failed, since then.
void Disc::go_on_waiting() noexcept {
  if (!cut_off_since_ || !owed_since_ || *owed_since_ >= *cut_off_since_) return;
  cut_off_since_ = owed_since_;
  if (standing_.grace.count() != 0) io_.arm(cut_off_long_, *cut_off_since_ + standing_.grace);
}

// What was connected to while another headd served was not compared with what that left.
void Disc::judge_anew() noexcept {
  for (std::size_t i = 0, before = links_.size(); i < before && i < links_.size(); ++i) {
    Link& link = *links_[i];
    if (link.connection.ready() && link.proof == nullptr && !prove(link)) may_serve(link);
  }
  note_connections();
}

// Guests have been told so last. A tail that was believed meanwhile is judged by it.
void Disc::remember(const nbd::ExportInfo& shape) {
  learn(shape);
  for (std::size_t i = 0, before = links_.size(); i < before; ++i) {
    Link& link = *links_[i];
    if (!link.connection.ready()) continue;
    if (const char* objection = objection_to(link.connection.info()))
      object(link, objection);
    else
      adopt(link.connection.info());
  }
}

void Disc::restore_log() {
  static log::RateLimit limit;
  if (const std::size_t lost = guard_.restore(); lost != 0)
    say(log::Level::error, limit,
        fmt::format(
            "{} bytes that the headd before had acknowledged, and its tail not flushed, "
            "cannot be kept, as the disc's durability is not \"replay\" any more, or they are "
            "damaged: they are lost if the tail has crashed",
            lost));
  note_kept();
}

nbd::Legacy Disc::legacy() {
  nbd::Legacy legacy;
  legacy.shape = shape();
  legacy.owes_flush_error = flush_errors().met != flush_errors().told;
  if (first_block_ && first_block_->known()) {
    legacy.first_block_length = first_block_->length();
    legacy.first_block_sum = *first_block_->known();
  }
  legacy.first_block_doubted = first_block_ && first_block_->doubted();
  guard_.leave(legacy);
  legacy.owed_since_ns = std::chrono::nanoseconds(owed_at_close_.time_since_epoch()).count();
  if (last_writes_) legacy.last_writes = last_writes_->to_hand_over();
  return legacy;
}

// The very connections over which the disc was served: nothing of them is to be proved. Those that
// did not come are made anew. What was said of the tail meanwhile is true of those that came.
void Disc::take_up(std::vector<nbd::HandedConnection> handed) {
  awaits_ = false;
  const nbd::Destination wanted = destination_of(options_);
  std::erase_if(handed, [&](const auto& one) { return !one.socket || one.to != wanted; });
  if (closing_) return;
  if (handed.empty()) begin_opening();
  note_connections();
  go_on_waiting();
  for (std::size_t i = 0, before = links_.size(); i < before; ++i) {
    Link& link = *links_[i];
    if (handed.empty()) {
      link.connect();
      continue;
    }
    link.connection.take_up(std::move(handed.back()));
    handed.pop_back();
    const nbd::ExportInfo& told = link.connection.info();
    const char* const objection = known_ ? objection_to(told) : nullptr;
    if (objection != nullptr) {
      object(link, objection);
      continue;
    }
    if (!known_) learn(told);
    stats_->set_note(last_note_ = link.connection.note());
    if (!may_serve(link)) continue;
    go_on_with(link);
    if (moved_) guard_.tail_moved();
    link.elsewhere = moved_;
    if (moved_) relocate(link);
  }
}

}  // namespace head::disc
