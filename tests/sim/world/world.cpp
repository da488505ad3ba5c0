#include "tests/sim/world/world.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace world {

using head::nbd::Command;

namespace {

check::Promise promise_of(head::nbd::Durability durability) {
  switch (durability) {
    case head::nbd::Durability::writeback:
      return check::Promise::writeback;
    case head::nbd::Durability::writethrough:
      return check::Promise::writethrough;
    case head::nbd::Durability::replay:
      break;
  }
  return check::Promise::replay;
}

// How long an answer may be on its way from headd to a guest that reads it at once; and to others.
Duration answers_take(const Scenario& scenario) {
  const bool slow = std::any_of(
      scenario.guests.begin(), scenario.guests.end(),
      [](const GuestPlan& guest) { return guest.manners.window != 0 || guest.manners.piece != 0; });
  const bool late =
      std::any_of(scenario.actions.begin(), scenario.actions.end(), [](const Action& action) {
        return action.act == Act::guest_stops || action.act >= Act::head_is_killed;
      });
  return slow || late ? std::chrono::milliseconds(100) : std::chrono::milliseconds(1);
}

constexpr std::chrono::milliseconds looks_apart{100};
constexpr std::chrono::seconds handshake_limit{2};

}  // namespace

World::World(const Scenario& scenario)
    : scenario_(scenario),
      dice_(scenario.seed * 0x9e3779b97f4a7c15 + 1),
      begun_(clock_.now()),
      audit_(clock_, promise_of(scenario.head.durability), scenario.tail.size / Store::sector,
             scenario.limit,
             scenario.tail.block_minimum == 1 ? check::Tearing::in_flight : check::Tearing::failed,
             answers_take(scenario)),
      tail_(clock_, dice_, audit_, scenario.tail),
      unix_(clock_, dice_,
            {.latency = std::chrono::microseconds(3),
             .jitter = std::chrono::microseconds(4),
             .local = true}),
      grace_(scenario.head.grace) {
  for (unsigned i = 0; i < scenario_.heads; ++i) {
    slots_.emplace_back();
    slots_[i].link = std::make_unique<Link>(clock_, dice_, scenario_.link);
    start_head(slots_[i]);
  }
  for (unsigned i = 0; i < scenario_.guests.size(); ++i) {
    const GuestPlan& plan = scenario_.guests[i];
    Guest::Owner& owner = *this;
    guests_.push_back(std::make_unique<Guest>(clock_, audit_, owner, i, plan.manners));
    guests_[i]->home = plan.home;
    if (plan.begins) guests_[i]->connect();
  }
  if (scenario_.tail.poison) audit_.poisoned(*scenario_.tail.poison, scenario_.tail.poison_from);
  schedule();
  look_again();
}

World::~World() {
  over_ = true;
  for (const auto& head : heads_)
    if (!head->io().killed()) head->kill();
}

// ---- Connections --------------------------------------------------------------------------------

void World::connect(HeadIo& from, int socket, const sockaddr_in6&) {
  for (Slot& slot : slots_)
    for (Head* const head : {slot.head, slot.next})
      if (head != nullptr && &head->io() == &from) return attempt_connect(&from, &slot, socket);
  // A process that hands over connects no more.
}

// The kernel says hello again after a second where nobody has answered.
void World::attempt_connect(HeadIo* from, Slot* slot, int socket) {
  clock_.after(std::chrono::microseconds(60), [this, from, slot, socket] {
    if (from->killed()) return;
    const Tail::Answer answer = slot->link->up() ? tail_.knocked() : Tail::Answer::silent;
    if (answer == Tail::Answer::silent) {
      clock_.after(std::chrono::seconds(1),
                   [this, from, slot, socket] { attempt_connect(from, slot, socket); });
      return;
    }
    if (answer == Tail::Answer::refuses) return from->connected(socket, nullptr, ECONNREFUSED);
    // Stream and peer know each other.
    streams_.push_back(std::make_unique<Stream>(clock_, *slot->link));
    Stream& stream = *streams_.back();
    stream.meet(tail_.accept(stream, *slot->link));
    stream.lingers = false;
    from->connected(socket, &stream, 0);
  });
}

