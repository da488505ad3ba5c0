#include "tests/ownership/model.hpp"

#include <algorithm>

namespace head::ownership {

namespace {

using Stage = Client::Stage;
using What = Step::What;

std::uint8_t bit(std::size_t client) {
  return static_cast<std::uint8_t>(1U << client);
}

bool is_under_way(const Client& client) {
  return client.stage == Stage::entered || client.stage == Stage::written ||
         client.stage == Stage::renamed;
}

bool has_changes(const State& state, std::size_t head) {
  return std::any_of(state.clients.begin(), state.clients.end(), [&](const Client& client) {
    return client.head == head && is_under_way(client);
  });
}

bool is_heir_waiting(const Head& head) {
  return head.main == Main::hears_begin || head.main == Main::hears_guests ||
         head.main == Main::hears_go;
}

bool is_old_waiting(const Head& head) {
  return head.attempt == Attempt::hears_ready || head.attempt == Attempt::hears_taken ||
         head.attempt == Attempt::hears_serving;
}

// What the kernel does when a process is gone, however it ended: locks and sockets are closed, and
// whoever waits for an answer gets none.
void bury(State& state, std::size_t dead) {
  Head& head = state.heads[dead];
  for (Client& client : state.clients)
    if (client.head == dead && is_under_way(client)) client = {.stage = Stage::unknown};
  if (head.child != nobody) state.heads[head.child].open = 0;
  head = {.main = Main::gone, .to_parent = head.to_parent};
}

// ~NextHeadd closes the channel. What was said before can still be heard.
void let_go(State& state, Head& old) {
  if (old.child == nobody) return;
  Head& heir = state.heads[old.child];
  heir.open = 0;
  heir.to_parent = Word::none;
  old.child = nobody;
}

void serve(Head& head) {
  head.frozen = 0;
  head.main = Main::runs;
}

}  // namespace

bool is_alive(const Head& head) {
  return head.main != Main::none && head.main != Main::gone;
}

bool has_api(const Head& head) {
  return is_alive(head) && head.main >= Main::says_serving;
}

Model::Model(Protocol rules, Limits limits) : rules_(rules), limits_(limits) {}

State Model::start() const {
  State state;
  const auto count = [](unsigned number) { return static_cast<std::uint8_t>(number); };
  for (std::size_t i = limits_.attaches; i < clients(); ++i) state.file |= bit(i);
  state.heads[0] = {.main = Main::runs, .lock = 1, .memory = state.file};
  state.upgrades = count(limits_.upgrades);
  state.kills = count(limits_.kills);
  state.terms = count(limits_.terms);
  state.timeouts = count(limits_.timeouts);
  state.failures = count(limits_.failures);
  state.fresh_starts = count(limits_.fresh_starts);
  return state;
}

// The steps out of one state, in turn: each is made on a copy.
class Model::Steps {
 public:
  Steps(const Model& model, const State& from, std::vector<Next>& into)
      : model_(model), rules_(model.rules_), from_(from), into_(into) {}

  // Of processes; whether there is one.
  bool inside() {
    const std::size_t before = into_.size();
    for (std::size_t i = 0; i < model_.clients(); ++i) go_on_with_change(i);
    for (std::size_t i = 0; i < heads_max; ++i) {
      if (!is_alive(from_.heads[i])) continue;
      go_on_with_upgrade(i);
      go_on_with_main(i);
    }
    if (into_.size() == before) time_out(true);
    return into_.size() != before;
  }

  void outside() {
    if (from_.timeouts > 0) time_out(false);
    if (from_.fresh_starts > 0) start_fresh();
    for (std::size_t i = 0; i < heads_max; ++i) {
      const Head& head = from_.heads[i];
      if (!is_alive(head)) continue;
      if (has_api(head)) {
        for (std::size_t c = 0; c < model_.clients(); ++c)
          if (from_.clients[c].stage == Stage::idle) enter(i, c);
        if (from_.upgrades > 0) ask_upgrade(i);
      }
      const bool can_fail = is_heir_waiting(head) || head.main == Main::has_guests;
      if (from_.failures > 0 && can_fail) {
        State& to = step(What::heir_fails, i);
        --to.failures;
        refuse_to_take_over(to, i);
      }
      if (from_.kills > 0) {
        State& to = step(What::kill_9, i);
        --to.kills;
        if (has_api(head)) to.excused = 1;
        bury(to, i);
      }
      if (from_.terms > 0 && head.term == 0) {
        State& to = step(What::sigterm, i);
        --to.terms;
        to.heads[i].term = 1;
      }
    }
  }

