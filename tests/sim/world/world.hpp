// Runs one scenario: a tail, heads, guests, links and a clock, with every checker listening. Ends
// at the first violation, or when everything has been asked, healed, answered, flushed and read
// again.
#pragma once

#include "tests/sim/world/scenario.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace world {

class World final : HeadIo::Connector, Guest::Owner {
 public:
  explicit World(const Scenario& scenario);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  // Tells what happens, as it happens.
  void trace() { audit_.trace(true); }
  check::Violation run();
  // How many events there were: the boundaries at which an action can be placed.
  std::uint64_t events() const noexcept { return clock_.happened(); }
  Duration simulated() const noexcept { return clock_.now() - begun_; }
  std::uint64_t requests() const noexcept { return requests_; }

 private:
  // A place for a headd: its link, its guests' way in, and whoever serves there now.
  struct Slot {
    std::unique_ptr<Link> link;
    Listener listener;
    Head* head = nullptr;
    Head* next = nullptr;    // It is to take over.
    bool upgrading = false;  // Nobody else may begin something meanwhile.
    bool detached = false;
    head::disc::Order order = head::disc::Order::serve;
    Instant killed_at{};
    bool was_alone = false;  // Without guests, at some time.
    unsigned turn = 0;       // Counts processes, so that what is late is known.
    std::vector<head::disc::Traces::Record> records;  // Of the ones that were killed.
    std::vector<head::disc::Trace> left;
    Head::Shape shape;  // In the catalogue, which outlives processes.
    // What one has handed over until the next has it.
    std::unique_ptr<head::exports::HandedDisc> handed;
  };

  void connect(HeadIo& from, int socket, const sockaddr_in6& to) override;
  void attempt_connect(HeadIo* from, Slot* slot, int socket);
  Stream* knock(Guest& guest) override;
  void on_lost(Guest& guest) override;

  void schedule();
  void act(const Action& action);
  void act_on_guest(const Action& action);
  void act_on_tail(const Action& action);
  void act_on_head(const Action& action);
  void end_tail(bool lose_power, Duration lasts);
  void change_tail(Change change, bool others_stay, Duration lasts);
  void fail_link(Slot& slot, Duration lasts);
  void order(unsigned slot, head::disc::Order order, Duration lasts);
  static void give(Slot& slot, head::disc::Order order);
  void allow_errors();

  Head& new_head(Slot& slot, const std::vector<head::disc::Trace>& left = {});
  void write_shape(Slot& slot, const Head& teller);
  void start_head(Slot& slot);
  void kill_head(Slot& slot, Duration start_after);
  void upgrade_head(Slot& slot, bool succeeds, Duration gap);
  void await_next(Slot& slot, unsigned turn, bool succeeds, Duration gap, Instant until);
  void detach(Slot& slot, Duration attach_after);
  void on_handed(Slot& slot, unsigned turn, bool succeeds, Duration gap,
                 head::exports::HandedDisc handed);

  bool run_until(Instant when);
  bool settle();
  void read_all();
  void look();
  void look_again();
  void mind_grace();
  void mind_abandoned();

  const Scenario scenario_;
  Dice dice_;
  Clock clock_;
  const Instant begun_;
  Descriptors descriptors_;
  Audit audit_;
  Tail tail_;
  Link unix_;  // Between guests and heads.
  std::deque<Slot> slots_;
  std::deque<std::unique_ptr<Head>> heads_;  // All that ever were.
  std::deque<std::unique_ptr<Guest>> guests_;
  std::deque<std::unique_ptr<Stream>> streams_;
  std::vector<const Action*> at_boundaries_;
  std::uint64_t requests_ = 0;
  bool over_ = false;

  // For how long headd may have been without its tail, times apart in which it was told to hold.
  std::chrono::seconds grace_;
  unsigned held_ = 0, failing_ = 0;  // Orders that last.
  bool grace_over_ = false, grace_was_over_ = false, errors_allowed_ = false;
  Duration without_tail_{};
  Instant with_tail_since_{};
};

}  // namespace world
