// The head's discs, from what an operator wants to what is there. Every change is durable before it
// is accepted; from then on it is worked on until it is done, whatever happens to whoever asked.
//
//   attach ──► pending ──► resolving ──► connecting ──► ready ◄──► reconnecting, held, failing
//              (stored)    (neighbour)   (data thread)    │        (told by the data thread)
//                              └──► failed ◄──┘           ▼
//                                                     detaching ──► gone
//
// A failed disc stays, with the reason, until it is detached or attached again. All calls may come
// from any thread. Callbacks of the keeper and of data threads are only noted; the agent's own
// thread acts on them, so that neither ever waits for the agent.
#pragma once

#include "head/base/result.hpp"
#include "head/catalogue/store.hpp"
#include "head/control/bell.hpp"
#include "head/control/data_thread.hpp"
#include "head/control/disc_status.hpp"
#include "head/control/neighbours.hpp"
#include "head/control/refusal.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

namespace head::control {

// Whose the state directory is, as this headd sees it: of several that share its lock while one
// takes over from another, one owns it at any time. Only the owner changes anything, and only the
// owner is upgraded.
//
//   taking_over ──► owner ◄──► lending ──► given_away
//   (until the one before says "yours", or is gone)
enum class Ownership : std::uint8_t {
  taking_over,  // It is another headd's still.
  owner,        // It is ours.
  lending,      // It is ours, and stays as it is: another headd may take over.
  given_away    // It is another headd's for good.
};

// How a list of discs is imported, if not as one of its own and at once.
struct ImportRequest {
  std::uint64_t part_of = 0;  // It belongs to this earlier import; 0: to none.
  bool check_only = false;    // Only say whether it would be accepted.
};

// A disc whose tail has another link-layer address from now on.
struct Move {
  std::string disc;
  std::optional<netlink::Mac> lladdr{};
  std::string to{};                           // Where lladdr is absent: a tail's name.
  std::optional<std::uint64_t> generation{};  // Absent: one more than the disc has.
};

// What of a disc can change while it is attached; what is absent stays as it is.
struct DiscChange {
  std::optional<disc::Order> order{};
  std::optional<std::chrono::seconds> grace{};
  bool look = false;  // Connect anew, to see what the tail offers now.
};

struct MemoryAccount;
struct MemoryBudget;

class Agent {
 public:
  // Takes the keeper and the data threads over, and ends them before it dies. `store` outlives it.
  Agent(catalogue::Store& store, std::unique_ptr<Neighbours> neighbours,
        std::vector<std::unique_ptr<DataThread>> threads, std::size_t discs_max);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Attaches what the store holds. Once, before anything is attached.
  void restore();

  // Accepted and stored. The same disc again is accepted too; if it had failed, it is tried again.
  // Nothing of an import, or of a part of one, is accepted unless all of it is.
  std::optional<Refusal> attach(const catalogue::DiscSpec& spec);
  Result<ImportStatus, Refusal> import(std::vector<catalogue::DiscSpec> specs,
                                       const ImportRequest& how = {});
  std::optional<Refusal> detach(const std::string& name);

  // Stored, and then obeyed; returns when it is, or after two seconds. A disc that is told to serve
  // and is held all the same, as its tail offers another one, looks again first; if that does not
  // help, it is told why, with the order stored.
  std::optional<Refusal> change(const std::string& name, const DiscChange& change);
  // Every disc that is ready, or held, soon looks at what its tail offers now.
  void look();

  // All of them or none: stored, then given to the keeper together. Returns when the neighbour
  // table has them, or when it is known why it has not; how many that were.
  Result<std::size_t, Refusal> move(const std::vector<Move>& moves);

  std::optional<DiscStatus> disc(const std::string& name) const;
  std::vector<DiscStatus> discs() const;  // By name.
  // The same one after the other, which takes less memory.
  void each_disc(const std::function<void(const DiscStatus&)>& tell) const;
  std::optional<ImportStatus> import_status(std::uint64_t id) const;
  AgentStatus status() const;
  // Nothing when there is no such disc.
  std::optional<LatencyStatus> latency(const std::string& name) const;
  LatencyStatus latency() const;              // Of all discs together.
  std::vector<DiscCounts> all_stats() const;  // In no order.
  // Of one disc, or of all where `name` is empty; at most so many stalls, and so many that wait.
  StallStatus stalls(std::string_view name, std::size_t most) const;
  // Discs that no guest can connect to, and why.
  DataThread::Reasons without_listener() const;
  neigh::Snapshot neighbours(neigh::Detail detail) const;
  std::vector<neigh::PastChange> changes(std::chrono::system_clock::time_point since) const;