 private:
  State& step(What what, std::size_t head, std::size_t client = nobody) {
    into_.push_back({.step = {.what = what,
                              .head = static_cast<std::uint8_t>(head),
                              .client = static_cast<std::uint8_t>(client)},
                     .state = from_});
    return into_.back().state;
  }

  // Agent::attach and detach, under changes_lock_, as far as the store.
  void enter(std::size_t i, std::size_t c) {
    State& to = step(What::enter, i, c);
    const bool known = (to.heads[i].memory & bit(c)) != 0;
    const bool refused = to.heads[i].frozen != 0 || known == model_.is_attach(c);
    to.clients[c] = {.stage = refused ? Stage::refused : Stage::entered,
                     .head = refused ? nobody : static_cast<std::uint8_t>(i)};
  }

  void go_on_with_change(std::size_t c) {
    const Client& client = from_.clients[c];
    const std::size_t i = client.head;
    // Store::apply and write_batch, as far as rename(2); one thread of a process at a time. That a
    // write may hold several changes is left out.
    if (client.stage == Stage::entered && from_.heads[i].writes == nobody) {
      State& to = step(What::write, i, c);
      to.heads[i].memory ^= bit(c);
      to.heads[i].writes = static_cast<std::uint8_t>(c);
      to.next = to.heads[i].memory;
      to.next_exists = 1;
      to.clients[c].stage = Stage::written;
    }
    // Store::write_file, rename(2); where that fails, Store::undo.
    if (client.stage == Stage::written) {
      State& to = step(What::rename, i, c);
      to.heads[i].writes = nobody;
      if (to.next_exists != 0) {
        to.file = to.next;
        to.clients[c].stage = Stage::renamed;
      } else {
        to.heads[i].memory ^= bit(c);
        to.clients[c] = {.stage = Stage::refused};
      }
      to.next = to.next_exists = 0;
    }
    // Whoever asked has 200 or 202; changes_lock_ is given back.
    if (client.stage == Stage::renamed) step(What::answer, i, c).clients[c] = {Stage::accepted};
  }

  // Upgrader::upgrade. A refusal changes nothing, and is left out.
  void ask_upgrade(std::size_t i) {
    const Head& head = from_.heads[i];
    if (head.attempt != Attempt::none || head.handed_over != 0 || head.main == Main::ends) return;
    if (rules_.only_owner_upgrades && head.main != Main::runs) return;
    State& to = step(What::ask_upgrade, i);
    --to.upgrades;
    if (rules_.freezes && rules_.freezes_first) to.heads[i].frozen = 1;
    to.heads[i].attempt = Attempt::freezes;
  }

  void go_on_with_upgrade(std::size_t i) {
    const Head& head = from_.heads[i];
    if (head.attempt == Attempt::freezes) spawn(i);
    if (is_old_waiting(head)) hear(i);
    // Upgrader::Attempt::make, after "serving".
    if (head.attempt == Attempt::says_yours) {
      State& to = step(What::say_yours, i);
      if (from_.heads[head.child].open == 0) {  // It cannot be told.
        to.heads[i].attempt = Attempt::kills;
      } else {
        to.heads[head.child].to_child = Word::yours;
        succeed(to, i);
      }
    }
    // ~Attempt, NextHeadd::end: the new one is no more.
    if (head.attempt == Attempt::kills) {
      State& to = step(What::kill_heir, i);
      if (rules_.kills_failed_heir && head.child != nobody) bury(to, head.child);
      to.heads[i].attempt = Attempt::thaws;
    }
    if (head.attempt == Attempt::thaws) {
      State& to = step(What::thaw_old, i);
      let_go(to, to.heads[i]);
      to.heads[i].attempt = Attempt::none;
      to.heads[i].handed_over = 0;
      if (rules_.thaws_after_failure) to.heads[i].frozen = 0;
    }
  }

  // In Agent::lend.
  bool waits(std::size_t i) const {
    return rules_.freezes && rules_.waits_for_changes && has_changes(from_, i);
  }

  // Agent::lend has waited; Upgrader::Attempt::start, as far as "begin".
  void spawn(std::size_t i) {
    if (rules_.freezes_first && waits(i)) return;
    const auto free = std::find_if(from_.heads.begin(), from_.heads.end(),
                                   [](const Head& head) { return head.main == Main::none; });
    State& to = step(What::spawn, i);
    if (free == from_.heads.end() || from_.heads[i].main == Main::ends) {
      to.heads[i].attempt = Attempt::kills;
      return;
    }
    const auto child = static_cast<std::uint8_t>(free - from_.heads.begin());
    to.heads[child] = {.main = Main::hears_begin,
                       .frozen = rules_.starts_frozen,
                       .lock = 1,  // The message holds it.
                       .to_child = Word::begin,
                       .open = 1};
    to.heads[i].child = child;
    to.heads[i].attempt = Attempt::hears_ready;
  }

