#include "head/neigh/keeper_work.hpp"

#include "head/base/log.hpp"
#include "head/base/post_mortem.hpp"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>

namespace head::neigh {

using netlink::Neighbour;
using netlink::NeighbourKey;
using namespace std::chrono_literals;

namespace {

constexpr auto place_again_every = 1s;
constexpr auto after_link_change = 20ms;  // The kernel tells of one in several steps.

Instant clock_now() {
  return std::chrono::steady_clock::now();
}

std::unique_ptr<Announcements> listen(const Options& options) {
  const bool wanted = options.enabled && options.announcements;
  return wanted ? std::make_unique<Announcements>() : nullptr;
}

}  // namespace

Keeper::Work::Work(Options options)
    : options_(std::move(options)),
      capabilities_(options_.enabled ? netlink::probe_capabilities() : netlink::Capabilities()),
      choice_(choose(options_.strategy, capabilities_)),
      monitor_(table_.socket().port(), options_.monitor_bytes),
      announcements_(listen(options_)),
      solicitor_(announcements_ && announcements_->fd() >= 0 ? std::make_unique<Solicitor>()
                                                             : nullptr),
      places_(table_.socket(), options_.prefixes),
      limits_(options_.enabled ? options_.table_netns : std::string(), options_.table_max),
      began_(limits_.status().table),
      devices_(options_.responder, options_.originals),
      ledger_({.coalesce = options_.coalesce,
               .repairs = Pacer(options_.repairs_per_second, options_.repairs_burst),
               .resolutions = Pacer(options_.resolutions_per_second, options_.resolutions_burst),
               .validated = choice_.strategy == Strategy::validated,
               .exempt = choice_.strategy != Strategy::plain,
               .solicits = solicitor_ && solicitor_->problem().empty(),
               .quietens = options_.mode == Mode::neighbours,
               .trust = options_.trust,
               .trust_prefixes = options_.trust_prefixes}),
      book_(options_.lease) {
  if (!choice_.problem.empty()) log::warning("{}", choice_.problem);
  if (options_.enabled) ensure_permission();
  if (announcements_ && !announcements_->problem().empty())
    log::info("{}", announcements_->problem());
  if (solicitor_ && !solicitor_->problem().empty()) log::info("{}", solicitor_->problem());
  std::vector<Neighbour> all;
  if (options_.enabled && !table_.dump(all))
    for (const Neighbour& entry : all)
      if (entry.ours()) leftovers_.insert(entry.key);
  if (options_.enabled) adopt_routes(all);
  netlink::digest_routes(table_.socket(), routes_);
  refresh_addresses();
  const Instant now = clock_now();
  reconcile_at_ = now + options_.reconcile;
  limits_at_ = now + options_.recheck_limits;
  place_at_ = now + place_again_every;
  orphans_at_ = now + options_.orphan_grace;
  event_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_ < 0) throw std::system_error(errno, std::system_category(), "cannot make an eventfd");

  sigset_t for_main, before;
  // These are for the main thread; a crash's are for whoever crashes.
  ::sigemptyset(&for_main);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&for_main, signal);
  ::pthread_sigmask(SIG_BLOCK, &for_main, &before);
  thread_ = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Keeper::Work::~Work() {
  {
    const std::lock_guard lock(inbox_lock_);
    stop_ = true;
  }
  wake();
  thread_.join();
  if (options_.enabled) soften_all();
  if (options_.enabled && !options_.leave) {
    std::vector<Neighbour> all;
    table_.dump(all);
    std::set<int> validated;
    for (const Neighbour& entry : all)
      if (entry.ours() && (entry.ext_flags & netlink::ntf::ext_validated) != 0)
        validated.insert(entry.key.ifindex);
    devices_.restore(table_.socket(), validated);
  }
  ::close(event_);
}

// Nothing heals a permanent entry once nobody minds it.
void Keeper::Work::soften_all() {
  std::vector<netlink::Entry> firm;
  for (const auto& [key, hold] : ledger_.holds())
    if (ledger_.is_firm(key) && hold.phase == Phase::held)
      firm.push_back(
          {.key = key, .lladdr = *hold.binding.lladdr, .validated = ledger_.validated()});
  if (!firm.empty()) table_.set(firm);
}

void Keeper::Work::want(std::vector<Want> discs, Ready ready) {
  Command command{.wants = std::move(discs), .ready = nullptr, .names = {}, .moved = {}};
  if (ready) command.ready = std::make_shared<const Ready>(std::move(ready));
  {
    const std::lock_guard lock(inbox_lock_);
    inbox_.push_back(std::move(command));
  }
  wake();
}

