// The faults of head-bench chaos: which begins when, for how long and of whom, all by the seed.
// The audits are told of each, so that they know what a disc may answer because of it. Each is told
// on standard output as it begins. What can be disturbed by one fault at a time (a disc's tail, a
// link, headd) is disturbed by one. For one thread, the one that made the stage.
#pragma once

#include "tools/bench/chaos_audit.hpp"
#include "tools/bench/chaos_guest.hpp"
#include "tools/bench/chaos_stage.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace bench::chaos {

class Faults {
 public:
  // `kinds`: their names; "default" for all that headd survives today, "all" for all.
  Faults(Stage& stage, std::vector<Audit*> audits, std::vector<Guest*> guests, unsigned seed,
         const std::vector<std::string>& kinds);

  static std::vector<std::string> kinds();
  static std::string help();  // What each kind is, a line each.

  // Ends what is over and begins what is due.
  void step();
  void end_all();
  // So long after that the last of them may still do something.
  std::chrono::milliseconds aftermath() const;
  bool headd_is_away() const { return headd_is_away_; }
  std::string account() const;  // How many of each kind.

 private:
  using Clock = std::chrono::steady_clock;
  using Action = std::function<void()>;
  struct Kind {
    const char* name;
    unsigned weight;
    void (Faults::*begin)();
    bool survived;  // By headd as it is today.
    const char* what;
  };
  // A tail whose next FLUSH fails.
  struct Armed {
    std::uint64_t since;       // The audit's moment.
    std::string failures;      // What was noted before.
    Clock::time_point over{};  // When the audit is told of it; not yet known: none.
  };
  struct Active {
    Clock::time_point end;
    std::string held;
    Action finish;
  };

  static const std::vector<Kind>& all();

  void kill_tail();
  void stop_tail();
  void migrate();
  void tell_catalogue(std::size_t disc);
  void cut();
  void link_down();
  void misbehave_once();
  void misbehave();
  void disturb_neighbours();
  void kill_headd();
  void stop_headd();
  void upgrade_headd();
  void slow_workers();
  void fail_flush();
  void refuse_flush();
  void hang_up();
  void leave();

  void watch_flushes();
  void disarm(std::size_t disc);
  void lose_tail(std::size_t disc);
  unsigned random_ms(unsigned least, unsigned most);
  std::size_t any_disc() { return random_() % stage_.discs().size(); }
  template <class T>
  const T& any_of(const std::vector<T>& all) {
    return all[random_() % all.size()];
  }
  // Takes what the fault is about; false when another fault has it.
  bool hold(const std::string& what) { return held_.insert(what).second; }
  void until(unsigned ms, const std::string& held, Action finish);
  void tell(const std::string& what);

  Stage& stage_;
  std::vector<Audit*> audits_;  // By disc.
  std::vector<Guest*> guests_;
  std::mt19937_64 random_;
  std::vector<Kind> chosen_;
  std::vector<Active> active_;
  std::set<std::string> held_;
  // Discs that went elsewhere, and when the catalogue learns of it.
  std::map<std::size_t, Clock::time_point> untold_;
  std::map<std::size_t, Armed> armed_;  // By disc.
  std::map<std::string, unsigned> counts_;
  std::string current_;  // The kind that is begun.
  bool headd_is_away_ = false;
  const Clock::time_point begin_ = Clock::now();
  Clock::time_point next_ = begin_;
};

}  // namespace bench::chaos