  // NextHeadd::await, and what follows in Upgrader::Attempt as far as the next await.
  void hear(std::size_t i) {
    const Head& head = from_.heads[i];
    const Head& heir = from_.heads[head.child];
    const Word wanted = head.attempt == Attempt::hears_ready   ? Word::ready
                        : head.attempt == Attempt::hears_taken ? Word::taken
                                                               : Word::serving;
    if (heir.to_parent == Word::none && heir.open != 0) return;
    if (wanted == Word::ready && !rules_.freezes_first && waits(i)) return;
    State& to = step(What::hear, i);
    to.heads[head.child].to_parent = Word::none;
    // begin_to_hand_over(), where this headd is to end.
    const bool is_to_end = wanted == Word::taken && head.main == Main::ends;
    if (heir.to_parent != wanted || is_to_end) {
      to.heads[i].attempt = Attempt::kills;
    } else if (wanted == Word::serving) {
      if (rules_.owner_says_yours)
        to.heads[i].attempt = Attempt::says_yours;
      else
        succeed(to, i);
    } else if (heir.open == 0) {  // It cannot be told.
      to.heads[i].attempt = Attempt::kills;
    } else if (wanted == Word::ready) {
      if (!rules_.freezes_first) to.heads[i].frozen = 1;
      to.heads[head.child].to_child = Word::guests;
      to.heads[i].attempt = Attempt::hears_taken;
    } else {
      to.heads[head.child].to_child = Word::go;
      to.heads[i].handed_over = 1;
      to.heads[i].attempt = Attempt::hears_serving;
    }
  }

  void succeed(State& to, std::size_t i) const {
    Head& head = to.heads[i];
    let_go(to, head);
    head.attempt = Attempt::none;
    head.term = 1;
    if (!rules_.stays_frozen) head.frozen = 0;
  }

  void go_on_with_main(std::size_t i) {
    const Head& head = from_.heads[i];
    if (is_heir_waiting(head)) heir_hears(i);
    // serve(): the ApiServer, which serves as soon as it is made.
    if (head.main == Main::has_guests) step(What::open_api, i).heads[i].main = Main::says_serving;
    // Heir::serving
    if (head.main == Main::says_serving) {
      State& to = step(What::say_serving, i);
      if (head.open != 0) to.heads[i].to_parent = Word::serving;
      to.heads[i].main = Main::thaws;
    }
    // await_ownership()
    const bool may_thaw =
        !rules_.owner_says_yours || head.to_child == Word::yours || head.open == 0;
    if (head.main == Main::thaws && may_thaw) {
      State& to = step(What::thaw_new, i);
      to.heads[i].to_child = Word::none;
      serve(to.heads[i]);
    }
    // end(), Upgrader::cancel
    if (head.main == Main::runs && head.term != 0) {
      State& to = step(What::told_to_end, i);
      to.heads[i].main = Main::ends;
      if (head.child != nobody && head.handed_over == 0) to.heads[head.child].open = 0;
    }
    // end(), once no upgrade is under way; ~ApiServer answers what was asked.
    if (head.main == Main::ends && head.attempt == Attempt::none && !has_changes(from_, i)) {
      State& to = step(What::end, i);
      if (head.handed_over == 0) to.excused = 1;
      bury(to, i);
    }
  }

  // Heir::hear, and what follows as far as the next one.
  void heir_hears(std::size_t i) {
    const Head& head = from_.heads[i];
    const bool is_alone = head.to_child == Word::none && head.open == 0;
    if (head.to_child == Word::none && !is_alone) return;
    State& to = step(What::heir_hears, i);
    Head& heir = to.heads[i];
    heir.to_child = Word::none;
    if (is_alone && rules_.heir_needs_go) return bury(to, i);
    // Heir::Heir, Store::Store, Agent::await_ownership and restore.
    if (head.main == Main::hears_begin) {
      heir.memory = to.file;
      heir.to_parent = Word::ready;
      heir.main = Main::hears_guests;
    } else if (head.main == Main::hears_guests) {
      heir.to_parent = Word::taken;
      heir.main = Main::hears_go;
    } else {
      heir.main = Main::has_guests;
    }
    if (head.open == 0) heir.to_parent = Word::none;
  }

