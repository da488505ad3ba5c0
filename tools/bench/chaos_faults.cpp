#include "tools/bench/chaos_faults.hpp"

#include "tools/bench/chaos_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <stdexcept>

namespace bench::chaos {

const std::vector<Faults::Kind>& Faults::all() {
  static const std::vector<Kind> kinds{
      {"kill-tail", 6, &Faults::kill_tail, true, "A tail is killed, and loses what is not flushed"},
      {"stop-tail", 4, &Faults::stop_tail, true, "A tail is stopped for a while"},
      {"migrate", 3, &Faults::migrate, true, "A disc goes to the other tail"},
      {"cut", 4, &Faults::cut, true, "Packets to or from a tail are dropped"},
      {"link-down", 2, &Faults::link_down, true, "The link of the head or of a tail is down"},
      {"answer", 8, &Faults::misbehave_once, true,
       "A tail's next reply is corrupt, truncated, or sent twice"},
      {"behave", 6, &Faults::misbehave, true,
       "A tail is late, shuts down, refuses connections, or sends byte by byte"},
      {"neighbours", 4, &Faults::disturb_neighbours, true, "Wrong neighbour entries at the head"},
      {"kill-headd", 2, &Faults::kill_headd, true, "headd is killed, and started again"},
      {"stop-headd", 1, &Faults::stop_headd, true, "headd is stopped for a while"},
      {"upgrade-headd", 2, &Faults::upgrade_headd, true, "headd is upgraded"},
      {"guest-leaves", 2, &Faults::leave, true,
       "A guest hangs up with requests under way, and comes back"},
      {"slow-workers", 6, &Faults::slow_workers, false,
       "A tail carries out some changes seconds later, after others, and even when their "
       "connection or headd is gone"},
      {"flush-eio", 4, &Faults::fail_flush, false,
       "A tail fails one FLUSH with EIO, and forgets what was not flushed"},
      {"flush-einval", 3, &Faults::refuse_flush, false,
       "A tail answers FLUSH with EINVAL for a while"},
      {"hang-ups", 1, &Faults::hang_up, false,
       "A tail hangs up on every TRIM, or on every WRITE_ZEROES, for good"}};
  return kinds;
}

std::vector<std::string> Faults::kinds() {
  std::vector<std::string> names{"default", "all"};
  for (const Kind& kind : all()) names.emplace_back(kind.name);
  return names;
}

std::string Faults::help() {
  std::string text;
  for (const Kind& kind : all())
    text += fmt::format("  {:<14} {}{}\n", kind.name, kind.what,
                        kind.survived ? "" : " (headd does not survive this yet)");
  return text;
}

Faults::Faults(Stage& stage, std::vector<Audit*> audits, std::vector<Guest*> guests, unsigned seed,
               const std::vector<std::string>& kinds)
    : stage_(stage), audits_(std::move(audits)), guests_(std::move(guests)), random_(seed) {
  const auto named = [&](const char* name) {
    return std::find(kinds.begin(), kinds.end(), name) != kinds.end();
  };
  for (const Kind& kind : all())
    if (named(kind.name) || named("all") || (kind.survived && named("default")))
      chosen_.insert(chosen_.end(), kind.weight, kind);
  for (Audit* audit : audits_) audit->trouble(true);
}

void Faults::step() {
  const auto now = Clock::now();
  watch_flushes();
  for (std::size_t i = 0; i < active_.size();) {
    if (active_[i].end > now) {
      ++i;
      continue;
    }
    const Active over = std::move(active_[i]);
    active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(i));
    over.finish();
    held_.erase(over.held);
  }
  if (!headd_is_away_ && held_.count("headd") == 0)
    for (const auto& [disc, late] : std::map(untold_))
      if (late < now) tell_catalogue(disc);
  if (now < next_ || chosen_.empty()) return;
  next_ = now + std::chrono::milliseconds(random_ms(20, 500));
  const Kind& kind = any_of(chosen_);
  current_ = kind.name;
  (this->*kind.begin)();
}

void Faults::end_all() {
  for (const Active& over : active_) over.finish();
  active_.clear();
  held_.clear();
  for (const auto& [disc, late] : std::map(untold_)) tell_catalogue(disc);
  for (std::size_t disc = 0; disc < audits_.size(); ++disc) {
    stage_.command_tail(disc, "well");
    disarm(disc);
  }
  for (Audit* audit : audits_) audit->trouble(false);
  fmt::print("{:8.3f}  all faults have ended\n",
             std::chrono::duration<double>(Clock::now() - begin_).count());
}

// What slow workers have, and what a tail has forgotten and shows still.
std::chrono::milliseconds Faults::aftermath() const {
  const bool long_ones = counts_.count("slow-workers") != 0 || counts_.count("flush-eio") != 0;
  return long_ones ? std::chrono::milliseconds(slow_ms_max + 500) : std::chrono::milliseconds(0);
}

std::string Faults::account() const {
  std::string text;
  for (const auto& [kind, count] : counts_)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, kind);
  return text.empty() ? "none" : text;
}