Stream* World::knock(Guest& guest) {
  Slot& slot = slots_[guest.home];
  // Connecting to a Unix socket succeeds while somebody holds it, accepting or not.
  if (slot.listener.holders == 0) return nullptr;
  streams_.push_back(std::make_unique<Stream>(clock_, unix_));
  Stream& stream = *streams_.back();
  stream.meet(guest);
  slot.listener.queue.push_back(&stream);
  if (slot.listener.owner != nullptr) slot.listener.owner->on_knock(slot.listener);
  return &stream;
}

void World::on_lost(Guest& guest) {
  constexpr std::chrono::milliseconds soon{5};
  const Slot& slot = slots_[guest.home];
  if (slot.head == nullptr || slot.detached || clock_.now() - slot.killed_at < soon) return;
  audit_.note({.rule = check::Rule::dropped,
               .sentence = "headd, which was not killed, has hung up on a guest"});
}

// ---- What happens -------------------------------------------------------------------------------

void World::schedule() {
  for (const Action& action : scenario_.actions) {
    if (action.boundary != 0) {
      at_boundaries_.push_back(&action);
      continue;
    }
    clock_.at(begun_ + action.at, [this, &action] { act(action); });
  }
  std::stable_sort(
      at_boundaries_.begin(), at_boundaries_.end(),
      [](const Action* one, const Action* other) { return one->boundary > other->boundary; });
}

void World::act(const Action& action) {
  if (action.act != Act::ask) audit_.tell(to_string(action));
  if (scenario_.ends_held && action.act != Act::ask) audit_.on_trouble(true);
  switch (action.act) {
    case Act::ask:
    case Act::guest_ends:
    case Act::guest_comes_anew:
    case Act::guest_stops:
    case Act::guest_begins:
      return act_on_guest(action);
    case Act::tail_ends:
    case Act::tail_vanishes:
    case Act::tail_stops:
    case Act::tail_hangs:
    case Act::tail_cuts:
    case Act::tail_refuses:
    case Act::tail_is_spoilt:
    case Act::tail_is_slow:
    case Act::tail_lies:
    case Act::tail_shuts_down:
    case Act::tail_changes:
    case Act::power_fails:
      return act_on_tail(action);
    default:
      return act_on_head(action);
  }
}

void World::act_on_guest(const Action& action) {
  if (action.who >= guests_.size()) return;
  Guest& guest = *guests_[action.who];
  if (action.act == Act::guest_ends || action.act == Act::guest_comes_anew)
    slots_[guest.home].was_alone = true;
  switch (action.act) {
    case Act::ask:
      ++requests_;
      return guest.ask(action.ask);
    case Act::guest_ends:
      guest.end();
      // Its head keeps what it had written for as long as it likes, and promises it to nobody.
      if (scenario_.heads > 1) audit_.log_lost();
      return;
    case Act::guest_begins:
      return guest.connect();
    case Act::guest_comes_anew:
      return guest.come_anew();
    default:
      break;
  }
  if (scenario_.heads > 1) audit_.log_lost();  // It hangs, and goes on elsewhere.
  guest.read(false);
  audit_.on_trouble(true);
  clock_.after(action.lasts, [this, &guest] {
    guest.read(true);
    audit_.on_trouble(false);
  });
}