  // Every change is refused but by the owner, which a headd is when it begins.
  Ownership ownership() const noexcept { return ownership_; }
  // Before restore(): the headd that this one takes over from is the owner, until own().
  void await_ownership() noexcept { ownership_ = Ownership::taking_over; }
  void own() noexcept;
  // When that was last.
  std::chrono::steady_clock::time_point owner_since() const noexcept { return owner_since_; }
  // True: this headd lends, and changes that were under way are through. False: it is not the
  // owner, and nothing has changed. Then one of own() and give_away().
  bool lend();
  void give_away() noexcept { ownership_ = Ownership::given_away; }
  // Until so many discs are as is wanted, or every one is, or is settled; at most until then.
  void await(std::size_t discs, bool (*wanted)(State), std::chrono::steady_clock::time_point until);
  // What all data threads have (DataThread::hand_over), where all of them come to it in time. Else
  // nothing: what some have let go of was given to `give_back` and is taken back, and so is, on any
  // thread, what one lets go of later.
  using GiveBack = std::function<void(std::vector<exports::HandedDisc>)>;
  // `connections_most`: to tails, that go along.
  std::optional<std::vector<exports::HandedDisc>> hand_over(std::size_t connections_most,
                                                            std::chrono::milliseconds within,
                                                            GiveBack give_back);
  // What came in time, for whoever ends then: nothing is taken back.
  std::vector<exports::HandedDisc> hand_over_what_comes(std::size_t connections_most,
                                                        std::chrono::milliseconds within);
  // Whether every data thread comes to what it is asked within so long.
  bool data_threads_answer_within(std::chrono::milliseconds limit);
  // What hand_over() brought is theirs again (DataThread::take_back).
  void take_back();
  // Waits for all of them.
  void take_up();

  void set_discs_max(std::size_t most) noexcept { discs_max_ = most; }
  // What discs may take of the machine's memory, from now on; before, there is no bound.
  void set_memory(const MemoryBudget& budget);
  // Nothing before set_memory().
  std::optional<MemoryAccount> memory() const;
  void set_tails(std::map<std::string, netlink::Mac> tails);
  void apply(const DataSettings& settings);
  // Whether each data thread has come to what it was asked by the last call; asks them again. To be
  // called now and then, by one thread.
  bool data_threads_answer();

  Bell& bell() noexcept { return bell_; }

 private:
  // `failing`: it is closed, as it has failed.
  enum class Stage : std::uint8_t { pending, resolving, opening, open, failing, failed, detaching };

  struct Disc {
    std::shared_ptr<const catalogue::DiscSpec> spec;
    std::shared_ptr<stats::DiscStats> stats;
    std::uint64_t batch = 0;   // With the name: which attach this is.
    std::uint64_t import = 0;  // That it came with; its batch, when it came alone.
    Stage stage = Stage::pending;
    bool stored = false;                // The store had it before this attach.
    bool changing = false;              // Somebody moves it.
    bool going = false;                 // Somebody detaches it.
    bool leave = false;                 // And it is to be closed as soon as it is open.
    std::optional<std::size_t> thread;  // From `opening` on.
    std::string problem;                // Of the neighbour, or why it failed.
  };
  using Discs = std::unordered_map<std::string, Disc>;
  using Shapes = std::map<std::string, catalogue::Shape>;

  struct Gathered {
    std::shared_ptr<const catalogue::DiscSpec> spec;
    State state = State::pending;
    std::string problem;
    std::optional<std::size_t> thread;
    std::shared_ptr<stats::DiscStats> stats;
  };

  struct Event {
    enum class What { neighbour, moved, opened, unusable, closed } what;
    std::string disc;
    std::uint64_t batch = 0;  // None of a move: it is whichever disc has the name now.
    std::string problem{};
    bool refused = false;
  };

