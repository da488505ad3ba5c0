// A keeper and a data thread that answer when a test says so; for tests of the agent and the API.
#pragma once

#include "head/control/agent.hpp"
#include "tests/folder.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace head::test {

using namespace std::chrono_literals;

inline catalogue::DiscSpec a_disc(const std::string& name) {
  return {.name = name, .uri = *nbd::parse_uri("nbd://[fd00::1]/" + name)};
}

inline neigh::BindingStatus binding(neigh::BindingState state, std::string problem = "") {
  neigh::BindingStatus status;
  status.state = state;
  status.problem = std::move(problem);
  return status;
}

class FakeNeighbours final : public control::Neighbours {
 public:
  void want(std::vector<neigh::Want> discs, neigh::Keeper::Ready ready) override {
    {
      const std::lock_guard lock(lock_);
      if (error_ != 0) throw std::system_error(error_, std::generic_category(), "netlink");
    }
    for (const neigh::Want& want : discs) {
      {
        const std::lock_guard lock(lock_);
        kept_[want.disc] = {want, ready};
        if (want.stats) want.stats->ifindex = 1;
        if (!at_once_) continue;
      }
      answer(want.disc, binding(neigh::BindingState::held));
    }
  }
  void forget(std::vector<std::string> discs) override {
    const std::lock_guard lock(lock_);
    for (const auto& disc : discs) kept_.erase(disc);
  }
  std::vector<neigh::Keeper::Refused> refuse(std::span<const neigh::Want> discs) const override {
    const std::lock_guard lock(lock_);
    std::vector<neigh::Keeper::Refused> refused;
    for (std::size_t i = 0; i < discs.size(); ++i)
      if (discs[i].address == refused_address_) refused.push_back({i, "it cannot be there"});
    return refused;
  }
  void refuse_address(const netlink::Ip6& address) {
    const std::lock_guard lock(lock_);
    refused_address_ = address;
  }
  void tell_moves(neigh::Keeper::Moved moved) override {
    const std::lock_guard lock(lock_);
    moved_ = std::move(moved);
  }
  void tell_conflicts(neigh::Keeper::Conflicted conflicted) override {
    const std::lock_guard lock(lock_);
    conflicted_ = std::move(conflicted);
  }
  neigh::Snapshot snapshot(neigh::Detail detail) const override {
    const std::lock_guard lock(lock_);
    if (error_ != 0) throw std::system_error(error_, std::generic_category(), "netlink");
    neigh::Snapshot snapshot;
    snapshot.held = kept_.size();
    snapshot.permitted = permitted_;
    snapshot.table.table.limits = {128, 512, 1024};
    if (detail == neigh::Detail::counts) return snapshot;
    for (const auto& [name, kept] : kept_) {
      neigh::EntryStatus entry;
      entry.kernel.key = {.ifindex = 1, .address = kept.want.address};
      entry.kernel.lladdr = netlink::Mac{0x52, 0x54, 0, 0, 0, 1};
      entry.kernel.state = netlink::nud::stale;
      entry.kernel.protocol = netlink::our_protocol;
      entry.binding.lladdr = entry.kernel.lladdr;
      entry.discs = {name};
      snapshot.entries.push_back(std::move(entry));
    }
    return snapshot;
  }

  std::vector<neigh::PastChange> changes(
      std::chrono::system_clock::time_point since) const override {
    const std::lock_guard lock(lock_);
    std::vector<neigh::PastChange> found;
    for (const neigh::PastChange& change : past_)
      if (change.at >= since) found.push_back(change);
    return found;
  }
  void happened(neigh::PastChange change) {
    const std::lock_guard lock(lock_);
    past_.push_back(std::move(change));
  }

  // From now on the table cannot be read, for this errno.
  void fail_with(int error) {
    const std::lock_guard lock(lock_);
    error_ = error;
  }
  // Whether the keeper may change the table.
  void permit(bool yes) {
    const std::lock_guard lock(lock_);
    permitted_ = yes;
  }
  // Whether wants are answered as soon as they are made.
  void at_once(bool yes) {
    const std::lock_guard lock(lock_);
    at_once_ = yes;
  }
  void answer(const std::string& disc, const neigh::BindingStatus& status) {
    neigh::Keeper::Ready ready;
    {
      const std::lock_guard lock(lock_);
      const auto at = kept_.find(disc);
      if (at != kept_.end()) {
        ready = at->second.ready;
        at->second.want.stats->ifindex = 1;
      }
    }
    if (ready) ready(disc, status);
  }
  // As if the wire had said that these are elsewhere.
  void move(const std::vector<std::string>& discs) {
    neigh::Keeper::Moved moved;
    {
      const std::lock_guard lock(lock_);
      moved = moved_;
    }
    moved(discs);
  }
  // As if a disc were elsewhere than was told.
  void contradict(const neigh::Conflict& conflict) {
    neigh::Keeper::Conflicted conflicted;
    {
      const std::lock_guard lock(lock_);
      conflicted = conflicted_;
    }
    conflicted({conflict});
  }
  // What is wanted of a disc; nothing where it is not.
  std::optional<neigh::Want> wanted(const std::string& disc) const {
    const std::lock_guard lock(lock_);
    const auto at = kept_.find(disc);
    if (at == kept_.end()) return std::nullopt;
    return at->second.want;
  }
  std::size_t kept() const {
    const std::lock_guard lock(lock_);
    return kept_.size();
  }