void World::act_on_tail(const Action& action) {
  switch (action.act) {
    case Act::tail_ends:
      return end_tail(action.yes, action.lasts);
    case Act::power_fails:
      return end_tail(true, {});
    case Act::tail_vanishes:
      if (!tail_.up()) return;
      tail_.vanish();
      audit_.tail_crashed();
      clock_.after(action.lasts, [this] { tail_.start(); });
      return;
    case Act::tail_stops:
      tail_.stop(true);
      clock_.after(action.lasts, [this] { tail_.stop(false); });
      return;
    case Act::tail_hangs:
      return tail_.hang_connections();
    case Act::tail_cuts:
      return tail_.cut_connections(
          action.yes, action.bytes == SIZE_MAX ? std::nullopt : std::optional(action.bytes));
    case Act::tail_refuses:
      return tail_.refuse(action.command, action.error, action.times, !action.yes, action.ask.fua);
    case Act::tail_is_spoilt:
      return tail_.spoil(action.ask.first, action.ask.count);
    case Act::tail_is_slow:
      return tail_.be_slow(action.times, action.lasts);
    case Act::tail_lies:
      return tail_.lie(action.times, action.bytes == 0 ? Lie::in_part
                                     : action.yes      ? Lie::twice
                                                       : Lie::of_nobody);
    case Act::tail_shuts_down:
      if (!tail_.answers()) return;
      tail_.shut_down();
      clock_.after(action.lasts, [this] {
        if (tail_.shutting_down()) end_tail(false, std::chrono::milliseconds(1));
      });
      return;
    case Act::tail_changes:
      return change_tail(action.change, action.yes, action.lasts);
    default:
      return;
  }
}

void World::end_tail(bool lose_power, Duration lasts) {
  if (!tail_.up()) return;
  tail_.end(lose_power);
  if (lose_power) audit_.tail_crashed();
  clock_.after(lasts, [this] { tail_.start(); });
}

// It comes back as something else, and later as what it was. What a disc must not take for its own
// is in the way of its requests meanwhile.
void World::change_tail(Change change, bool others_stay, Duration lasts) {
  if (!tail_.up() || change == Change::none) return;
  if (!others_stay || change != Change::another_disc) {
    tail_.end(false);
    tail_.start();
  }
  tail_.become(change);
  if (change == Change::larger) return;
  audit_.on_trouble(true);
  clock_.after(lasts, [this] {
    const bool was_up = tail_.up();
    if (was_up) tail_.end(false);
    tail_.become(Change::none);
    if (was_up) tail_.start();
    audit_.on_trouble(false);
  });
}

void World::fail_link(Slot& slot, Duration lasts) {
  if (!slot.link->up()) return;
  slot.link->set_up(false);
  audit_.on_trouble(true);
  clock_.after(lasts, [this, &slot] {
    slot.link->set_up(true);
    audit_.on_trouble(false);
  });
}

void World::act_on_head(const Action& action) {
  if (action.who >= slots_.size()) return;
  Slot& slot = slots_[action.who];
  if (action.act == Act::link_fails) return fail_link(slot, action.lasts);
  if (slot.head == nullptr) return;
  switch (action.act) {
    case Act::head_is_killed:
      return kill_head(slot, action.lasts);
    case Act::head_is_upgraded:
      return upgrade_head(slot, true, action.lasts);
    case Act::upgrade_fails:
      return upgrade_head(slot, false, action.lasts);
    case Act::head_is_stopped:
      slot.head->stop(true);
      audit_.on_trouble(true);
      clock_.after(action.lasts, [this, head = slot.head] {
        head->stop(false);
        audit_.on_trouble(false);
      });
      return;
    case Act::head_holds:
      return order(action.who, head::disc::Order::hold, action.lasts);
    case Act::head_fails:
      return order(action.who, head::disc::Order::fail, action.lasts);
    case Act::head_has_grace:
      grace_ = std::chrono::duration_cast<std::chrono::seconds>(action.lasts);
      if (slot.next != nullptr) slot.next->set_grace(grace_);
      return slot.head->set_grace(grace_);
    case Act::head_relocates:
      slot.head->hear(action.yes);
      if (!action.yes) return slot.head->relocate();
      // Whoever is to say so comes to it later.
      clock_.after(std::chrono::milliseconds(5), [&slot] {
        if (slot.head != nullptr) slot.head->relocate();
      });
      return;
    case Act::head_detaches:
      return detach(slot, action.lasts);
    default:
      return;
  }
}