  void refuse_to_take_over(State& to, std::size_t i) const {
    if (to.heads[i].open != 0) to.heads[i].to_parent = Word::no;
    bury(to, i);
  }

  // A wait that is too long. Once nothing else goes on, it is bound to be.
  void time_out(bool for_free) {
    for (std::size_t i = 0; i < heads_max; ++i) {
      const Head& head = from_.heads[i];
      const auto cost = static_cast<std::uint8_t>(for_free ? 0 : 1);
      if (is_heir_waiting(head) && head.to_child == Word::none && head.open != 0) {
        State& to = step(What::heir_times_out, i);
        to.timeouts = static_cast<std::uint8_t>(to.timeouts - cost);
        refuse_to_take_over(to, i);
      }
      if (is_old_waiting(head) && from_.heads[head.child].to_parent == Word::none &&
          from_.heads[head.child].open != 0) {
        State& to = step(What::time_out, i);
        to.timeouts = static_cast<std::uint8_t>(to.timeouts - cost);
        to.heads[i].attempt = Attempt::kills;
      }
    }
  }

  // serve() without an heir; lock_directory(). One that does not get the lock changes nothing.
  void start_fresh() {
    const auto free = std::find_if(from_.heads.begin(), from_.heads.end(),
                                   [](const Head& head) { return head.main == Main::none; });
    const bool locked = std::any_of(from_.heads.begin(), from_.heads.end(),
                                    [](const Head& head) { return head.lock != 0; });
    if (free == from_.heads.end() || (locked && rules_.respects_lock)) return;
    const auto i = static_cast<std::size_t>(free - from_.heads.begin());
    State& to = step(What::fresh_start, i);
    --to.fresh_starts;
    to.heads[i] = {.main = Main::runs, .lock = 1, .memory = from_.file};
  }

  const Model& model_;
  const Protocol& rules_;
  const State& from_;
  std::vector<Next>& into_;
};

bool Model::next(const State& state, std::vector<Next>& into) const {
  Steps steps(*this, state, into);
  const bool goes_on = steps.inside();
  steps.outside();
  return goes_on;
}

std::vector<Fault> Model::faults(const State& state, bool is_end) const {
  std::vector<Fault> found;
  std::size_t owners = 0, writers = 0;
  for (std::size_t i = 0; i < heads_max; ++i) {
    const Head& head = state.heads[i];
    if ((has_api(head) && head.frozen == 0) || has_changes(state, i)) ++owners;
    if (head.writes != nobody) ++writers;
  }
  if (owners > 1) found.push_back(Fault::two_owners);
  if (writers > 1) found.push_back(Fault::two_writers);
  for (std::size_t c = 0; c < clients(); ++c)
    if (state.clients[c].stage == Stage::accepted && ((state.file & bit(c)) != 0) != is_attach(c)) {
      found.push_back(Fault::lost_on_disk);
      break;
    }
  if (is_end) faults_in_the_end(state, found);
  return found;
}

void Model::faults_in_the_end(const State& state, std::vector<Fault>& found) const {
  const Head* owner = nullptr;
  bool stuck = false, two = false;
  for (const Head& head : state.heads) {
    if (!is_alive(head)) continue;
    stuck = stuck || head.main != Main::runs || head.frozen != 0;
    two = two || owner != nullptr;
    owner = &head;
  }
  if (owner == nullptr && state.excused == 0) found.push_back(Fault::none_serves);
  if (stuck) found.push_back(Fault::stuck);
  if (two) found.push_back(Fault::two_serve);
  if (owner != nullptr && !two) faults_of_changes(state, *owner, found);
}

void Model::faults_of_changes(const State& state, const Head& owner,
                              std::vector<Fault>& found) const {
  bool lost = false, remains = false;
  for (std::size_t c = 0; c < clients(); ++c) {
    const Stage stage = state.clients[c].stage;
    const bool done = ((owner.memory & bit(c)) != 0) == is_attach(c);
    const bool done_on_disk = ((state.file & bit(c)) != 0) == is_attach(c);
    lost = lost || (stage == Stage::accepted && !done);
    remains = remains || (stage == Stage::refused && (done || done_on_disk));
  }
  if (lost) found.push_back(Fault::lost);
  if (remains) found.push_back(Fault::remains);
  if (owner.memory != state.file) found.push_back(Fault::differs);
}

}  // namespace head::ownership