void Keeper::Work::forget(std::vector<std::string> discs) {
  {
    const std::lock_guard lock(inbox_lock_);
    inbox_.push_back({.wants = {}, .ready = nullptr, .names = std::move(discs), .moved = {}});
  }
  wake();
}

void Keeper::Work::tell_moves(Moved moved) {
  {
    const std::lock_guard lock(inbox_lock_);
    inbox_.push_back({.wants = {}, .ready = nullptr, .names = {}, .moved = std::move(moved)});
  }
  wake();
}

void Keeper::Work::tell_conflicts(Conflicted conflicted) {
  {
    const std::lock_guard lock(inbox_lock_);
    inbox_.push_back({.wants = {},
                      .ready = nullptr,
                      .names = {},
                      .moved = {},
                      .conflicted = std::move(conflicted)});
  }
  wake();
}

void Keeper::Work::look(const std::shared_ptr<stats::DiscStats>& stats) noexcept {
  if (!waiting_looks_.push(stats)) {
    looks_dropped_.fetch_add(1, std::memory_order_relaxed);
    look_at_all_.store(true);
  }
  wake();
}

void Keeper::Work::wake() noexcept {
  if (woken_.exchange(true)) return;  // It will look at everything before it sleeps again.
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(event_, &one, sizeof one);
}

bool Keeper::Work::take_command(Command& command) {
  const std::lock_guard lock(inbox_lock_);
  if (inbox_.empty()) return false;
  command = std::move(inbox_.front());
  inbox_.pop_front();
  return true;
}

void Keeper::Work::run() noexcept {
  ::pthread_setname_np(::pthread_self(), "keeper");
  post_mortem::guard_thread();
  for (;;) {
    sleep(clock_now());
    std::uint64_t count;
    while (::read(event_, &count, sizeof count) > 0) {
    }
    woken_.store(false);
    {
      const std::lock_guard lock(inbox_lock_);
      if (stop_) return;
    }
    std::vector<Report> reports;
    std::vector<std::string> moves;
    std::vector<Conflict> conflicts;
    {
      const std::lock_guard lock(state_lock_);
      turn(clock_now());
      reports = std::exchange(reports_, {});
      moves = std::exchange(moves_told_, {});
      conflicts = std::exchange(conflicts_told_, {});
    }
    if (moved_ && !moves.empty()) moved_(moves);
    if (conflicted_ && !conflicts.empty()) conflicted_(conflicts);
    for (const Report& report : reports)
      if (report.ready) (*report.ready)(report.disc, explain(report.disc, report.facts));
  }
}

