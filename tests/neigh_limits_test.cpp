// The limits of the neighbour table are the whole kernel's: these tests take turns by a lock on a
// file, and put back what they found. They need the initial network namespace.
#include "head/neigh/limits.hpp"
#include "head/neigh/sizing.hpp"
#include "netlink/thresholds.hpp"
#include "tests/neigh_wants.hpp"
#include "tests/skip.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <sys/file.h>

using namespace tests;

namespace {

// Holds the lock, and the limits as they were.
class Turn {
 public:
  Turn()
      : lock_(::open("/run/lock/headstart-neighbour-limits", O_CREAT | O_RDWR | O_CLOEXEC, 0600)) {
    // Only the initial namespace has this file.
    if (lock_ < 0 || ::access("/proc/sys/net/ipv6/neigh/default/gc_thresh3", W_OK) != 0) {
      problem_ = "this is not the initial network namespace, or not root";
      return;
    }
    ::flock(lock_, LOCK_EX);
    TableState state;
    if (const auto error = read_table(socket_, state)) problem_ = error.message();
    before_ = state.limits;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (problem_.empty()) write_limits(socket_, before_);
    ::close(lock_);
  }

  bool skipped() const {
    if (!problem_.empty()) tests::skip(problem_);
    return !problem_.empty();
  }
  TableLimits limits() {
    TableState state;
    REQUIRE(!read_table(socket_, state));
    return state.limits;
  }
  void set(const TableLimits& limits) { REQUIRE(!write_limits(socket_, limits)); }

 private:
  int lock_;
  Socket socket_;
  TableLimits before_;
  std::string problem_;
};

}  // namespace

TEST_CASE("the limits of the table are written and read back", "[netlink][kernel]") {
  Turn turn;
  if (turn.skipped()) return;
  const TableLimits before = turn.limits();
  // libnl 3.7 could not do the third.
  const TableLimits wanted{before.thresh1 + 1, before.thresh2 + 2, before.thresh3 + 3};
  turn.set(wanted);
  CHECK(turn.limits() == wanted);
}

TEST_CASE("the keeper raises the limits from another namespace, and raises them again",
          "[neigh][kernel]") {
  Turn turn;
  if (turn.skipped()) return;
  const TableLimits usual{128, 512, 1024};
  turn.set(usual);
  scratch::with_veth([&](int) {
    Options options;
    options.table_netns = "/proc/" + std::to_string(::getpid()) + "/ns/net";
    options.recheck_limits = 100ms;
    std::atomic<unsigned> ready{0};
    Keeper keeper(options);
    keeper.want(discs(2000), [&](const std::string&, const BindingStatus&) { ++ready; });
    REQUIRE(eventually([&] { return ready == 2000; }));
    const TableLimits raised = turn.limits();
    CHECK(raised.thresh1 >= 4128);
    CHECK(raised.thresh2 >= 5640);
    CHECK(raised.thresh3 >= 11280);
    const TableStatus status = keeper.snapshot(Detail::counts).table;
    CHECK(status.problem == "");
    CHECK(status.original == usual);
    CHECK(status.wanted == raised);

    turn.set(usual);  // As `sysctl --system` would.
    CHECK(eventually([&] { return turn.limits().thresh3 >= 11280; }));
    CHECK(keeper.snapshot(Detail::counts).counters.raises >= 2);
  });
  CHECK(turn.limits().thresh3 >= 11280);  // They stay: the entries do, too.
}

TEST_CASE("limits that somebody else raised far enough are no problem any more",
          "[neigh][kernel]") {
  Turn turn;
  if (turn.skipped()) return;
  turn.set({128, 512, 1024});
  scratch::with_veth([&](int) {
    Options options;  // From here they cannot be raised.
    options.recheck_limits = 50ms;
    std::atomic<unsigned> ready{0};
    Keeper keeper(options);
    keeper.want(discs(2000), [&](const std::string&, const BindingStatus&) { ++ready; });
    REQUIRE(eventually([&] { return keeper.snapshot(Detail::counts).table.problem != ""; }));
    const TableLimits enough{1u << 16, 1u << 17, 1u << 18};
    turn.set(enough);
    CHECK(eventually([&] { return keeper.snapshot(Detail::counts).table.problem == ""; }));
    CHECK(keeper.snapshot(Detail::counts).table.wanted == enough);
    CHECK(keeper.snapshot(Detail::counts).counters.raises == 0);
  });
}