// Short ones are more frequent.
unsigned Faults::random_ms(unsigned least, unsigned most) {
  const double share = static_cast<double>(random_() % 1000) / 1000;
  return least + static_cast<unsigned>((most - least) * share * share);
}

void Faults::until(unsigned ms, const std::string& held, Action finish) {
  active_.push_back({Clock::now() + std::chrono::milliseconds(ms), held, std::move(finish)});
}

void Faults::tell(const std::string& what) {
  ++counts_[current_];
  fmt::print("{:8.3f}  {}\n", std::chrono::duration<double>(Clock::now() - begin_).count(), what);
}

void Faults::lose_tail(std::size_t disc) {
  audits_[disc]->tail_crashes();
  stage_.kill_tail(disc);
  audits_[disc]->tail_crashes();
  disarm(disc);
}

void Faults::kill_tail() {
  const std::size_t disc = any_disc();
  const std::string held = fmt::format("tail of {}", disc);
  if (!hold(held)) return;
  const unsigned ms = random_ms(0, 2000);
  tell(fmt::format("the tail of disc {} is killed, for {} ms", disc, ms));
  lose_tail(disc);
  until(ms, held, [this, disc] { stage_.start_tail(disc); });
}

void Faults::stop_tail() {
  const std::size_t disc = any_disc();
  const std::string held = fmt::format("tail of {}", disc);
  if (!hold(held)) return;
  const unsigned ms = random_ms(10, 4000);
  tell(fmt::format("the tail of disc {} is stopped, for {} ms", disc, ms));
  stage_.signal_tail(disc, SIGSTOP);
  until(ms, held, [this, disc] { stage_.signal_tail(disc, SIGCONT); });
}

void Faults::migrate() {
  const std::size_t disc = any_disc();
  const std::string held = fmt::format("tail of {}", disc);
  const std::string how = any_of<std::string>({"in silence", "announced", "told by an operator"});
  if (how[0] == 't' && headd_is_away_) return;
  if (!hold(held)) return;
  tell(fmt::format("disc {} goes to tail {}, {}", disc, 1 - stage_.discs()[disc].tail, how));
  lose_tail(disc);
  stage_.move_address(disc, how == "announced");
  stage_.start_tail(disc);
  untold_[disc] = Clock::now() + std::chrono::milliseconds(random_ms(1000, 8000));
  if (how[0] == 't' && held_.count("headd") == 0) tell_catalogue(disc);
  held_.erase(held);
}

// A disc that cannot show what it is, and was told to be elsewhere before, waits for that.
void Faults::tell_catalogue(std::size_t disc) {
  const Disc& moved = stage_.discs()[disc];
  stage_.headctl({"move", moved.name, "--lladdr", Stage::mac_of(moved.tail)});
  untold_.erase(disc);
}

void Faults::cut() {
  const std::size_t disc = any_disc();
  const unsigned tail = stage_.discs()[disc].tail;
  const std::string held = fmt::format("nft of {}", tail);
  if (!hold(held)) return;
  const unsigned ms = random_ms(10, 4000);
  const std::string& address = stage_.discs()[disc].address;
  const std::vector<std::string> rules =
      any_of<std::vector<std::string>>({{"in ip6 daddr " + address},
                                        {"out ip6 saddr " + address},
                                        {"in tcp dport 10809", "out tcp sport 10809"},
                                        {"in icmpv6 type nd-neighbor-solicit"}});
  tell(fmt::format("packets at tail {} are dropped, for {} ms: {}", tail, ms, rules.front()));
  for (const std::string& rule : rules)
    stage_.in_tail(tail, {"nft", "add rule inet chaos " + rule + " drop"});
  until(ms, held, [this, tail] { stage_.in_tail(tail, {"nft", "flush table inet chaos"}); });
}

void Faults::link_down() {
  const std::string port = any_of<std::string>({"head", "tail0", "tail1"});
  if (!hold(port)) return;
  const unsigned ms = random_ms(10, 3000);
  tell(fmt::format("the link of {} is down, for {} ms", port, ms));
  stage_.in_switch({"ip", "link", "set", port, "down"});
  until(ms, port, [this, port] { stage_.in_switch({"ip", "link", "set", port, "up"}); });
}

void Faults::misbehave_once() {
  const std::size_t disc = any_disc();
  const std::string what = any_of<std::string>({"corrupt", "truncate", "twice"});
  tell(fmt::format("the tail of disc {}, its next reply: {}", disc, what));
  stage_.command_tail(disc, what);
}

void Faults::misbehave() {
  const std::size_t disc = any_disc();
  const std::string what =
      any_of<std::string>({"late", "late", "refuse", "shutdown", "silent", "dribble"});
  const unsigned ms = random_ms(10, 2000);
  // What is put off is a ghost if its session ends, and the next headd knows of no ghosts.
  if (what == "late" && !hold("headd")) return;
  if (what == "late") until(ms + late_ms_max + 100, "headd", [] {});
  tell(fmt::format("the tail of disc {}: {}, for {} ms", disc, what, ms));
  stage_.command_tail(disc, fmt::format("{} {}", what, ms));
  // Late answers are best with a session that ends meanwhile.
  if (what == "late" && random_() % 2 == 0) stage_.command_tail(disc, "corrupt");
}