  // Under lock_.
  bool is_pending(const std::string& name) const;
  Result<catalogue::DiscSpec, Refusal> changed(const std::string& name,
                                               const DiscChange& change) const;
  Result<std::vector<catalogue::DiscSpec>, Refusal> moved(const std::vector<Move>& moves) const;
  std::optional<Refusal> check(const catalogue::DiscSpec& spec, bool& fresh) const;
  // Whether there is memory for these as well; agent_memory.cpp.
  std::optional<Refusal> objection_to(std::span<const catalogue::DiscSpec> added) const;
  // Those that no neighbour entry can ever be kept for, by their places.
  std::vector<neigh::Keeper::Refused> unfit_of(std::span<const catalogue::DiscSpec> specs) const;
  MemoryAccount account_with(std::span<const catalogue::DiscSpec> added) const;
  // `added`: those that are to be.
  std::optional<Refusal> check(const std::vector<catalogue::DiscSpec>& specs,
                               std::vector<catalogue::DiscSpec>& added) const;
  // Those are pending from then on; all, or none when it throws. The number is their batch, and
  // their import when that is 0.
  std::uint64_t add(std::span<const catalogue::DiscSpec> specs, std::uint64_t import);
  // Their batch could not be stored. What the store had before is there still: that has failed.
  void give_up(std::span<const catalogue::DiscSpec> specs, std::uint64_t batch,
               std::string_view why);
  std::shared_ptr<ImportStatus> find_import(std::uint64_t id) const;  // Null: not known.
  void keep(const std::shared_ptr<ImportStatus>& import);             // It is the newest one now.
  void leave(const std::string& name, Disc& disc);
  // That one does, at once.
  void look(const std::string& name, const Disc& disc);
  void on_event(const Event& event);
  void on_neighbour(Disc& disc, const Event& event);
  void on_moved(const Disc& disc);
  void on_opened(const std::string& name, Disc& disc, const Event& event);
  void on_unusable(Disc& disc, const Event& event);
  void on_closed(const std::string& name, Disc& disc);
  void open(Disc& disc);
  void close(Disc& disc, Stage stage = Stage::detaching);
  void fail(Disc& disc, const std::string& problem);
  void drop(const std::string& name);
  ImportStatus count(ImportStatus import) const;
  static State state_of(const Disc& disc) noexcept;
  static Gathered gather(const Disc& disc);

  // Not under lock_.
  static DiscStatus complete(Gathered gathered, const DataThread::Reasons& without_listener);
  // Once it was told to serve: why it does not.
  std::optional<Refusal> still_held(const std::string& name);
  std::optional<Refusal> store(std::span<const catalogue::DiscSpec> specs, std::uint64_t batch);
  void begin(std::span<const catalogue::DiscSpec> specs, std::uint64_t batch,
             neigh::Source source = neigh::Source::operator_);
  void want(std::span<const catalogue::DiscSpec> specs, std::uint64_t batch, neigh::Source source);
  // Stores them and has the keeper told; their discs are `changing`, and are not afterwards. How
  // many the neighbour table has after so long.
  Result<std::size_t, Refusal> put_moved(const std::vector<catalogue::DiscSpec>& specs,
                                         neigh::Source source, std::chrono::seconds patience);
  // `told` once for each: whether the neighbour table has it.
  void want_moved(const std::vector<catalogue::DiscSpec>& specs, neigh::Source source,
                  std::function<void(bool kept)> told);
  // agent_conflicts.cpp: what the catalogue does not know of discs, or has wrong.
  void note(const std::vector<neigh::Conflict>& conflicts);
  void note(catalogue::Shape shape);
  void note_proof(const std::string& disc);
  void settle_conflicts(const std::stop_token& stop);
  void settle(const std::map<std::string, neigh::Conflict>& conflicts);
  void settle(Shapes shapes);
  void settle_proofs();
  static Event neighbour_event(const std::string& name, std::uint64_t batch,
                               const neigh::BindingStatus& status);
  void post(Event event) noexcept;
  void work(const std::stop_token& stop);

  catalogue::Store& store_;
  std::atomic<std::size_t> discs_max_;
  std::shared_mutex changes_lock_;  // Shared by whoever changes something.
  std::atomic<Ownership> ownership_{Ownership::owner};
  std::atomic<std::chrono::steady_clock::time_point> owner_since_{};
  Bell bell_;

  mutable std::mutex lock_;  // Never taken by a data thread or the keeper.
  Discs discs_;
  std::vector<std::size_t> loads_;  // Discs of each data thread.
  std::map<std::string, netlink::Mac> tails_;
  std::shared_ptr<const MemoryBudget> memory_;  // Null: no bound.
  std::uint64_t last_batch_;
  std::deque<std::shared_ptr<ImportStatus>> imports_;  // Those that grew last, uncounted.
  std::condition_variable begun_;                      // Discs left `pending`.

  std::mutex events_lock_;
  std::condition_variable_any events_came_;
  std::vector<Event> events_;

  std::mutex conflicts_lock_;
  std::condition_variable_any conflicts_came_;
  std::map<std::string, neigh::Conflict> conflicts_;  // By disc; what was said last.
  Shapes shapes_;                                     // The same.
  std::set<std::string> proofs_;  // Of discs that were proven elsewhere, or not.

  std::unique_ptr<Neighbours> neighbours_;
  std::vector<std::unique_ptr<DataThread>> threads_;
  std::shared_ptr<std::atomic<std::size_t>> silent_;  // Data threads that were asked.
  std::jthread worker_, settler_;
};

}  // namespace head::control