// An order outlives the process: the catalogue has it.
void World::order(unsigned number, head::disc::Order order, Duration lasts) {
  const bool fails = order == head::disc::Order::fail;
  give(slots_[number], order);
  fails ? void(++failing_) : audit_.on_trouble(true);
  held_ += fails ? 0 : 1;
  allow_errors();
  clock_.after(lasts, [this, number, fails] {
    fails ? void(--failing_) : audit_.on_trouble(false);
    held_ -= fails ? 0 : 1;
    give(slots_[number], head::disc::Order::serve);
    allow_errors();
  });
}

void World::give(Slot& slot, head::disc::Order order) {
  slot.order = order;
  for (Head* const head : {slot.head, slot.next})
    if (head != nullptr) head->set_order(order);
}

// ---- Processes ----------------------------------------------------------------------------------

Head& World::new_head(Slot& slot, const std::vector<head::disc::Trace>& left) {
  HeadIo::Connector& connector = *this;
  heads_.push_back(std::make_unique<Head>(
      clock_, dice_, connector, descriptors_, scenario_.head,
      [this, &slot](const Head& teller) { write_shape(slot, teller); }, left));
  heads_.back()->set_order(slot.order);
  heads_.back()->set_grace(grace_);
  return *heads_.back();
}

// As the agent does: soon, by the process that owns the catalogue, and not while it lends it.
void World::write_shape(Slot& slot, const Head& teller) {
  clock_.after(dice_.between(Duration{std::chrono::milliseconds(1)},
                             Duration{std::chrono::milliseconds(10)}),
               [this, &slot, &teller] {
                 if (teller.io().killed() || slot.detached) return;
                 if (slot.next == &teller || (slot.head == &teller && slot.upgrading))
                   return write_shape(slot, teller);
                 if (slot.head == &teller) slot.shape = teller.shape();
               });
}

void World::start_head(Slot& slot) {
  head::exports::HandedDisc nothing;
  nothing.name = "d";
  nothing.listener = descriptors_.open(slot.listener);
  const auto left = head::disc::Traces::read(std::exchange(slot.records, {}), clock_.now(),
                                             scenario_.head.quarantine);
  slot.left.insert(slot.left.end(), left.begin(), left.end());
  slot.head = &new_head(slot, slot.left);
  ++slot.turn;
  slot.head->begin(slot.shape);
  slot.head->take_up(std::move(nothing));
}

void World::kill_head(Slot& slot, Duration start_after) {
  Head* const head = std::exchange(slot.head, nullptr);
  slot.killed_at = clock_.now();
  ++slot.turn;
  slot.upgrading = false;
  audit_.log_lost();
  audit_.on_trouble(true);
  if (std::exchange(slot.detached, false)) audit_.on_trouble(false);
  slot.records = head->kill();
  if (Head* const next = std::exchange(slot.next, nullptr)) next->kill();
  slot.handed.reset();
  descriptors_.reap();
  for (Stream* const guest : std::exchange(slot.listener.queue, {})) guest->close(true);
  clock_.after(start_after, [this, &slot] {
    audit_.on_trouble(false);
    start_head(slot);
  });
}

// The next process has been made when the old one hands over, and has connected to the tail where
// that is an earlier headd.
void World::upgrade_head(Slot& slot, bool succeeds, Duration gap) {
  if (slot.detached || std::exchange(slot.upgrading, true)) return;
  constexpr std::chrono::milliseconds ready_within{300}, made_within{2};
  const bool connects_first = scenario_.head.handing == Handing::earlier;
  slot.next = &new_head(slot);
  slot.next->begin(slot.shape, connects_first);
  await_next(slot, slot.turn, succeeds, gap,
             clock_.now() + (connects_first ? ready_within : made_within));
}