 private:
  struct Kept {
    neigh::Want want;
    neigh::Keeper::Ready ready;
  };
  mutable std::mutex lock_;
  neigh::Keeper::Moved moved_;
  neigh::Keeper::Conflicted conflicted_;
  bool at_once_ = true;
  int error_ = 0;
  netlink::Ip6 refused_address_{};
  bool permitted_ = true;
  std::vector<neigh::PastChange> past_;
  std::map<std::string, Kept> kept_;
};

class FakeThread final : public control::DataThread {
 public:
  void attach(const catalogue::DiscSpec& spec, control::Attachment with,
              std::function<void(std::string)> done) override {
    const auto stats = with.stats;
    std::this_thread::sleep_for(takes_.load());
    ++*attaches_;
    std::string problem;
    {
      const std::lock_guard lock(lock_);
      problem = problem_;
      if (problem.empty()) discs_[spec.name] = stats;
      with_[spec.name] = with;
      if (hold_) return held_.push_back([done, problem] { done(problem); });
    }
    done(problem);
    if (problem.empty() && connect_) stats->enter(stats::DiscState::ready, iouring::Instant{1s});
  }
  void detach(const std::string& name, std::function<void()> done) override {
    {
      const std::lock_guard lock(lock_);
      discs_.erase(name);
      if (hold_) return held_.push_back(done);
    }
    done();
  }

  void hand_over(std::size_t, std::function<void(std::vector<exports::HandedDisc>)> done) override {
    ++handed_over;
    const auto answer = [this, done] {
      std::vector<exports::HandedDisc> discs;
      for (const std::string& name : lets_go_of) {
        discs.push_back({.name = name});
        if (keeps_listeners) discs.back().listener_stays = {.index = 1};
      }
      done(std::move(discs));
    };
    if (!lets_go_late) return answer();
    const std::lock_guard lock(lock_);
    held_.push_back(answer);
  }
  void take_back() override { ++taken_back; }
  std::vector<std::string> lets_go_of;
  std::atomic<bool> lets_go_late{false};  // At release().
  std::atomic<bool> keeps_listeners{false};
  std::atomic<int> asks_until_bad{-1};  // Then they throw; never, where it is negative.
  std::atomic<int> handed_over{0}, taken_back{0};
  void take_up(std::function<void()> done) override { done(); }
  void relocate(const std::string& name) override {
    const std::lock_guard lock(lock_);
    relocated_.push_back(name);
  }
  void look(std::vector<std::string> names) override {
    const std::lock_guard lock(lock_);
    looked_.insert(looked_.end(), names.begin(), names.end());
  }
  std::vector<std::string> looked() const {
    const std::lock_guard lock(lock_);
    return looked_;
  }
  void change(const catalogue::DiscSpec& spec, std::function<void()> done) override {
    {
      const std::lock_guard lock(lock_);
      changed_.push_back(spec);
    }
    done();
  }
  std::vector<catalogue::DiscSpec> changed() const {
    const std::lock_guard lock(lock_);
    return changed_;
  }
  std::vector<std::string> relocated() const {
    const std::lock_guard lock(lock_);
    return relocated_;
  }

  void apply(const control::DataSettings& settings) override {
    const std::lock_guard lock(lock_);
    settings_ = settings;
  }
  control::DataSettings settings() const {
    const std::lock_guard lock(lock_);
    return settings_;
  }
  void ask(std::function<void()> done) override {
    if (asks_until_bad == 0) throw std::bad_alloc();
    if (asks_until_bad > 0) --asks_until_bad;
    {
      const std::lock_guard lock(lock_);
      if (hold_) return held_.push_back(done);
    }
    done();
  }
  const stats::StallLog& stalls() const noexcept override { return stalls_; }
  stats::StallLog& stalls() noexcept { return stalls_; }