void Faults::disturb_neighbours() {
  const Disc& disc = stage_.discs()[any_disc()];
  const std::string wrong = Stage::mac_of(1 - disc.tail);
  const auto words = any_of<Arguments>(
      {{"flush", "dev", "h0"},
       {"replace", disc.address, "lladdr", wrong, "dev", "h0", "nud", "reachable"},
       {"replace", disc.address, "lladdr", wrong, "dev", "h0", "nud", "stale"},
       {"replace", disc.address, "dev", "h0", "nud", "failed"}});
  tell(fmt::format("neighbours of the head: {}", fmt::join(words, " ")));
  Arguments command{"ip", "-6", "neigh"};
  command.insert(command.end(), words.begin(), words.end());
  stage_.in_head({"sh", "-c", fmt::format("{} || true", fmt::join(command, " "))});
}

void Faults::kill_headd() {
  if (!hold("headd")) return;
  const unsigned ms = random_ms(0, 500);
  tell(fmt::format("headd is killed, for {} ms", ms));
  headd_is_away_ = true;
  const auto tell_all = [this] {
    for (Audit* audit : audits_) {
      audit->log_is_lost();
      audit->may_lose_session();
    }
  };
  tell_all();
  stage_.kill_headd();
  tell_all();
  until(ms, "headd", [this, tell_all] {
    tell_all();
    stage_.start_headd();
    headd_is_away_ = false;
  });
}

void Faults::stop_headd() {
  if (!hold("headd")) return;
  const unsigned ms = random_ms(10, 1000);
  tell(fmt::format("headd is stopped, for {} ms", ms));
  stage_.signal_headd(SIGSTOP);
  until(ms, "headd", [this] { stage_.signal_headd(SIGCONT); });
}

void Faults::upgrade_headd() {
  if (!hold("headd")) return;
  try {
    const std::string answer = stage_.upgrade_headd();
    tell("headd is upgraded: " + answer);
  } catch (const std::runtime_error& error) {
    // That is allowed: the old one goes on, and may have dropped its log.
    tell(fmt::format("headd is not upgraded: {}", error.what()));
    for (Audit* audit : audits_) audit->log_is_lost();
  }
  held_.erase("headd");
}

void Faults::slow_workers() {
  const std::size_t disc = any_disc();
  const unsigned ms = random_ms(100, 3000);
  tell(fmt::format("the tail of disc {} has slow workers, for {} ms", disc, ms));
  stage_.command_tail(disc, fmt::format("slow {}", ms));
  // A worker that is slow is best with a session that ends meanwhile.
  if (random_() % 2 == 0) stage_.command_tail(disc, "corrupt");
}

void Faults::fail_flush() {
  const std::size_t disc = any_disc();
  if (armed_.count(disc) != 0) return;
  tell(fmt::format("the tail of disc {}: its next FLUSH fails, what is dirty is forgotten", disc));
  armed_[disc] = {.since = audits_[disc]->flush_may_fail(true),
                  .failures = stage_.failures_of_tail(disc)};
  stage_.command_tail(disc, "eio");
}

void Faults::watch_flushes() {
  constexpr auto delivery = std::chrono::seconds(2);  // Of the answer to whoever is told of it.
  const auto now = Clock::now();
  for (std::size_t disc = 0; disc < audits_.size(); ++disc) {
    const auto armed = armed_.find(disc);
    if (armed == armed_.end()) continue;
    const std::string failures = stage_.failures_of_tail(disc);
    if (failures == armed->second.failures) continue;
    if (armed->second.over == Clock::time_point{}) armed->second.over = now + delivery;
    if (now < armed->second.over) continue;
    if (failures.back() == 't') audits_[disc]->tail_told_loss(armed->second.since);
    disarm(disc);
  }
}

void Faults::disarm(std::size_t disc) {
  if (armed_.erase(disc) != 0) audits_[disc]->flush_is_well();
}

void Faults::refuse_flush() {
  const std::size_t disc = any_disc();
  const unsigned ms = random_ms(500, 5000);
  tell(fmt::format("the tail of disc {} answers FLUSH with EINVAL, for {} ms", disc, ms));
  audits_[disc]->flush_may_fail(false);
  stage_.command_tail(disc, fmt::format("einval {}", ms));
}

void Faults::hang_up() {
  const std::size_t disc = any_disc();
  const std::string held = fmt::format("tail of {}", disc);
  if (!stage_.discs()[disc].hangs_up_on.empty() || !hold(held)) return;
  const bool trim = random_() % 2 == 0;
  const std::string what = trim ? "trim" : "write-zeroes";
  tell(fmt::format("the tail of disc {} hangs up on {} from now on", disc, what));
  audits_[disc]->poison(trim ? nbd_bytes::cmd_trim : nbd_bytes::cmd_zero);
  stage_.poison_tail(disc, what);
  lose_tail(disc);
  stage_.start_tail(disc);
  held_.erase(held);
}

void Faults::leave() {
  const std::size_t guest = random_() % guests_.size();
  tell(fmt::format("guest {} hangs up", guest));
  guests_[guest]->vanish();
}

}  // namespace bench::chaos