void World::await_next(Slot& slot, unsigned turn, bool succeeds, Duration gap, Instant until) {
  if (slot.turn != turn || slot.head == nullptr) return;
  if (slot.next->ready() || clock_.now() >= until) {
    for (const auto& guest : guests_)  // One comes in the very moment.
      if (&slots_[guest->home] == &slot && dice_.chance(0.5)) guest->come_early();
    slot.head->hand_over([this, &slot, turn, succeeds, gap](head::exports::HandedDisc handed) {
      on_handed(slot, turn, succeeds, gap, std::move(handed));
    });
    return;
  }
  const auto wait = [this, &slot, turn, succeeds, gap, until] {
    await_next(slot, turn, succeeds, gap, until);
  };
  clock_.after(std::chrono::milliseconds(2), wait);
}

void World::on_handed(Slot& slot, unsigned turn, bool succeeds, Duration gap,
                      head::exports::HandedDisc handed) {
  if (over_ || slot.turn != turn || slot.head == nullptr || slot.head->io().killed()) return;
  slot.handed = std::make_unique<head::exports::HandedDisc>(
      through_document(std::move(handed), scenario_.head.handing == Handing::lost));
  descriptors_.reap();
  clock_.after(gap, [&slot, turn, succeeds] {
    if (slot.turn != turn || slot.head == nullptr) return;
    slot.upgrading = false;
    head::exports::HandedDisc came = std::move(*std::exchange(slot.handed, nullptr));
    Head* const next = std::exchange(slot.next, nullptr);
    if (succeeds) {
      slot.head = next;
      ++slot.turn;
      return next->take_up(std::move(came));
    }
    next->kill();
    slot.head->take_back(std::move(came));
  });
}

// What was acknowledged is flushed; guests are hung up on, and knock again when it is back.
void World::detach(Slot& slot, Duration attach_after) {
  if (slot.upgrading || std::exchange(slot.detached, true)) return;
  slot.shape.reset();
  audit_.on_trouble(true);
  const auto flush = audit_.ask_flush();
  // Where there is no connection, nothing is flushed, and the log says so.
  const bool can = slot.head->ready() && slot.link->up() && tail_.answers();
  slot.head->detach([this, &slot, turn = slot.turn, flush, can, life = tail_.life(), attach_after] {
    if (over_ || slot.turn != turn || slot.head == nullptr || slot.head->io().killed()) return;
    if (can && tail_.answers() && tail_.life() == life) audit_.answer_flush(flush, true);
    audit_.log_lost();
    for (Stream* const guest : std::exchange(slot.listener.queue, {})) guest->close(true);
    clock_.after(attach_after, [this, &slot, turn] {
      if (slot.turn != turn || slot.head == nullptr) return;
      slot.detached = false;
      audit_.on_trouble(false);
      head::exports::HandedDisc nothing;
      nothing.name = "d";
      nothing.listener = descriptors_.open(slot.listener);
      slot.head->attach(std::move(nothing));
    });
  });
}

// ---- A history ----------------------------------------------------------------------------------

check::Violation World::run() {
  const bool whole = run_until(begun_ + scenario_.length) && !scenario_.ends_held && settle() &&
                     (read_all(), settle());
  if (whole && scenario_.crash_at_end) {
    end_tail(true, std::chrono::milliseconds(5));
    run_until(clock_.now() + std::chrono::milliseconds(20));
    read_all();
    settle();
  }
  over_ = true;
  if (scenario_.gives_up_nothing && tail_.given_up() != 0)
    audit_.note({.rule = check::Rule::wasted,
                 .sentence = std::to_string(tail_.given_up()) +
                             " connections were given up with requests on them, and nothing was "
                             "wrong with them"});
  return audit_.violation();
}

