// Who owns the state directory: a small model of every headd process, API client and file that has
// a part in it, for a search through all orders of their steps (search.hpp).
//
// Each step is what one process does without anybody being able to come between in a way that
// matters; model.cpp names the function that each step stands for. The disc is a bit of a mask, so
// that what a headd has in memory, what discs.json holds and what discs.json.new holds are a byte
// each.
//
// Not part of it: guests, tails and the neighbour table; the lock of the run-time directory; that
// one write of discs.json can hold the changes of several clients, and can be torn by another
// headd's; errors of the disk; power cuts; what headd writes by itself when a disc was found
// elsewhere than the catalogue says (it takes the same lock and obeys the same freeze).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace head::ownership {

// The rules that the processes follow. As it is made: those of the production code, with which
// there is one owner at any time, as model_test.cpp shows.
struct Protocol {
  bool freezes = true;              // An upgrade makes the old headd refuse changes.
  bool waits_for_changes = true;    // And waits for those that are under way.
  bool freezes_first = true;        // Before it starts the new one, not once that is ready.
  bool starts_frozen = true;        // The new headd refuses changes before it serves.
  bool stays_frozen = true;         // The old headd refuses changes once the new one serves.
  bool kills_failed_heir = true;    // A new headd that did not take over is killed.
  bool thaws_after_failure = true;  // And the old one takes changes again.
  bool heir_needs_go = true;        // A new headd whose old one is gone before "go" ends.
  bool respects_lock = true;        // A headd that is started by hand needs the lock.
  bool only_owner_upgrades = true;  // A headd that does not own the directory yet, or any more,
                                    // refuses an upgrade.
  bool owner_says_yours = true;     // The new headd takes changes when the old one has said
                                    // "yours" or is gone, not as soon as it has said "serving".
};

// How much may happen from outside. Every one of these multiplies the states.
struct Limits {
  unsigned attaches = 1;  // Clients that attach a disc of their own, once each.
  unsigned detaches = 0;  // Clients that detach a disc of their own, attached before.
  unsigned upgrades = 1;
  unsigned kills = 0;         // kill -9 of any process.
  unsigned terms = 0;         // SIGTERM to any process.
  unsigned timeouts = 0;      // That expire although the other side was about to answer.
  unsigned failures = 0;      // Of a new headd by itself, at any step.
  unsigned fresh_starts = 0;  // By hand or by the service manager, at any time.
};

inline constexpr std::size_t heads_max = 4;
inline constexpr std::size_t clients_max = 3;
inline constexpr std::uint8_t nobody = 0xff;

// Where the main thread of a headd is: serve() in head/main.cpp.
enum class Main : std::uint8_t {
  none,          // The process was never started.
  hears_begin,   // Heir::Heir
  hears_guests,  // Heir::take_over, after "ready"
  hears_go,      // Heir::take_over, after "taken"
  has_guests,    // Before ApiServer
  says_serving,  // ApiServer takes requests
  thaws,         // await_ownership(), before agent.own()
  runs,          // run()
  ends,          // end(), in Upgrader::cancel()
  gone
};

// Where the upgrade that a headd makes is: Upgrader::Attempt.
enum class Attempt : std::uint8_t {
  none,
  freezes,        // In its constructor
  hears_ready,    // start()
  hears_taken,    // pass_on()
  hears_serving,  // make()
  says_yours,     // make(), before "yours"
  kills,          // ~Attempt, before next_.end()
  thaws           // ~Attempt, before agent_.own()
};

enum class Word : std::uint8_t { none, begin, ready, guests, taken, go, serving, yours, no };

struct Head {
  Main main = Main::none;
  Attempt attempt = Attempt::none;
  std::uint8_t frozen = 0;       // Agent::ownership_ is not `owner`
  std::uint8_t handed_over = 0;  // Upgrader::handed_over_
  std::uint8_t term = 0;         // SIGTERM is pending.
  std::uint8_t lock = 0;         // It has a descriptor of the lock.
  std::uint8_t memory = 0;       // The discs that it knows.
  std::uint8_t writes = nobody;  // The client for whom it writes discs.json.new and renames it.
  std::uint8_t child = nobody;   // Whom its upgrade has started, until it is let go.
  // The channel to the headd that started it.
  Word to_child = Word::none;
  Word to_parent = Word::none;
  std::uint8_t open = 0;

  bool operator==(const Head&) const = default;
};

struct Client {
  enum class Stage : std::uint8_t { idle, entered, written, renamed, accepted, refused, unknown };
  Stage stage = Stage::idle;
  std::uint8_t head = nobody;
  bool operator==(const Client&) const = default;
};

struct State {
  std::array<Head, heads_max> heads;
  std::array<Client, clients_max> clients;
  std::uint8_t file = 0;  // discs.json
  std::uint8_t next = 0;  // discs.json.new
  std::uint8_t next_exists = 0;
  std::uint8_t excused = 0;  // Somebody outside ended a headd that served.
  // What may still happen from outside.
  std::uint8_t upgrades = 0, kills = 0, terms = 0, timeouts = 0, failures = 0, fresh_starts = 0;

  bool operator==(const State&) const = default;
};
static_assert(sizeof(State) == heads_max * sizeof(Head) + clients_max * sizeof(Client) + 10,
              "without padding: it is compared and hashed by its bytes");

struct Step {
  enum class What : std::uint8_t {
    enter,
    write,
    rename,
    answer,
    ask_upgrade,
    spawn,
    hear,
    time_out,
    kill_heir,
    thaw_old,
    say_yours,
    heir_hears,
    heir_times_out,
    heir_fails,
    open_api,
    say_serving,
    thaw_new,
    told_to_end,
    end,
    kill_9,
    sigterm,
    fresh_start
  };
  What what;
  std::uint8_t head = nobody;
  std::uint8_t client = nobody;
};

// What must never be, in the order in which it is looked for.
enum class Fault : std::uint8_t {
  two_owners,    // Two headds take changes, or have some under way.
  two_writers,   // Two headds write discs.json.new at once.
  lost_on_disk,  // discs.json does not agree with a change that was answered with success.
  lost,          // In the end, the headd that serves does not.
  remains,       // In the end, a change that was refused is there all the same.
  differs,       // In the end, the headd that serves and discs.json do not agree.
  none_serves,   // In the end, though nobody outside ended the headd that served.
  two_serve,     // In the end.
  stuck          // In the end, the headd that is there refuses changes for ever.
};
const char* to_string(Fault fault);

class Model {
 public:
  Model(Protocol rules, Limits limits);

  State start() const;
  struct Next {
    Step step;
    State state;
  };
  // Every step that can come next. False: nothing goes on by itself, only from outside. That is the
  // end, where nothing more happens outside.
  bool next(const State& state, std::vector<Next>& into) const;
  std::vector<Fault> faults(const State& state, bool is_end) const;

  bool is_attach(std::size_t client) const { return client < limits_.attaches; }
  std::size_t clients() const { return limits_.attaches + limits_.detaches; }
  // A sentence; `before` is the state that the step is made from.
  std::string tell(const Step& step, const State& before, const State& after) const;

 private:
  class Steps;
  void faults_of_changes(const State& state, const Head& owner, std::vector<Fault>& found) const;
  void faults_in_the_end(const State& state, std::vector<Fault>& found) const;

  const Protocol rules_;
  const Limits limits_;
};

bool is_alive(const Head& head);
bool has_api(const Head& head);
std::string name_of_head(std::size_t head);
std::string name_of_disc(std::size_t client);
std::string names_of_discs(std::uint8_t mask);

}  // namespace head::ownership
