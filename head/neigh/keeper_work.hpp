// The keeper's inside: its thread, what it was told, and the sockets that carry out what the ledger
// decides. Everything but the inbox and the looks belongs to the thread; `state_lock_` is held
// while it works, so that a snapshot sees one moment.
#pragma once

#include "head/neigh/announcements.hpp"
#include "head/neigh/devices.hpp"
#include "head/neigh/doubts.hpp"
#include "head/neigh/keeper.hpp"
#include "head/neigh/ledger.hpp"
#include "head/neigh/limits.hpp"
#include "head/neigh/looks.hpp"
#include "head/neigh/ordered.hpp"
#include "head/neigh/places.hpp"
#include "head/neigh/route_book.hpp"
#include "head/neigh/solicitor.hpp"
#include "netlink/host_routes.hpp"
#include "netlink/monitor.hpp"
#include "netlink/routes_digest.hpp"
#include "netlink/table.hpp"

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace head::neigh {

class Keeper::Work {
 public:
  explicit Work(Options options);
  ~Work();

  void want(std::vector<Want> discs, Ready ready);
  void forget(std::vector<std::string> discs);
  std::vector<Refused> refuse(std::span<const Want> discs) const;
  void tell_moves(Moved moved);
  void tell_conflicts(Conflicted conflicted);
  void look(const std::shared_ptr<stats::DiscStats>& stats) noexcept;
  Snapshot snapshot(Detail detail) const;
  std::vector<PastChange> changes(std::chrono::system_clock::time_point since) const;

 private:
  using SharedReady = std::shared_ptr<const Ready>;
  // A BindingStatus without what only the ledger knows, in a third of the memory.
  struct Placed {
    BindingState state = BindingState::unplaced;
    Obstacle obstacle = Obstacle::none;
    bool on_link = true;
    bool routed = false;
    bool lost = false;  // It has no way now, and waits here for one.
    netlink::NeighbourKey neighbour;
    const std::string* dev = nullptr;        // One of devs_; never null once it was placed.
    std::unique_ptr<std::string> problem{};  // Null for none.
  };
  // A want, in less memory, and what became of it.
  struct Disc {
    std::string name;
    netlink::Ip6 address{};
    Binding claim;
    std::shared_ptr<stats::DiscStats> stats;  // May be null.
    const std::string* dev = nullptr;         // As wanted; one of devs_, or null.
    Placed placed;

    bool has_neighbour() const noexcept {
      return placed.state == BindingState::waiting || placed.state == BindingState::off;
    }
    // Whether it is there already.
    bool stays(const BindingStatus& found) const noexcept {
      return has_neighbour() && found.state == BindingState::waiting &&
             found.neighbour == placed.neighbour;
    }
  };
  using Users = std::pair<netlink::NeighbourKey, const Disc*>;
  using Waiting = std::pair<const Disc*, SharedReady>;
  struct ByDisc {
    std::pair<const Disc*, const Ready*> operator()(const Waiting& waiting) const noexcept {
      return {waiting.first, waiting.second.get()};
    }
  };
  struct ByName {
    std::string_view operator()(const std::unique_ptr<Disc>& disc) const noexcept {
      return disc->name;
    }
  };
  struct ByNeighbour {
    Users operator()(const Disc* disc) const noexcept { return {disc->placed.neighbour, disc}; }
  };
  struct ByStats {
    const stats::DiscStats* operator()(const Disc* disc) const noexcept {
      return disc->stats.get();
    }
  };
  struct Command {
    std::vector<Want> wants;
    SharedReady ready;
    std::vector<std::string> names;  // To forget.
    Moved moved;
    Conflicted conflicted{};
  };
  // What is known of a disc, as values: sentences are made of it where nobody waits for them.
  struct Facts {
    BindingStatus status;
    bool held = false;  // By the ledger, in whatever phase; the rest is of that.
    bool told = false;  // Somebody gave a link-layer address.
    bool asked = true;  // The network was, or need not be.
    Phase phase = Phase::unseen;
    int error = 0;
  };
  static BindingStatus explain(const std::string& disc, Facts facts);
  struct Report {
    SharedReady ready;
    std::string disc;
    Facts facts;
  };

  // keeper_work.cpp: the loop.
  void run() noexcept;
  void soften_all();
  void wake() noexcept;
  void sleep(Instant now);
  void turn(Instant now);
  void on_timers(Instant now);
  void on_changes(Instant now);
  void on_announcements(Instant now);
  void on_neighbour(const netlink::NeighbourChange& change, Instant now);
  bool take_command(Command& command);

  // keeper_ways.cpp: interfaces and addresses of this host, which come and go.
  bool on_link(const netlink::LinkChange& change, Instant now);
  void on_address(const netlink::AddressChange& change, Instant now);
  void refresh_addresses();
  void announce(int ifindex) const noexcept;
  bool solicit(const Solicitation& question) const noexcept;
  void on_return(int ifindex, Instant now);
  bool carries(int ifindex, Instant now) const;
  bool can_ask(int ifindex) const;
  void excuse(int ifindex) const;
  void came_back(int ifindex, Instant now);
  void tell_interface_back(const Disc& disc) const noexcept;
  void report_returned();
  void report_found();
  void report_silent();
  void tell_return(const Disc& disc) const noexcept;
  bool is_used(int ifindex) const noexcept;

  // keeper_discs.cpp: what is wanted, and where it is.
  void on_want(std::vector<Want> wants, const SharedReady& ready, Instant now);
  void on_forget(const std::vector<std::string>& names);
  Disc& disc_named(const std::string& name);
  Want want_of(const Disc& disc) const;
  const std::string* dev_named(std::string name);
  void accept(Disc& disc, Want want, std::vector<netlink::NeighbourKey>& fresh, Instant now);
  void meet(const std::vector<netlink::NeighbourKey>& fresh, Instant now);
  void settle_in(Disc& disc, BindingStatus placed, std::vector<netlink::NeighbourKey>& fresh,
                 Instant now);
  void tell_way(const Disc& disc) const noexcept;
  std::optional<netlink::Mac> rumour_of(const Disc& disc) const noexcept;
  void tell_rumour(const Disc& disc);
  void tell_rumours();
  void tell_reliefs();
  void leave(Disc& disc);
  void place_again(Instant now);
  void wait_for_way(Disc& disc, BindingStatus found);
  bool find_way_again(Disc& disc);
  Placed placed(BindingStatus found);
  // Calls `each(Disc*)` for the discs whose neighbour it is.
  template <class Each>
  void for_users(const netlink::NeighbourKey& key, const Each& each) const {
    for (auto at = users_.lower_bound(Users(key, nullptr));
         at != users_.end() && (*at)->placed.neighbour == key; ++at)
      each(*at);
  }
  BindingState state(const Disc& disc) const;
  Facts facts(const Disc& disc) const;
  void report(Disc& disc);
  // Those who wait for a report of the disc, the first of them; end() for none.
  auto first_unanswered(const Disc* disc) {
    const auto found = unanswered_.lower_bound(std::pair(disc, static_cast<const Ready*>(nullptr)));
    return found != unanswered_.end() && found->first == disc ? found : unanswered_.end();
  }
  bool is_unanswered(const Disc* disc) { return first_unanswered(disc) != unanswered_.end(); }
  void report_settled();
  void report_moved();
  void report_contradicted();
  void report_impatient(Instant now);

  // keeper_kernel.cpp: what is done to the kernel.
  void apply(Instant now);
  void apply_entries(Instant now);
  template <class Requests>
  void outcome(const Requests& requests, const std::vector<netlink::EntryError>& failed,
               std::vector<netlink::NeighbourKey>& contested, Instant now);
  void look_again(const std::vector<netlink::NeighbourKey>& contested, Instant now);
  void remove(const std::vector<netlink::NeighbourKey>& keys, Instant now);
  void reconcile(Instant now);
  void doubt_places(Instant now);
  void remove_orphans();
  void ensure_limits();
  void ensure_permission();
  void on_looks(Instant now);
  static bool is_silent(const Disc& disc, Instant now);
  void check(Disc& disc, const netlink::Neighbour* actual, Instant now);
  void mark_missing(const netlink::NeighbourKey& key, Instant now);

  // keeper_snapshot.cpp: what is told to whoever looks. One of the facts for each of `now.discs`.
  std::vector<Facts> copy_state(Snapshot& now, Detail detail) const;

  // keeper_routes.cpp: route mode.
  bool suits_routes(const netlink::Ip6& address) const;
  void adopt_routes(const std::vector<netlink::Neighbour>& entries);
  Way& way_of(const Disc& disc);
  BindingStatus whereabouts(const Disc& disc, Instant now);
  void forget_way(const netlink::Ip6& address);
  Binding enter_way(const Disc& disc, Instant now);
  void claim_way(const Want& want);
  void tell_way_moved(const netlink::Ip6& address, const Binding& before);
  void drop_outdated(std::vector<netlink::Neighbour>& there);
  bool announced(const Announcement& said, Instant now);
  void question(const netlink::Ip6& address, Instant now);
  void question_silent(const Disc& disc, Instant now);
  void write_routes(Instant now);
  void remove_routes(Instant now);
  void reconcile_routes(Instant now);
  void return_routes(int ifindex, Instant now);
  void remove_orphan_routes();
  void report_led();
  std::string problem_of_way(const Disc& disc) const;
  void copy_routes(Snapshot& now, bool with_entries) const;

  // keeper_tails.cpp: what is thought of tails, in route mode.
  void ask_tail(const netlink::NeighbourKey& key, const netlink::Mac& lladdr, Instant now);
  void seen(const netlink::NeighbourKey& key, std::uint16_t state, Instant now);
  void on_good_tail(const netlink::NeighbourKey& key, Instant now);
  void on_bad_tail(const netlink::NeighbourKey& key, bool was_good, Instant now);
  void probe(Instant now);
  void tend_tails(Instant now);

  // keeper_history.cpp: what is remembered.
  std::string user_of(const netlink::NeighbourKey& key) const;
  void remember(const netlink::NeighbourChange& told, const Hold& hold);
  void remember(const netlink::Entry& written);
  void remember(const netlink::Question&) noexcept {}

  const Options options_;
  const netlink::Capabilities capabilities_;
  const Choice choice_;

  mutable std::mutex state_lock_;
  netlink::Table table_;
  netlink::Monitor monitor_;
  const std::unique_ptr<Announcements> announcements_;  // Null where they are not wanted.
  const std::unique_ptr<Solicitor> solicitor_;          // Null where answers are not heard.
  Places places_;
  Limits limits_;
  const netlink::TableState began_;
  Devices devices_;
  Ledger ledger_;
  Ordered<std::unique_ptr<Disc>, ByName, 256> discs_;
  Ordered<Waiting, ByDisc, 256> unanswered_;  // Who waits for a report.
  std::set<std::string> devs_;                // Names of interfaces that discs were placed on.
  Ordered<Disc*, ByNeighbour, 256> users_;
  std::size_t behind_gateways_ = 0;  // Of users_.
  Ordered<Disc*, ByStats, 256> by_stats_;
  std::set<Disc*> unplaced_;
  std::set<std::pair<int, netlink::Ip6>> own_;            // The host's addresses that may be used.
  std::map<int, Instant> returned_;                       // When which interface came back.
  Doubts<Disc> doubts_;                                   // Whose place is to be looked up again.
  netlink::RoutesDigest routes_;                          // At the last reconciliation.
  std::deque<std::pair<Instant, std::string>> patience_;  // When whose want is reported anyway.
  std::set<netlink::NeighbourKey> leftovers_;  // Of a former run; nobody wanted them yet.
  RouteBook book_;
  std::map<netlink::NeighbourKey, Tail> tails_;                 // Of route mode.
  std::set<netlink::NeighbourKey> to_probe_;                    // As soon as they are written.
  std::vector<netlink::NeighbourKey> fresh_tails_;              // Not met yet.
  std::map<netlink::Ip6, netlink::HostRoute> leftover_routes_;  // Of a former run, as leftovers_.
  std::map<netlink::NeighbourKey, netlink::Mac> former_tails_;  // Which they lead over.
  std::set<netlink::NeighbourKey> outdated_;                    // Moved in this turn.
  bool promote_ = false;  // A tail is good: discs that are kept as neighbours look again.
  std::uint64_t route_conflicts_ = 0, route_flaps_ = 0, routes_reconciled_ = 0;
  std::vector<Report> reports_;
  std::vector<std::string> moves_told_;
  std::vector<Conflict> conflicts_told_;
  Moved moved_;  // May be empty, as the next one.
  Conflicted conflicted_;
  Instant reconcile_at_, limits_at_, place_at_, orphans_at_;
  bool permitted_ = true;  // To change the table.
  bool resync_ = false;    // Notifications were lost, and there are more to read.
  std::uint64_t notifications_lost_ = 0, raises_ = 0, moves_ = 0, removed_ = 0;
  std::uint64_t rumours_ = 0;       // Told, of all discs.
  std::set<const Disc*> relieved_;  // Of a rumour; it is still told of.
  std::uint64_t looks_ = 0, looks_bad_ = 0, silent_moves_ = 0;
  std::string silent_mover_;
  History history_;

  std::mutex inbox_lock_;
  std::deque<Command> inbox_;
  bool stop_ = false;  // Under inbox_lock_.

  Looks<stats::DiscStats, 1024> waiting_looks_;
  std::atomic<bool> look_at_all_{false};
  std::atomic<std::uint64_t> looks_dropped_{0};
  std::atomic<bool> woken_{false};
  int event_ = -1;  // eventfd
  std::thread thread_;
};

}  // namespace head::neigh