// False: there is a violation.
bool World::run_until(Instant when) {
  while (!audit_.violation() && clock_.now() < when) {
    while (!at_boundaries_.empty() && at_boundaries_.back()->boundary <= clock_.happened()) {
      const Action& action = *at_boundaries_.back();
      at_boundaries_.pop_back();
      act(action);
    }
    if (!clock_.step()) break;
  }
  return !audit_.violation();
}

// Until everything is answered, or somebody is stuck.
bool World::settle() {
  const Instant until = clock_.now() + std::chrono::minutes(10);
  while (audit_.open_requests() != 0 && clock_.now() < until)
    if (!run_until(clock_.now() + std::chrono::milliseconds(5))) return false;
  if (audit_.waiting() != 0)
    audit_.note({.rule = check::Rule::stuck,
                 .sentence = std::to_string(audit_.waiting()) +
                             " requests are not answered, ten minutes after the last was asked"});
  return run_until(clock_.now() + std::chrono::milliseconds(1));
}

// By a guest that is there to the end; FLUSH first, and nothing else is under way.
void World::read_all() {
  const auto ready = [this] {
    return std::find_if(guests_.rbegin(), guests_.rend(),
                        [](const auto& guest) { return guest->ready(); });
  };
  const Instant until = clock_.now() + scenario_.limit;
  while (ready() == guests_.rend() && clock_.now() < until)
    if (!run_until(clock_.now() + std::chrono::milliseconds(5))) return;
  const auto reader = ready();
  if (reader == guests_.rend())
    return audit_.note({.rule = check::Rule::stuck, .sentence = "no guest is served any more"});
  if ((scenario_.tail.flags & head::nbd::transmission_flag::send_flush) != 0)
    (*reader)->ask({.command = Command::flush});
  if (!settle()) return;
  constexpr std::uint64_t at_once = 64;
  const std::uint64_t sectors = audit_.values().sectors();
  for (std::uint64_t first = 0; first < sectors; first += at_once)
    (*reader)->ask(
        {.command = Command::read, .first = first, .count = std::min(at_once, sectors - first)});
}

// Errors are right once the tail has been away for the grace time of now, and until headd has had
// the time to find it again.
void World::mind_grace() {
  const bool there = tail_.up() && std::all_of(slots_.begin(), slots_.end(),
                                               [](const Slot& slot) { return slot.link->up(); });
  if (!there && held_ == 0) without_tail_ += looks_apart;
  if (held_ != 0) without_tail_ = {};
  if (!there) with_tail_since_ = clock_.now();
  if (there && clock_.now() - with_tail_since_ > scenario_.limit) without_tail_ = {};
  constexpr std::chrono::milliseconds found_again_within{1'500};  // Back-off and all.
  const Duration without = without_tail_ + looks_apart + (there ? found_again_within : Duration{});
  grace_over_ = grace_.count() != 0 && without_tail_ != Duration{} && without >= grace_;
  allow_errors();
}

void World::allow_errors() {
  const bool allowed = failing_ != 0 || grace_over_;
  if (allowed != std::exchange(errors_allowed_, allowed)) audit_.allow_errors(allowed);
}

void World::mind_abandoned() {
  grace_was_over_ = grace_was_over_ || grace_over_;
  if (!scenario_.resumes_abandoned) return;
  for (const Slot& slot : slots_)
    if (slot.head != nullptr && (slot.was_alone || grace_was_over_)) slot.head->resume_abandoned();
}

void World::look() {
  audit_.look();
  mind_grace();
  mind_abandoned();
  for (const Slot& slot : slots_)
    if (slot.head != nullptr) slot.head->resume_unproven();
  if (!scenario_.greets_at_once) return;
  for (const auto& guest : guests_)
    if (guest->greeted_late(handshake_limit))
      audit_.note({.rule = check::Rule::stuck,
                   .sentence = "a guest waits for its handshake although the disc was known"});
}

void World::look_again() {
  look();
  clock_.after(looks_apart, [this] { look_again(); });
}

}  // namespace world