  std::size_t size() const {
    const std::lock_guard lock(lock_);
    return discs_.size();
  }
  std::shared_ptr<stats::DiscStats> stats(const std::string& name) const {
    const std::lock_guard lock(lock_);
    return discs_.at(name);
  }
  // What it came with.
  control::Attachment attachment(const std::string& name) const {
    const std::lock_guard lock(lock_);
    return with_.at(name);
  }
  // Answers wait for release().
  void hold() {
    const std::lock_guard lock(lock_);
    hold_ = true;
  }
  void release() {
    std::vector<std::function<void()>> held;
    {
      const std::lock_guard lock(lock_);
      hold_ = false;
      held.swap(held_);
    }
    for (auto& answer : held) answer();
  }
  void fail_with(std::string problem) {
    const std::lock_guard lock(lock_);
    problem_ = std::move(problem);
  }
  void connect(bool yes) { connect_ = yes; }  // Whether tails answer.
  void slow_down(std::chrono::microseconds takes) { takes_ = takes; }
  // How many were attached; outlives the thread.
  std::shared_ptr<const std::atomic<int>> attaches() const { return attaches_; }

 private:
  mutable std::mutex lock_;
  std::map<std::string, std::shared_ptr<stats::DiscStats>> discs_;
  std::map<std::string, control::Attachment> with_;
  std::vector<std::string> relocated_, looked_;
  std::vector<catalogue::DiscSpec> changed_;
  std::vector<std::function<void()>> held_;
  stats::StallLog stalls_;
  control::DataSettings settings_;
  std::string problem_;
  bool hold_ = false;
  std::atomic<bool> connect_{true};
  std::atomic<std::chrono::microseconds> takes_{};
  const std::shared_ptr<std::atomic<int>> attaches_ = std::make_shared<std::atomic<int>>(0);
};

// A state directory whose disk fails in a way that nobody foresaw, when a test says so.
class FakeStore final : public catalogue::Store {
 public:
  using Store::Store;

  void put(std::span<const catalogue::DiscSpec> specs) override {
    check();
    Store::put(specs);
  }
  void remove(std::span<const std::string> names) override {
    check();
    Store::remove(names);
  }
  // From now on; a caller waits until `seen` callers came, itself included.
  void fail_when(unsigned seen) {
    const std::lock_guard lock(lock_);
    wanted_ = seen;
    seen_ = 0;
  }
  void mend() { fail_when(0); }
  // Somebody else came, who will not get as far as the store.
  void count_one() {
    {
      const std::lock_guard lock(lock_);
      ++seen_;
    }
    came_.notify_all();
  }

 private:
  void check() {
    std::unique_lock lock(lock_);
    if (wanted_ == 0) return;
    ++seen_;
    came_.wait(lock, [this] { return seen_ >= wanted_; });
    throw std::bad_alloc();
  }

  std::mutex lock_;
  std::condition_variable came_;
  unsigned wanted_ = 0, seen_ = 0;
};

// An agent over fakes, and the state directory it has. restart() is a new daemon on the same state.
struct Head {
  explicit Head(std::size_t thread_count = 2, std::size_t most_discs = 100)
      : threads_count(thread_count), discs_max(most_discs) {
    restart();
  }

  void restart() {
    agent.reset();
    store.reset();
    store = std::make_unique<FakeStore>(folder.path / "state");
    auto keeper = std::make_unique<FakeNeighbours>();
    neighbours = keeper.get();
    std::vector<std::unique_ptr<control::DataThread>> made;
    threads.clear();
    for (std::size_t i = 0; i < threads_count; ++i) {
      auto thread = std::make_unique<FakeThread>();
      threads.push_back(thread.get());
      made.push_back(std::move(thread));
    }
    agent = std::make_unique<control::Agent>(*store, std::move(keeper), std::move(made), discs_max);
  }

  // Waits, ten seconds at most, until `condition` holds.
  bool eventually(const std::function<bool()>& condition) const {
    const auto until = std::chrono::steady_clock::now() + 10s;
    for (;;) {
      const std::uint64_t seen = agent->bell().rung();
      if (condition()) return true;
      if (!agent->bell().wait(seen, until)) return condition();
    }
  }
  bool becomes(const std::string& name, control::State state) const {
    return eventually([&] {
      const auto status = agent->disc(name);
      return status && status->state == state;
    });
  }
  bool goes(const std::string& name) const {
    return eventually([&] { return !agent->disc(name); });
  }

  Folder folder;
  std::size_t threads_count;
  std::size_t discs_max;
  std::unique_ptr<FakeStore> store;
  FakeNeighbours* neighbours = nullptr;
  std::vector<FakeThread*> threads;
  std::unique_ptr<control::Agent> agent;
};

}  // namespace head::test