void Keeper::Work::sleep(Instant now) {
  Instant until = std::min(reconcile_at_, limits_at_);
  if (!leftovers_.empty() || !leftover_routes_.empty()) until = std::min(until, orphans_at_);
  if (const auto next = book_.next()) until = std::min(until, *next);
  for (const auto& [key, tail] : tails_)
    if (const auto due = tail.due()) until = std::min(until, *due);
  if (!unplaced_.empty()) until = std::min(until, place_at_);
  if (const auto next = doubts_.next()) until = std::min(until, *next);
  if (!patience_.empty()) until = std::min(until, patience_.front().first);
  if (const auto next = ledger_.next(now)) until = std::min(until, *next);
  const auto wait = std::clamp<std::chrono::nanoseconds>(until - now, 0ns, 10s);
  const timespec time{.tv_sec = wait.count() / 1'000'000'000,
                      .tv_nsec = wait.count() % 1'000'000'000};
  // One that is -1 is passed over.
  pollfd ready[3] = {
      {.fd = event_, .events = POLLIN, .revents = 0},
      {.fd = monitor_.fd(), .events = POLLIN, .revents = 0},
      {.fd = announcements_ ? announcements_->fd() : -1, .events = POLLIN, .revents = 0}};
  ::ppoll(ready, 3, &time, nullptr);
}

void Keeper::Work::turn(Instant now) {
  on_changes(now);
  if (announcements_) on_announcements(now);
  Command command;
  while (take_command(command)) {
    if (!command.wants.empty()) on_want(std::move(command.wants), command.ready, now);
    if (!command.names.empty()) on_forget(command.names);
    if (command.moved) moved_ = std::move(command.moved);
    if (command.conflicted) conflicted_ = std::move(command.conflicted);
    apply(now);  // A disc forgotten and wanted again gets its entry afresh.
  }
  on_looks(now);
  on_timers(now);
  apply(now);
  report_settled();
  report_led();
  report_moved();
  report_contradicted();
  report_silent();
  report_returned();
  report_found();
  for (const NeighbourKey& key : ledger_.take_confirmed()) seen(key, netlink::nud::reachable, now);
  report_impatient(now);
  outdated_.clear();
}

void Keeper::Work::on_timers(Instant now) {
  if (now >= limits_at_) {
    limits_at_ = now + options_.recheck_limits;
    if (options_.enabled) {
      ensure_permission();
      ensure_limits();
      limits_.lower(now);
      devices_.recheck(table_.socket());
    }
  }
  if (now >= place_at_) {
    place_at_ = now + place_again_every;
    for (Disc* disc : unplaced_) doubts_.doubt(disc, now);
  }
  if (now >= orphans_at_ && !leftovers_.empty()) remove_orphans();
  if (now >= orphans_at_ && !leftover_routes_.empty()) remove_orphan_routes();
  if (now >= reconcile_at_) reconcile(now);
  tend_tails(now);
  place_again(now);
}

void Keeper::Work::on_changes(Instant now) {
  const netlink::Changes changes = monitor_.read();
  bool moved = !changes.addresses.empty();
  for (const netlink::LinkChange& change : changes.links) moved = on_link(change, now) || moved;
  for (const netlink::AddressChange& change : changes.addresses) on_address(change, now);
  for (const Neighbour& asked : changes.asked)
    if (options_.responder && ledger_.asked(asked.key, asked, now)) apply(now);
  for (const netlink::NeighbourChange& change : changes.neighbours) on_neighbour(change, now);
  if (changes.lost) {
    ++notifications_lost_;
    resync_ = true;
    reconcile_at_ = now;  // What was said before is not waited for: that takes up to 0.1 s.
  }
  if (resync_ && changes.drained) {
    resync_ = false;
    places_.refresh();
    doubts_.doubt_all(now);
    refresh_addresses();
    reconcile_at_ = now;
    for (const auto& [ifindex, link] : places_.links()) {
      if (!link.running()) continue;
      came_back(ifindex, now);  // Perhaps it was away.
      on_return(ifindex, now);
    }
  }
  for (const netlink::Prefix& prefix : changes.routes) {
    if (prefix.bits == 128) book_.disturbed(prefix.address, now);
    doubts_.doubt(prefix, now);
  }
  if (moved) {
    doubts_.doubt_all(now);
    reconcile_at_ = std::min(reconcile_at_, now + after_link_change);
  }
}

// Whoever says that it has a disc's address is asked there; until it answers, that is a rumour.
void Keeper::Work::on_announcements(Instant now) {
  for (const Announcement& said : announcements_->read()) {
    const auto link = places_.links().find(said.who.ifindex);
    const bool ourselves = link != places_.links().end() && link->second.lladdr == said.lladdr;
    if (ourselves) continue;
    // An answer to nobody is a claim like any other, where the kernel does not see to it.
    if (said.solicited && (ledger_.heard(said.who, said.lladdr, now) || !ledger_.is_firm(said.who)))
      continue;
    if (announced(said, now)) continue;
    if (said.overrides && !ledger_.is_firm(said.who))
      continue;  // The kernel tells what it makes of it.
    ledger_.claim(said.who,
                  {.lladdr = said.lladdr, .source = Source::announcement, .generation = 0}, now);
  }
  if (announcements_->take_lost()) ledger_.heard_too_little();
}

void Keeper::Work::on_neighbour(const netlink::NeighbourChange& change, Instant now) {
  const NeighbourKey& key = change.neighbour.key;
  const Hold* hold = ledger_.find(key);
  if (!hold) return;
  remember(change, *hold);
  Neighbour actual = change.neighbour;
  bool gone = change.gone;
  // What was said may be older than what we wrote since: only the truth counts.
  if (gone || (actual.usable() && actual.lladdr != hold->binding.lladdr)) {
    const auto error = table_.get(key, actual);
    if (error && error.value() != ENOENT && error.value() != ENODEV) {
      reconcile_at_ = std::min(reconcile_at_, now + 1s);
      return;
    }
    gone = static_cast<bool>(error);
  }
  if (gone || !actual.usable()) mark_missing(key, now);
  ledger_.observe(key, gone ? nullptr : &actual, now);
  // Whoever was not followed has not answered for what is held.
  const Hold* after = ledger_.find(key);
  const bool refused = after && !gone && actual.usable() && actual.lladdr != after->binding.lladdr;
  if (!refused) seen(key, gone ? netlink::nud::none : actual.state, now);
}

}  // namespace head::neigh