// Forged sources made the limits larger at each look, and those kept the forged entries.
TEST_CASE("others' entries raise the limits only so far, and never the first", "[neigh][kernel]") {
  Turn turn;
  if (turn.skipped()) return;
  turn.set({128, 512, 1024});
  scratch::with_veth([&](int ifindex) {
    std::vector<Entry> forged;
    for (unsigned i = 0; i < 2 * others_most; ++i)
      forged.push_back({.key = {ifindex, address(100'000 + i)}, .lladdr = mac(i)});
    REQUIRE(Table().set(forged).empty());
    Limits limits("/proc/" + std::to_string(::getpid()) + "/ns/net", 1u << 22);
    for (int look = 0; look < 5; ++look) limits.ensure(100, 0);
    const auto after = turn.limits();
    CHECK(after.thresh1 == 2 * 256 + 128);
    CHECK(after.thresh3 == size_for({}, 256, others_most, 1u << 22).thresh3);
    CHECK(limits.status().sized_others >= 2 * others_most);
  });
  // The kernel takes a namespace down later; for the next test these would be too many others. Who
  // else fills the table is not this one's.
  Socket socket;
  TableState state;
  eventually([&] { return !read_table(socket, state) && state.entries < others_most / 2; }, 30s);
}

TEST_CASE("limits that are far too high again are lowered, unless others wrote them",
          "[neigh][kernel]") {
  Turn turn;
  if (turn.skipped()) return;
  const TableLimits found{400, 512, 1024};
  turn.set(found);
  Limits limits("/proc/" + std::to_string(::getpid()) + "/ns/net", 1u << 22);
  std::chrono::steady_clock::time_point now{1h};
  const auto look = [&](std::uint64_t discs, std::chrono::minutes later) {
    now += later;
    limits.ensure(discs, 0);
    limits.lower(now);
    return turn.limits();
  };
  const TableLimits high = look(20'000, 0min);
  REQUIRE(high.thresh3 > 100'000);
  CHECK(look(100, 1min) == high);
  CHECK(look(100, 9min) == high);
  CHECK(look(20'000, 1min) == high);  // Needed again: it begins anew.
  CHECK(look(100, 1min) == high);
  SECTION("to what is needed") {
    const TableLimits low = look(100, 10min);
    if (limits.status().sized_others > others_most)
      return tests::skip("others fill the table, so that it is not lowered");
    CHECK(low.thresh1 == found.thresh1);
    CHECK(low.thresh3 < high.thresh3 / 2);
    CHECK(low.thresh3 >= size_for({}, 100, 0, 1u << 22).thresh3);
  }
  SECTION("where somebody else wrote them") {
    const TableLimits theirs{high.thresh1, high.thresh2, high.thresh3 + 1};
    turn.set(theirs);
    CHECK(look(100, 1min) == theirs);
    CHECK(look(100, 20min) == theirs);
  }
}

// After a restart the discs' own entries counted as others', too.
TEST_CASE("the entries of a former run are no others'", "[neigh][kernel]") {
  Turn turn;
  if (turn.skipped()) return;
  Socket socket;
  bool right = false;  // Others' tests may fill or empty the same table at any moment: try again.
  for (int attempt = 0; attempt < 5 && !right; ++attempt) {
    scratch::with_veth([&](int ifindex) {
      std::vector<Entry> left;
      for (const Want& want : discs(2000))
        left.push_back({{ifindex, want.address}, *want.claim.lladdr});
      REQUIRE(Table().set(left).empty());
      turn.set({128, 512, 1024});
      Options options;
      options.table_netns = "/proc/" + std::to_string(::getpid()) + "/ns/net";
      std::atomic<unsigned> ready{0};
      Keeper keeper(options);
      keeper.want(discs(2000), [&](const std::string&, const BindingStatus&) { ++ready; });
      REQUIRE(eventually([&] { return ready == 2000; }));
      TableState state;
      REQUIRE(!read_table(socket, state));
      const TableStatus table = keeper.snapshot(Detail::counts).table;
      CHECK(table.sized_discs == 2000);
      right = table.sized_others + 2000 < state.entries + 200;
    });
  }
  CHECK(right);
}

TEST_CASE("a keeper that keeps nothing leaves the limits alone", "[neigh][kernel]") {
  Turn turn;
  if (turn.skipped()) return;
  const TableLimits before = turn.limits();
  scratch::with_veth([&](int) {
    Options options;
    options.enabled = false;
    options.table_netns = "/proc/" + std::to_string(::getpid()) + "/ns/net";
    options.recheck_limits = 10ms;
    std::atomic<unsigned> ready{0};
    Keeper keeper(options);
    keeper.want(discs(2000), [&](const std::string&, const BindingStatus& status) {
      ready += status.state == BindingState::off;
    });
    REQUIRE(eventually([&] { return ready == 2000; }));
  });
  CHECK(turn.limits() == before);
}
