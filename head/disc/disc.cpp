#include "head/disc/link.hpp"
#include "head/nbd/uri.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <functional>
#include <utility>

namespace head::disc {

using nbd::Command;
namespace flag = nbd::transmission_flag;

namespace {

constexpr std::chrono::seconds opening_looks_apart{10};

using iouring::Duration;

constexpr std::chrono::milliseconds idle_spread{500};
constexpr int follows_at_once = 4;
constexpr std::chrono::seconds way_gap{1};

std::int64_t ns_of(iouring::Instant instant) noexcept {
  return std::chrono::nanoseconds(instant.time_since_epoch()).count();
}

}  // namespace

Disc::Link::Link(Disc& disc, std::uint64_t seed, const nbd::ConnectionOptions& options)
    : connection(disc.io_, *this, options), disc_(disc), backoff_(seed) {}

Disc::Link::~Link() {
  disc_.io_.disarm(retry_);
  disc_.io_.disarm(proof_late_);
  disc_.io_.disarm(witnessed_long_);
  disc_.io_.disarm(hello_late_);
}

void Disc::Link::connect() noexcept {
  const auto apart = std::chrono::milliseconds(
      disc_.stats_->attempts_apart_ms.load(std::memory_order_relaxed) * disc_.links_.size());
  if (apart.count() != 0 && backoff_.some_of(apart) >= Backoff::most) {
    // It may be elsewhere by now: some of the host's discs have that looked into.
    if (backoff_.some_of(apart) < 4 * Backoff::most) disc_.patience_.tell(disc_);
    return connect_after(Backoff::most);
  }
  tried_at_ = disc_.io_.now();
  elsewhere = false;
  rumour = disc_.rumours_.now();
  connection.open(disc_.options_.tail, disc_.options_.interface, disc_.options_.export_name,
                  apart.count() != 0
                      ? 2 * Backoff::hello
                      : backoff_.patience(disc_.connection_options_.connect_timeout));
  disc_.io_.arm(hello_late_, disc_.io_.now() + Backoff::hello);
}

// The tail may be elsewhere. Requests that wait have the keeper look; an idle disc has none.
void Disc::Link::on_hello_late() noexcept {
  using State = nbd::Connection::State;
  if (connection.state() != State::connecting && connection.state() != State::handshaking) return;
  if (!disc_.opening_) disc_.patience_.tell(disc_);
  disc_.io_.arm(hello_late_, disc_.io_.now() + Patience::interval_max);
}

void Disc::Link::connect_after(iouring::Duration wait) noexcept {
  disc_.io_.arm(retry_, disc_.io_.now() + wait);
}

Disc::Disc(iouring::Io& io, Owner& owner, Patience& patience, DiscOptions options,
           const nbd::ConnectionOptions& connection, std::shared_ptr<stats::DiscStats> stats)
    : io_(io),
      owner_(owner),
      patience_(patience),
      options_(std::move(options)),
      connection_options_(connection),
      stats_(std::move(stats)),
      awaits_(options_.awaits_connections),
      standing_(options_.standing),
      rumours_(*stats_),
      guard_(io, *this, options_.guard) {
  if (options_.identity != Identity::shape) last_writes_ = std::make_unique<LastWrites>();
  if (options_.identity == Identity::first_block)
    first_block_ = std::make_unique<FirstBlock>(options_.guard.inherits);
  add_link();
}

Disc::~Disc() {
  assert(outstanding_ == 0 && reshapes_.empty());
  io_.disarm(opening_late_);
  io_.disarm(cut_off_long_);
  io_.disarm(look_due_);
  io_.disarm(judgement_);
  io_.disarm(isolated_long_);
  io_.disarm(own_late_);
  if (watched_) patience_.forget(*this);
  links_.clear();
  gone_.clear();
  count_spare_links();
}

void Disc::open() {
  if (!awaits_) begin_opening();
  if (options_.shape) learn(*options_.shape);
  note_connections();
  if (!awaits_) links_.front()->connect();
}

void Disc::begin_opening() noexcept {
  opening_.emplace().since = io_.now();
  opening_wait_ = Patience::limit;
  io_.arm(opening_late_, io_.now() + opening_wait_);
}

// Thousands may have no tail for hours.
void Disc::on_opening_late() noexcept {
  tell_waiting(opening_->since);
  patience_.tell(*this);
  opening_wait_ = std::min<iouring::Duration>(opening_wait_ * 2, opening_looks_apart);
  io_.arm(opening_late_, io_.now() + opening_wait_);
}

void Disc::end_opening(int error) noexcept {
  if (!opening_) return;
  io_.disarm(opening_late_);
  tell_waiting({});
  stats::Opening how = *opening_;
  how.until = io_.now();
  how.error = error;
  opening_.reset();
  owner_.on_disc_opened(*this, how);
}

void Disc::say(log::Level level, log::RateLimit& limit, std::string_view what) const noexcept {
  if (!log::enabled(level)) return;
  const auto pass = limit.pass(io_.now());
  if (!pass) return;
  nbd::Uri tail;
  tail.port = ntohs(options_.tail.sin6_port);
  tail.export_name = options_.export_name;
  std::memcpy(tail.address.data(), &options_.tail.sin6_addr, tail.address.size());
  const std::string where = nbd::to_string(tail);
  log::write(level, "disc {} ({}): {} ({} more like it)",
             fmt::make_format_args(options_.name, where, what, pass->held));
}

// ---- Connections --------------------------------------------------------------------------------

void Disc::go_on_with(Link& link) noexcept {
  link.opened_at_ = io_.now();
  if (std::exchange(link.lost_, false)) stats_->reconnects.fetch_add(1, std::memory_order_relaxed);
  last_problem_.clear();
  if (last_writes_) last_writes_->forget_unstable();
  guard_.must_replay();  // Whoever is told of the connection may ask at once.
  note_connections();
  succeeding_ = true;
  succeed(link);
  succeeding_ = false;
  guard_.on_open();
  // The keeper thinks that its host is silent, and learns now that it is not.
  if (stats_->attempts_apart_ms.load(std::memory_order_relaxed) != 0) patience_.tell(*this);
  pump();
  if (first_block_ && !first_block_->known()) look_soon(first_block_->untouched());
}

void Disc::learn(const nbd::ExportInfo& told) {
  const bool first = !std::exchange(known_, true);
  tail_ = told;
  info_ = told;
  info_.block_minimum = 1;  // We align what guests do not.
  info_.payload_maximum = 32u << 20;
  if (options_.read_only) info_.flags |= flag::read_only;
  stats_->size.store(info_.size, std::memory_order_relaxed);
  stats_->flags.store(info_.flags, std::memory_order_relaxed);
  guard_.learn(info_);
  if (first_block_) first_block_->learn(tail_);
  if (last_writes_) last_writes_->learn(tail_);
  restore_log();
  const bool many = options_.connections > 1 && told.has(flag::can_multi_conn) && !guard_.keeps();
  static log::RateLimit limit;
  if (first && options_.connections > 1 && !many)
    say(log::Level::info, limit,
        fmt::format("one connection, not {}: {}", options_.connections,
                    guard_.keeps() ? "that is what durability \"replay\" takes"
                                   : "the tail does not offer CAN_MULTI_CONN"));
  for (unsigned i = 1; many && !many_ && i < options_.connections; ++i) {
    Link& added = add_link();
    if (!awaits_) added.connect();
  }
  for (std::size_t i = links_.size(); many_ && guard_.keeps() && i-- > 1;) part_from(*links_[i]);
  many_ = many || (many_ && !guard_.keeps());
  owner_.on_disc_shape(*this, tail_);
  tell_watcher();
}

// What the tail offers beyond what was known is passed on, where nothing that was asked has been
// fitted to that.
void Disc::adopt(const nbd::ExportInfo& told) {
  outstanding_ == 0 && !many_ ? learn(told) : grow(told.size);
}

// Guests that ask for the size from now on are told; the protocol has no way to tell the others,
// but what they ask beyond the old end is answered.
void Disc::grow(std::uint64_t size) noexcept {
  size -= size % tail_.block_minimum;  // As it was then: the tail may have smaller blocks by now.
  if (size <= tail_.size) return;
  static log::RateLimit limit;
  say(log::Level::info, limit,
      fmt::format("it has grown from {} to {} bytes; guests that connect from now on see that",
                  tail_.size, size));
  tail_.size = info_.size = size;
  stats_->size.store(size, std::memory_order_relaxed);
  owner_.on_disc_shape(*this, tail_);
  tell_watcher();
}

void Disc::complain(const std::string& problem) noexcept {
  if (!problem.empty()) stats_->set_problem(problem);
  static log::RateLimit limit;
  if (!problem.empty() && problem != last_problem_)  // Not at every attempt.
    say(log::Level::warning, limit, fmt::format("{}; connecting again", problem));
  last_problem_ = problem;
}

// ---- Connecting anew, before what there is is given up ------------------------------------------

Disc::Link& Disc::add_link() {
  const std::uint64_t seed = std::hash<std::string>{}(options_.name) + links_.size();
  Link& added = *links_.emplace_back(std::make_unique<Link>(*this, seed, connection_options_));
  count_spare_links();
  return added;
}

void Disc::count_spare_links() noexcept {
  const auto all = static_cast<unsigned>(links_.size() + gone_.size());
  const unsigned always = std::min(all, options_.connections);
  patience_.count_spare_links(all - always, std::exchange(spare_links_, all - always));
}

void Disc::relocate() noexcept {
  if (closing_) return;
  if (awaits_) {
    moved_ = true;
    return;
  }
  cancel_trial();
  read_back_at_.reset();
  guard_.tail_moved();
  for (const auto& link : links_) link->elsewhere = true;
  for (std::size_t i = 0, before = links_.size(); i < before; ++i) relocate(*links_[i]);
}

void Disc::relocate(Link& link) noexcept {
  // What is sent there goes to the host that is spoken of, which has shown nothing.
  if (link.connection.ready() && may_lead_elsewhere(link))
    return link.connection.fail("it may be elsewhere");
  if (link.superseded) return;
  link.backoff_.reset();
  if (&link == extra_link_)
    return link.connection.fail("the tail is elsewhere now, or there again");
  switch (link.connection.state()) {
    case nbd::Connection::State::closed:
      return link.connect_after({});
    case nbd::Connection::State::connecting:
    case nbd::Connection::State::handshaking:
      // Whoever is asked may not be there.
      return link.connection.fail("the tail is elsewhere now, or there again");
    case nbd::Connection::State::ready: {
      // A successor that does not serve yet connects again: another one behind it would leave two
      // that serve.
      if (link.predecessor != nullptr || !patience_.has_spare_link())
        return link.connection.fail("the tail is elsewhere now, or there again");
      Link& successor = add_link();
      successor.predecessor = &link;
      link.superseded = true;
      // Who is asked nothing leaves the way to those who are. Asked now, the old connection is
      // reset, which is the end of the wait.
      return successor.connect_after(outstanding_ == 0 ? link.backoff_.some_of(idle_spread)
                                                       : Duration());
    }
    case nbd::Connection::State::parting:
    case nbd::Connection::State::leaving:
    case nbd::Connection::State::draining:
      return;  // It connects again as soon as it is closed.
  }
}

void Disc::follow_way() noexcept {
  // Whoever is to say so may not have come to it; and may have nothing to say once it is over.
  for (std::size_t i = 0; !closing_ && i < links_.size(); ++i)
    if (links_[i]->connection.ready() && may_lead_elsewhere(*links_[i]))
      links_[i]->connection.fail("it may be elsewhere");
  if (!closing_ && !waiting_.empty()) pump();
  const auto now = io_.now();
  const iouring::Instant back(
      std::chrono::nanoseconds(stats_->way_back_at_ns.load(std::memory_order_relaxed)));
  if (closing_ || awaits_ || trial_ || back <= followed_ || now - back < way_grace) return;
  // One interruption ends in several steps. But who answers nothing after that may be slow rather
  // than cut off: asked anew at each repair of an entry, it would never come to an end.
  if (last_progress_ > followed_) follows_ = 0;
  if (follows_ >= follows_at_once &&
      now - followed_ < way_gap * (1 << (follows_ - follows_at_once)))
    return;
  followed_ = now;
  follows_ = std::min(follows_ + 1, follows_at_once + 6);
  for (std::size_t i = 0, before = links_.size(); i < before; ++i) {
    Link& link = *links_[i];
    const bool ready = link.connection.ready();
    const bool waits = ready ? link.connection.in_flight() > 0 && last_progress_ <= back &&
                                   link.connection.heard_at() <= back
                             : link.tried_at_ < back;
    if (waits) relocate(link);
  }
}

// Another has served until now; what it has not answered is sent here. It is kept for a while, as
// the answer tells that no ghost will come.
void Disc::succeed(Link& link) noexcept {
  Link* const before = std::exchange(link.predecessor, nullptr);
  if (before == nullptr) return;
  stats_->reconnects.fetch_add(1, std::memory_order_relaxed);
  stats_->replaced_at_ns.store(ns_of(io_.now()), std::memory_order_relaxed);
  before->witness = before->connection.in_flight() != 0 && orphan(*before);
  if (!before->witness) return before->connection.fail("the tail is elsewhere now");
  // Without CAN_MULTI_CONN (NBD's doc/proto.md) a FLUSH on one connection need not cover what was
  // written on another that is still open. What is kept is written on the new one as well.
  const bool covers_all = tail_.has(flag::can_multi_conn) || guard_.keeps();
  if (!covers_all && tail_.has(flag::send_flush) && before->connection.may_probe()) {
    before->last_flush = std::make_unique<LastFlush>();
    guard_.orphan_sync(*before->last_flush, before->flush_witness());
    before->connection.probe(*before->last_flush);
  }
  note_connections();
}

// A link that has ended, or a successor that cannot take over. It is in its own callback.
void Disc::part_from(Link& link) noexcept {
  if (link.predecessor != nullptr) link.predecessor->superseded = false;
  for (const auto& other : links_)
    if (other->predecessor == &link) {
      other->predecessor = nullptr;
      other->lost_ = true;
      if (other->connection.state() == nbd::Connection::State::closed) other->connect_after({});
      if (on_trial(*other) && trial_->answered) io_.arm(judgement_, io_.now());
    }
  link.predecessor = nullptr;
  link.superseded = true;
  io_.disarm(link.retry_);
  if (&link == extra_link_) extra_link_ = nullptr;
  if (link.connection.state() != nbd::Connection::State::closed) return link.connection.leave();
  const auto found = std::find_if(links_.begin(), links_.end(),
                                  [&](const auto& other) { return other.get() == &link; });
  gone_.push_back(std::move(*found));
  links_.erase(found);
  if (!bury_.pending()) io_.defer(bury_);
}

void Disc::bury(iouring::Result) noexcept {
  gone_.clear();
  count_spare_links();
}

void Disc::look_at_network() noexcept {
  for (const auto& link : links_) link->connection.look_at_network();
}

void Disc::on_packets_lost(iouring::Instant at) noexcept {
  auto& last = stats_->packets_lost_at_ns;  // Another connection may have seen a later loss.
  last.store(std::max(last.load(std::memory_order_relaxed), ns_of(at)), std::memory_order_relaxed);
}

void Disc::tell_waiting(std::optional<iouring::Instant> since) noexcept {
  stats_->waiting_since_ns.store(since ? ns_of(*since) : 0, std::memory_order_relaxed);
}

}  // namespace head::disc
