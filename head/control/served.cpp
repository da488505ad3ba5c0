#include "head/control/served.hpp"

#include "head/base/log.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

namespace head::control {
namespace {

sockaddr_in6 address_of(const catalogue::DiscSpec& spec) noexcept {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(spec.uri.port);
  std::copy(spec.uri.address.begin(), spec.uri.address.end(), address.sin6_addr.s6_addr);
  return address;
}

const std::string& interface_of(const catalogue::DiscSpec& spec) noexcept {
  return spec.uri.zone.empty() ? spec.dev : spec.uri.zone;
}

std::uint64_t key_of(const catalogue::DiscSpec& spec) noexcept {
  return disc::key_of(std::as_bytes(std::span(spec.uri.address)), spec.uri.port,
                      spec.uri.export_name);
}

disc::Standing standing_of(const catalogue::DiscSpec& spec) noexcept {
  return {.order = spec.order, .grace = spec.grace};
}

}  // namespace

Served::Served(const Context& context, const catalogue::DiscSpec& spec, const Attachment& with,
               std::function<void()> gone)
    : spec_(spec),
      with_(with),
      io_(context.io),
      stalls_(context.stalls),
      connection_(context.connection),
      gone_(std::move(gone)),
      disc_(context.io, *this, context.patience,
            {.name = spec.name,
             .tail = address_of(spec),
             .interface = interface_of(spec),
             .export_name = spec.uri.export_name,
             .read_only = spec.read_only,
             .connections = spec.connections,
             .identity = spec.identity.value_or(context.identity),
             .standing = standing_of(spec),
             .shape = with.shape,
             .guard = {.durability = context.guard.durability,
                       .quarantine = context.guard.quarantine,
                       .memory = context.guard.memory,
                       .traces = context.guard.traces,
                       .export_key = key_of(spec),
                       .inherits = true},
             .awaits_connections = !context.connects_first,
             .tail_closes_last = context.tail_closes_last},
            context.connection, with.stats),
      export_(context.io, spec.name, disc_, *with.stats, context.stalls, context.pool, *this) {
  disc_.open();
}

// A guest that ended while it was handed over is not there, and what is kept is nobody's.
void Served::take_up(exports::HandedDisc handed) {
  // It had none of a listener the first time.
  if (std::exchange(taken_up_, true)) return listen(std::move(handed.listener));
  disc_.attend(!handed.sessions.empty());
  disc_.inherit(handed.legacy, std::move(handed.connections));
  export_.take_up(std::move(handed.listener), std::move(handed.sessions), handed.listener_stays);
  disc_.attend(export_.guests() != 0);
  has_listened_ = listens();
}

void Served::change(const catalogue::DiscSpec& spec) {
  spec_ = spec;
  disc_.set(standing_of(spec));
}

void Served::look(std::function<void()> done) {
  if (closing()) return done();
  if (disc_.stats()->connections.load(std::memory_order_relaxed) == 0) {
    disc_.relocate();
    return done();
  }
  lookers_.push_back(std::move(done));
  if (survey_ != nullptr) return;
  disc::Survey::Owner& owner = *this;
  survey_ = std::make_unique<disc::Survey>(io_, owner, connection_, address_of(spec_),
                                           interface_of(spec_), spec_.uri.export_name);
}

// Whether another size is for the better is for the disc to say, on connections that it keeps.
void Served::on_surveyed(std::optional<nbd::ExportInfo> found, std::string said) noexcept {
  survey_.reset();
  const nbd::ExportInfo* const known = disc_.info();
  const bool same = found && known != nullptr && found->size == known->size;
  if (same) disc_.stats()->set_note(said);
  if (!closing() && found && !same) disc_.relocate();
  if (!closing() && !found)
    log::warning(
        "disc {}: what its tail offers now is not known: {}; look again with `headctl look`",
        spec_.name, said);
  for (const auto& done : std::exchange(lookers_, {})) done();
  finish();
}

void Served::hand_over(std::size_t connections_most,
                       std::function<void(exports::HandedDisc)> handed) {
  connections_most_ = connections_most;
  handed_ = std::move(handed);
  if (survey_ != nullptr) survey_->give_up();
  export_.hand_over();
}

void Served::close(std::function<void()> done) {
  asked_.push_back(std::move(done));
  if (asked_.size() != 1) return;
  if (survey_ != nullptr) survey_->give_up();
  export_.close();
  may_be_unflushed() ? flush_and_close(last_flush_within) : disc_.close();
}

// What was acknowledged, where a FLUSH would change that. Of mode writeback nobody keeps count.
bool Served::may_be_unflushed() const noexcept {
  const nbd::ExportInfo* const info = disc_.info();
  if (info == nullptr || spec_.read_only || !info->has(nbd::transmission_flag::send_flush))
    return false;
  const auto& stats = *disc_.stats();
  switch (static_cast<nbd::Durability>(stats.durability.load(std::memory_order_relaxed))) {
    case nbd::Durability::writeback:
      return true;
    case nbd::Durability::writethrough:
      return false;
    case nbd::Durability::replay:
      break;
  }
  return stats.kept_bytes.load(std::memory_order_relaxed) != 0;
}

void Served::flush_and_close(std::chrono::milliseconds within) noexcept {
  if (disc_.stats()->connections.load(std::memory_order_relaxed) == 0) {
    tell_unflushed(ENOTCONN);
    return end_disc();
  }
  // Nor is anything written again that an operator has held back: it may be older than the disc.
  if (spec_.order != disc::Order::serve && disc_.replaying()) {
    tell_unflushed(ECANCELED);
    return end_disc();
  }
  // Whatever an operator wants of the guests' requests: there are none any more.
  if (!handed_) disc_.set({.order = disc::Order::serve, .grace = spec_.grace});
  io_.arm(flush_late_, io_.now() + within);
  last_flush_.command = nbd::Command::flush;
  last_flush_.arrived = io_.now();
  disc_.submit(last_flush_);
}

void Served::end_disc() noexcept {
  const auto& errors = disc_.flush_errors();
  if (!handed_ && errors.met != errors.told)
    log::warning(
        "disc {}: detached before any guest could be told that its tail has failed a FLUSH: what "
        "that had acknowledged before may be lost",
        spec_.name);
  handed_ ? disc_.hand_over(connections_most_) : disc_.close();
}

void Served::on_disc_closed(disc::Disc&) noexcept {
  disc_open_ = false;
  pass_on();
  finish();
}

void Served::on_disc_opened(disc::Disc& disc, const stats::Opening& how) noexcept {
  stalls_.look_at(*disc.stats(), disc.name(), how);
}

void Served::on_disc_shape(disc::Disc&, const nbd::ExportInfo& shape) noexcept {
  if (std::exchange(with_.shape, shape) != shape && with_.on_shape) with_.on_shape(shape);
}

void Served::on_disc_proven(disc::Disc&) noexcept {
  if (with_.on_proven) with_.on_proven();
}

void Served::on_disc_unusable(disc::Disc&, const std::string& problem) noexcept {
  if (with_.on_unusable) with_.on_unusable(problem);
}

void Served::on_export_closed(exports::Export&) noexcept {
  export_open_ = false;
  finish();
}

// A guest that went elsewhere writes there, through another head; what is kept here is older then.
void Served::on_export_empty(exports::Export&) noexcept {
  if (closing() || parting_flush_.busy) return;
  const stats::DiscStats& stats = *disc_.stats();
  if (stats.kept_bytes.load(std::memory_order_relaxed) == 0 ||
      stats.connections.load(std::memory_order_relaxed) == 0)
    return;
  parting_flush_.command = nbd::Command::flush;
  parting_flush_.arrived = io_.now();
  parting_flush_.busy = true;
  disc_.submit(parting_flush_);
}

void Served::on_export_quiet(exports::Export&) noexcept {
  if (disc_.stats()->kept_bytes.load(std::memory_order_relaxed) == 0) return end_disc();
  flush_and_close(flush_within);
}

// For each disc, as each may lose something; they are as many at most as there are discs.
void Served::tell_unflushed(int error) const noexcept {
  if (error == ESHUTDOWN) error = ETIMEDOUT;  // on_flush_late() has ended it.
  if (!handed_)
    return log::warning(
        "disc {}: detached without a last FLUSH: {}; what its tail had acknowledged since the one "
        "before is lost if the tail crashes before it has written it by itself",
        spec_.name, std::strerror(error));
  log::warning(
      "disc {}: handed over with acknowledged writes that its tail has not flushed: {}; they go "
      "along, and are lost only if the tail crashes and the next headd does not come to replay "
      "them",
      spec_.name, std::strerror(error));
}

void Served::on_last_flush(int error) noexcept {
  io_.disarm(flush_late_);
  const bool kept = disc_.stats()->kept_bytes.load(std::memory_order_relaxed) != 0;
  if (error != 0)
    tell_unflushed(error);
  else if (kept && !handed_)
    log::warning(
        "disc {}: detached while a FLUSH on a connection that was replaced is unanswered; should "
        "that one fail, what its tail had acknowledged before is lost if the tail crashes",
        spec_.name);
  end_disc();
}

void Served::on_flush_late() noexcept {
  end_disc();  // The flush is answered then: ESHUTDOWN.
}

void Served::on_export_handed(exports::Export&, exports::HandedDisc handed) noexcept {
  export_open_ = false;
  to_pass_on_ = std::move(handed);
  flush_errors_handed_ = disc_.flush_errors().met;
  pass_on();
  finish();
}

// Whoever goes on may write at once what this disc would still replay.
void Served::pass_on() noexcept {
  if (disc_open_ || !to_pass_on_) return;
  to_pass_on_->legacy = disc_.legacy();
  to_pass_on_->connections = disc_.connections();
  if (disc_.flush_errors().met != flush_errors_handed_)
    for (auto& session : to_pass_on_->sessions) session.owes_flush_error = true;
  handed_(std::move(*to_pass_on_));
}

void Served::finish() noexcept {
  if (!over()) return;
  const auto gone = std::move(gone_);
  const auto asked = std::move(asked_);
  gone();
  // We are no more.
  for (const auto& done : asked) done();
}

}  // namespace head::control
